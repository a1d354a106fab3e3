from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog.profiles import ProfileName
from app.config.model import ServiceConfig
from app.errors import ConfigurationError
from workers.artifacts.combinations import check_combination, check_profiles, globs_overlap


def test_good_combinations_pass() -> None:
    check_combination(
        ["containerd-erofs", "notary-tar-index", "notation", "tardev", "verilayer", "rfc-layer"],
        padding=512,
        signed=True,
    )
    check_combination(["azl", "notation", "verilayer"], padding=4096, signed=True)
    check_combination(["verilayer"], padding=512, signed=False)


@pytest.mark.parametrize(
    ("profiles", "padding", "signed", "reason"),
    [
        (["containerd-erofs", "azl"], 4096, True, "both publish under application/vnd.containerd"),
        (["azl"], 512, True, "azl needs build.padding 4096, it is 512"),
        (["containerd-erofs"], 512, False, "needs a signer"),
        (["notation", "notation"], 512, True, "named twice"),
        ([], 512, True, "no profile is enabled"),
    ],
)
def test_bad_combinations_say_why(
    profiles: list[ProfileName], padding: int, signed: bool, reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        check_combination(profiles, padding=padding, signed=signed)


def _config(one: Mapping[str, object], two: Mapping[str, object]) -> ServiceConfig:
    return ServiceConfig.model_validate(
        {
            "signers": [{"name": "k", "kind": "ephemeral"}],
            "defaults": {"signer": "k"},
            "build": {"padding": 512},
            "rules": [{"name": "one", **one}, {"name": "two", **two}],
        }
    )


def test_two_rules_that_can_meet_on_one_image_are_compared() -> None:
    # Other tags, same manifest: both rules may fire for one subject.
    one = {"repositories": ["team/*"], "tags": ["v*"], "profiles": ["containerd-erofs"]}
    two = {"repositories": ["*/app"], "profiles": ["azl"]}
    with pytest.raises(ConfigurationError, match="rules 'one' and 'two' can meet on one image"):
        check_profiles(_config(one, two))


def test_rules_that_cannot_meet_do_not_clash() -> None:
    one = {"registry": "a", "profiles": ["containerd-erofs"]}
    two = {"registry": "b", "profiles": ["azl"]}
    with pytest.raises(ConfigurationError) as caught:
        check_profiles(_config(one, two))
    assert "can meet" not in caught.value.message
    check_profiles(_config(one, {**two, "action": "ignore"}))


_glob = st.text(alphabet="ab*?/", max_size=6)


@given(_glob, _glob, st.text(alphabet="ab/", max_size=6))
def test_globs_that_match_one_text_overlap(one: str, other: str, text: str) -> None:
    if fnmatchcase(text, one) and fnmatchcase(text, other):
        assert globs_overlap(one, other)


@pytest.mark.parametrize(
    ("one", "other", "meets"),
    [
        ("team/*", "other/*", False),
        ("*", "x", True),
        ("a*c", "ab", False),
        ("a[bc]d", "abd", True),
        ("", "*", True),
        ("", "?", False),
    ],
)
def test_overlap_by_example(one: str, other: str, meets: bool) -> None:
    assert globs_overlap(one, other) is meets
    assert globs_overlap(other, one) is meets
