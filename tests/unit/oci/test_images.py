"""Which pushed manifests are images, and which of their layers can be converted."""

from __future__ import annotations

import pytest

from app.errors import NotConvertible, SourceInvalid
from app.oci import mediatypes as types
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.images import BUILDKIT_TYPE, REASONS, Found, Skipped, plan_image, walk
from app.oci.manifest import ImageConfig, RawManifest, encode, parse_image_config

GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"


def layer(name: bytes, media_type: str = GZIP, size: int = 10) -> Descriptor:
    return Descriptor(media_type=media_type, digest=Digest.of(name), size=size)


def image(*layers: Descriptor, docker: bool = False, **extra: object) -> RawManifest:
    config = Descriptor(
        media_type=types.DOCKER_CONFIG if docker else types.OCI_CONFIG,
        digest=Digest.of(b"config"),
        size=6,
    )
    kind = types.DOCKER_MANIFEST if docker else types.OCI_MANIFEST
    document: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": kind,
        "config": config.wire(),
        "layers": [entry.wire() for entry in layers],
    }
    return RawManifest(kind, encode(document | extra))


def index(*children: Descriptor | dict[str, object], kind: str = types.OCI_INDEX) -> RawManifest:
    entries = [child.wire() if isinstance(child, Descriptor) else child for child in children]
    return RawManifest(kind, encode({"schemaVersion": 2, "mediaType": kind, "manifests": entries}))


def config(*names: bytes, os: str = "linux") -> ImageConfig:
    diff_ids = [Digest.of(b"tar" + name) for name in names]
    return parse_image_config(
        encode({"os": os, "architecture": "amd64", "rootfs": {"diff_ids": diff_ids}})
    )


@pytest.mark.parametrize(("media_type", "compression"), sorted(types.LAYER_COMPRESSION.items()))
def test_every_distributable_tar_is_planned(media_type: str, compression: str) -> None:
    plan = plan_image(image(layer(b"a", media_type)), config(b"a"))
    assert [entry.compression for entry in plan.layers] == [compression]


def test_a_docker_image_is_planned_from_its_exact_bytes() -> None:
    raw = image(layer(b"a"), docker=True)
    plan = plan_image(raw, config(b"a"))
    assert (plan.subject.digest, plan.subject.size) == (raw.digest, len(raw.data))
    assert plan.subject.media_type == types.DOCKER_MANIFEST


def test_repeated_layers_are_built_once_and_keep_their_positions() -> None:
    plan = plan_image(image(layer(b"a"), layer(b"b"), layer(b"a")), config(b"a", b"b", b"a"))
    assert [entry.positions for entry in plan.layers] == [(0, 2), (1,)]
    assert plan.size == 20


def test_a_repeated_layer_with_two_diff_ids_is_a_lie() -> None:
    with pytest.raises(SourceInvalid, match="occurs twice"):
        plan_image(image(layer(b"a"), layer(b"a")), config(b"a", b"b"))


@pytest.mark.parametrize("names", [(), (b"a", b"b")])
def test_layers_and_diff_ids_must_correspond(names: tuple[bytes, ...]) -> None:
    with pytest.raises(SourceInvalid, match="diff_ids"):
        plan_image(image(layer(b"a")), config(*names))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        *((layer(b"x", kind), "foreign-layer") for kind in sorted(types.FOREIGN_LAYERS)),
        (layer(b"x", GZIP + "+encrypted"), "encrypted-layer"),
        (layer(b"x", "application/vnd.containerd.erofs.layer.v1"), "erofs-layer"),
        (layer(b"x", "application/vnd.oci.image.layer.v1.tar+lz9"), "unknown-layer-type"),
        (layer(b"x", GZIP, 0), "empty-blob"),
    ],
)
def test_one_unfit_layer_skips_the_image_with_its_reason(bad: Descriptor, reason: str) -> None:
    with pytest.raises(NotConvertible, match="layer 1") as caught:
        plan_image(image(layer(b"a"), bad), config(b"a", b"x"))
    assert caught.value.reason == reason
    assert reason in REASONS


@pytest.mark.parametrize(
    ("raw", "of", "reason"),
    [
        (image(), config(), "no-layers"),
        (image(layer(b"a")), config(b"a", os="windows"), "not-linux"),
        (image(layer(b"a"), artifactType="application/x"), config(b"a"), "artifact"),
        (image(layer(b"a"), subject=layer(b"s").wire()), config(b"a"), "referrer"),
        (
            image(layer(b"a"), config=layer(b"c", types.OCI_EMPTY).wire()),
            config(b"a"),
            "not-an-image",
        ),
    ],
)
def test_what_is_no_linux_image_is_skipped(raw: RawManifest, of: ImageConfig, reason: str) -> None:
    with pytest.raises(NotConvertible) as caught:
        plan_image(raw, of)
    assert caught.value.reason == reason


def test_walk_goes_through_nested_indexes_and_says_why_it_skips() -> None:
    one, two = image(layer(b"1")), image(layer(b"2"), docker=True)
    inner = index(two.descriptor, one.descriptor, kind=types.DOCKER_INDEX)
    attestation = layer(b"att", types.OCI_MANIFEST).model_copy(
        update={"annotations": {BUILDKIT_TYPE: "attestation-manifest"}}
    )
    windows = layer(b"win", types.OCI_MANIFEST).wire() | {
        "platform": {"os": "windows", "architecture": "amd64"}
    }
    wasm = layer(b"w", "application/wasm")
    root = index(one.descriptor, attestation, windows, wasm, inner.descriptor, attestation)
    store = {raw.digest: raw for raw in (one, two, inner)}
    found = list(walk(root, lambda digest: store[digest]))
    images = [entry.manifest.digest for entry in found if isinstance(entry, Found)]
    skipped = [entry.reason for entry in found if isinstance(entry, Skipped)]
    assert images == [one.digest, two.digest]
    assert skipped == ["attestation", "not-linux", "not-an-image"]


def test_walk_refuses_bottomless_nesting() -> None:
    store: dict[Digest, RawManifest] = {}
    raw = image(layer(b"a"))
    for _ in range(6):
        store[raw.digest] = raw
        raw = index(raw.descriptor)
    with pytest.raises(SourceInvalid, match="nested deeper"):
        list(walk(raw, lambda digest: store[digest]))


def test_walk_refuses_endless_children() -> None:
    children = [layer(str(n).encode(), "application/x") for n in range(1100)]
    with pytest.raises(SourceInvalid, match="more than 1024"):
        list(walk(index(*children), lambda digest: pytest.fail("must not be fetched")))


def test_a_referrer_pushed_on_its_own_is_dropped() -> None:
    raw = image(subject=layer(b"s").wire())
    assert [e.reason for e in walk(raw, lambda _: raw) if isinstance(e, Skipped)] == ["referrer"]
