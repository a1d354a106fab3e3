from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog.profiles import PROFILES
from app.oci.derived_tags import DerivedTag
from app.oci.digest import Digest
from app.oci.reference import check_tag
from tests.support.layers import SUBJECT, signed_layer
from workers.artifacts.compose import compose
from workers.images.publication import Placement, tags_of

HEX = "0123456789abcdef" * 4
SHA256 = Digest(f"sha256:{HEX}")
SHA512 = Digest(f"sha512:{HEX}{'f' * 64}")


@pytest.mark.parametrize(
    ("tag", "suffix"),
    [
        (f"sha256-{HEX}", ""),
        (f"sha512-{HEX}", ""),
        (f"sha256-{HEX}.sig", "sig"),
        (f"sha256-{HEX}.att", "att"),
        (f"sha256-{HEX}.sbom", "sbom"),
        # regclient's digest tags may have more than one part, as ours have.
        (f"sha256-{HEX}.0123abcd.meta", "0123abcd.meta"),
        (f"sha256-{HEX}.dmverity", "dmverity"),
        (f"sha256-{HEX}.dmverity.erofs-compatibility", "dmverity.erofs-compatibility"),
        (f"sha256-{HEX}.My_Suffix-2", "My_Suffix-2"),
    ],
)
def test_tags_that_are_about_a_digest(tag: str, suffix: str) -> None:
    found = DerivedTag.parse(tag)
    assert found is not None
    assert (found.hex, found.suffix, str(found)) == (HEX, suffix, tag)
    assert found.lists_referrers is (suffix == "")


@pytest.mark.parametrize(
    "tag",
    [
        "1.4",
        "latest",
        "sha256-abc",
        f"sha256-{HEX[:-1]}",
        f"sha256-{HEX[:32]}",
        f"sha256-{HEX}0",
        f"sha512-{HEX}{HEX[:57]}",
        f"sha256-{HEX.upper()}",
        f"SHA256-{HEX}",
        f"sha1-{HEX}",
        f"release-sha256-{HEX}",
        f"sha256_{HEX}",
        f"sha256-{HEX}.",
        f"sha256-{HEX}-amd64",
        f"sha256-{HEX}\n",
        HEX,
        "",
    ],
)
def test_tags_of_people(tag: str) -> None:
    assert DerivedTag.parse(tag) is None


def test_the_subject_of_a_cut_digest_cannot_be_told() -> None:
    short, long = DerivedTag.of(SHA256), DerivedTag.of(SHA512)
    assert (str(short), str(long)) == (f"sha256-{HEX}", f"sha512-{HEX}")
    assert (short.subject, long.subject) == (SHA256, None)
    assert short.is_about(SHA256)
    assert not short.is_about(SHA512)
    assert long.is_about(SHA512)
    assert not short.is_about(Digest.of(b"other"))


@given(
    content=st.binary(),
    algorithm=st.sampled_from(["sha256", "sha512"]),
    suffixes=st.lists(st.from_regex(r"[A-Za-z0-9_.-]{1,20}", fullmatch=True), max_size=2),
)
def test_what_is_made_is_recognised(content: bytes, algorithm: str, suffixes: list[str]) -> None:
    about = Digest.of(content, algorithm)
    made = DerivedTag.of(about, *suffixes)
    assert DerivedTag.parse(check_tag(str(made))) == made
    assert made.is_about(about)


@given(st.text(alphabet="sha2561.-_abcdefABC\n", max_size=80))
def test_reading_a_name_loses_nothing(text: str) -> None:
    found = DerivedTag.parse(text)
    assert found is None or str(found) == text


@pytest.mark.parametrize("profile", PROFILES)
def test_every_tag_of_a_bundle_is_recognised_and_fits(profile: str) -> None:
    padding = PROFILES[profile].padding or 512
    layer = signed_layer(single_device=True, padding=padding)
    bundles = compose(profile, SUBJECT, [layer])
    placement = Placement(tag_suffixes={profile: "s" * 32})
    tags = [tag for bundle in bundles for tag in tags_of(bundle, placement)]
    assert len(tags) == len(set(tags)) == len(bundles)
    for bundle, tag in zip(bundles, tags, strict=True):
        found = DerivedTag.parse(check_tag(tag.replace("sha256-", "sha512-")))
        assert found is not None
        assert not found.lists_referrers
        found = DerivedTag.parse(tag)
        assert found is not None
        assert found.subject == (bundle.layer or SUBJECT.digest)
