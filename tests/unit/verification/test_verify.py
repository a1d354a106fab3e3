"""Good bundles pass; every kind of damage is named with its layer. On an OCI layout, no network."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.catalog.profiles import ProfileName
from app.config.model import BuildConfig
from app.oci.digest import Digest
from app.oci.manifest import RawManifest
from app.registry.layout.directory import LayoutRegistry
from app.registry.repository import Repository
from tests.support.certificates import Identity, identity, rsa_key
from tests.support.published import Image, attach, convert, pem_signer, push, push_image
from workers.artifacts.compose import compose
from workers.artifacts.signed import SignedLayer
from workers.layers.spool import Spool
from workers.verification.rebuild import Rebuild
from workers.verification.report import VerificationReport, to_text
from workers.verification.trust import Trust, judge
from workers.verification.verify import Options, verify_reference


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob in the layout."""

    digest: Digest
    size: int


@dataclass(slots=True)
class Shop:
    """A layout with one image, its converted layers and the signer."""

    registry: LayoutRegistry
    image: Image
    layers: list[SignedLayer]
    ours: Identity
    folder: Path

    def verify(self, *, deep: bool = False, **options: object) -> VerificationReport:
        trust = Trust((self.ours.certificate,))
        checks = replace(Options(trust=trust), **options)  # type: ignore[arg-type]
        spool = Spool(self.folder / "rebuild", 1 << 30)
        repository = Repository(self.registry, "team/app")
        rebuild = Rebuild(repository, BuildConfig(), spool)
        return verify_reference(repository, "v1", checks, rebuild if deep else None)

    def attach(self, *profiles: ProfileName) -> None:
        attach(self.registry, self.image, self.layers, profiles)

    def first(
        self,
        *,
        index: StoredBlob | None = None,
        tree: StoredBlob | None = None,
        root_hash: str | None = None,
        signature: bytes | None = None,
    ) -> Digest:
        """Change what is published of the first layer."""
        layer = self.layers[0]
        facts = layer.facts
        if index is not None:
            facts = replace(facts, index_digest=index.digest, index_size=index.size)
        if tree is not None:
            facts = replace(facts, tree_digest=tree.digest, tree_size=tree.size)
        facts = replace(facts, root_hash=root_hash or facts.root_hash)
        self.layers[0] = replace(layer, facts=facts, signature=signature or layer.signature)
        return layer.layer.digest

    def index(self, number: int) -> StoredBlob:
        facts = self.layers[number].facts
        return StoredBlob(facts.index_digest, facts.index_size)

    def tree(self, number: int) -> StoredBlob:
        facts = self.layers[number].facts
        return StoredBlob(facts.tree_digest, facts.tree_size)

    def read(self, digest: Digest, size: int) -> bytes:
        return (self.folder / "layout" / "blobs" / "sha256" / digest.hex).read_bytes()[:size]

    def stored(self, data: bytes) -> StoredBlob:
        push(self.registry, "team/app", data)
        return StoredBlob(Digest.of(data), len(data))

    def damage(self, blob: StoredBlob, offset: int) -> StoredBlob:
        """Push a copy with one flipped bit."""
        data = bytearray(self.read(blob.digest, blob.size))
        data[offset] ^= 1
        return self.stored(bytes(data))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    registry = LayoutRegistry(tmp_path / "layout")
    image = push_image(registry)
    ours = identity()
    layers = convert(registry, image, tmp_path, pem_signer(tmp_path / "keys", ours))
    return Shop(registry, image, layers, ours, tmp_path)


def _checks(report: VerificationReport) -> set[tuple[str, Digest | None]]:
    return {(finding.check, finding.layer) for _, _, finding in report.failures()}


@pytest.mark.parametrize(
    "profiles",
    [
        ("containerd-erofs", "notary-tar-index", "notation", "tardev", "verilayer"),
        ("rfc-layer",),
    ],
)
def test_what_we_publish_passes_shallow_and_deep(
    shop: Shop, profiles: tuple[ProfileName, ...]
) -> None:
    shop.attach(*profiles)
    for deep in (False, True):
        report = shop.verify(deep=deep, expected=profiles)
        assert report.ok, to_text(report)
        assert {bundle.profile for bundle in report.images[0].bundles} == set(profiles)


def test_azl_passes_with_its_padding(shop: Shop) -> None:
    signer = pem_signer(shop.folder / "keys", shop.ours)
    shop.layers = convert(shop.registry, shop.image, shop.folder, signer, padding=4096)
    shop.attach("azl")
    report = shop.verify(deep=True, expected=("azl",))
    assert report.ok, to_text(report)


def test_no_bundle_is_a_failure(shop: Shop) -> None:
    assert _checks(shop.verify()) == {("bundle", None)}
    shop.attach("notation")
    assert shop.verify().ok
    assert _checks(shop.verify(expected=("containerd-erofs",))) == {("bundle", None)}


def test_unsigned_is_a_note_unless_signatures_are_required(shop: Shop) -> None:
    shop.layers = convert(shop.registry, shop.image, shop.folder, None)
    shop.attach("verilayer")
    assert shop.verify().ok
    report = shop.verify(signatures_required=True)
    assert len(report.failing_layers) == 2
    assert {check for check, _ in _checks(report)} == {"complete"}


@dataclass(frozen=True, slots=True)
class Damage:
    """How a bundle is spoiled before it is attached, and the check that must notice."""

    spoil: Callable[[Shop], object]
    check: str
    deep_only: bool = False


def _resigned(shop: Shop, who: Identity, **config: object) -> bytes:
    signer = pem_signer(shop.folder / "other", who, **config)
    return signer.sign(shop.layers[0].facts.root_hash)


def _shorter(shop: Shop, blob: StoredBlob) -> StoredBlob:
    return shop.stored(shop.read(blob.digest, blob.size)[:-512])


STRANGER = identity("stranger", key=rsa_key(number=1))

DAMAGES = {
    "index, a bit in an inode": Damage(
        lambda s: s.first(index=s.damage(s.index(0), s.index(0).size - 40)), "tree"
    ),
    "index of another layer": Damage(lambda s: s.first(index=s.index(1)), "uuid"),
    "index that is none": Damage(lambda s: s.first(index=s.stored(bytes(2048))), "index"),
    "tree of another layer": Damage(lambda s: s.first(tree=s.tree(1)), "uuid"),
    "tree cut short": Damage(lambda s: s.first(tree=_shorter(s, s.tree(0))), "tree"),
    "tree, a bit in its top": Damage(lambda s: s.first(tree=s.damage(s.tree(0), 515)), "root-hash"),
    "tree, a bit in the tar's last leaf": Damage(
        lambda s: s.first(tree=s.damage(s.tree(0), s.tree(0).size - 500)),
        "rebuild",
        deep_only=True,
    ),
    "root hash of another layer": Damage(
        lambda s: s.first(root_hash=s.layers[1].facts.root_hash, signature=s.layers[1].signature),
        "root-hash",
    ),
    "signature over another root": Damage(
        lambda s: s.first(signature=s.layers[1].signature),
        "signature",
    ),
    "signature by a stranger": Damage(
        lambda s: s.first(signature=_resigned(s, STRANGER)),
        "signature",
    ),
    "signature by a stranger, certificate left out": Damage(
        lambda s: s.first(signature=_resigned(s, STRANGER, embed_certificate=False)),
        "signature",
    ),
    "signature that is none": Damage(
        lambda s: s.first(signature=b"no signature"),
        "signature",
    ),
    "signature with bytes after it": Damage(
        lambda s: s.first(signature=(s.layers[0].signature or b"") + bytes(4)),
        "signature",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found_and_its_layer_named(shop: Shop, name: str) -> None:
    damage = DAMAGES[name]
    damage.spoil(shop)
    shop.attach("containerd-erofs")
    spoilt = shop.layers[0].layer.digest
    report = shop.verify(deep=damage.deep_only)
    assert (damage.check, spoilt) in _checks(report), to_text(report)
    assert report.failing_layers == [spoilt]
    assert str(spoilt) in to_text(report)
    if damage.deep_only:
        assert shop.verify().ok


def _edited(shop: Shop, edit: Callable[[dict[str, Any]], object]) -> None:
    """Attach a containerd-erofs manifest after editing its JSON."""
    shop.attach("notation")
    (bundle,) = compose("containerd-erofs", shop.image.manifest.descriptor, shop.layers)
    for data in bundle.blobs.values():
        push(shop.registry, "team/app", data)
    document = json.loads(bundle.manifest.data)
    edit(document)
    manifest = RawManifest(bundle.manifest.media_type, json.dumps(document).encode())
    shop.registry.attach("team/app", manifest)


@pytest.mark.parametrize(
    ("edit", "check"),
    [
        (lambda d: d["layers"].pop(0), "complete"),
        (lambda d: d["layers"].pop(1), "complete"),
        (lambda d: d["layers"].pop(2), "complete"),
        (lambda d: [d["layers"].pop(0) for _ in range(3)], "complete"),
        (lambda d: d["layers"].append(d["layers"][0]), "complete"),
        (lambda d: d["layers"][0].update(size=0), "index"),
        (lambda d: d["layers"][1].update(digest="sha256:" + "0" * 64), "tree"),
        (lambda d: d["layers"][0].update(mediaType="application/x"), "manifest"),
        (lambda d: d["config"].update(digest="sha256:" + "1" * 64), "manifest"),
    ],
)
def test_incomplete_manifests(
    shop: Shop, edit: Callable[[dict[str, Any]], object], check: str
) -> None:
    _edited(shop, edit)
    report = shop.verify()
    assert check in {name for name, _ in _checks(report)}, to_text(report)


def test_two_bundles_of_a_single_profile(shop: Shop) -> None:
    shop.attach("containerd-erofs")
    _edited(shop, lambda d: d.update(annotations={"note": "a second one"}))
    assert _checks(shop.verify()) == {("single", None)}


def test_chains_and_expiry(shop: Shop) -> None:
    ca = identity("ca", key=rsa_key(number=1), ca=True, usages=(), path_length=0)
    leaf = identity("leaf", key=rsa_key(number=2), issuer=ca)
    shop.layers = [
        replace(layer, signature=signer.sign(layer.facts.root_hash))
        for signer in [pem_signer(shop.folder / "leaf", leaf)]
        for layer in shop.layers
    ]
    shop.attach("containerd-erofs")
    assert shop.verify(trust=Trust((ca.certificate,))).ok
    assert not shop.verify().ok, "only the old signer is trusted here"
    later = Trust((ca.certificate,)).now + timedelta(days=60)
    expired = shop.verify(trust=Trust((ca.certificate,), later))
    assert any("expired" in finding.message for _, _, finding in expired.failures())
    unvouched = shop.verify(trust=Trust())
    assert unvouched.ok
    assert "nobody vouches" in to_text(unvouched)


def test_a_ca_may_not_be_a_leaf_in_disguise(shop: Shop) -> None:
    # Signed by a certificate that is no CA: the chain must not count.
    middle = identity("middle", key=rsa_key(number=1), issuer=shop.ours)
    leaf = identity("leaf", key=rsa_key(number=2), issuer=middle)
    shop.folder.joinpath("chain").mkdir()
    signer = pem_signer(shop.folder / "chain", leaf)
    shop.layers = [
        replace(layer, signature=signer.sign(layer.facts.root_hash)) for layer in shop.layers
    ]
    shop.attach("containerd-erofs")
    report = shop.verify(trust=Trust((middle.certificate,)))
    assert {check for check, _ in _checks(report)} == {"signature"}


def test_a_damaged_certificate_in_the_message_is_noticed(shop: Shop) -> None:
    # The signature itself still verifies with the trusted key; a kernel reads the damage too.
    signature = shop.layers[0].signature
    assert signature is not None
    name = signature.index(b"test signer")
    for at in (name, signature.rindex(b"test signer", 0, name + 200)):
        damaged = signature[:at] + b"T" + signature[at + 1 :]
        verdict = judge(damaged, shop.layers[0].facts.root_hash, Trust((shop.ours.certificate,)))
        assert verdict.problems


def test_json_says_the_same(shop: Shop) -> None:
    shop.first(tree=shop.tree(1))
    shop.attach("containerd-erofs")
    report = json.loads(json.dumps(shop.verify().to_json()))
    assert report["ok"] is False
    assert report["failing_layers"] == [shop.layers[0].layer.digest]
    (bundle,) = report["images"][0]["bundles"]
    assert set(bundle["root_hashes"]) == {shop.layers[1].layer.digest}
