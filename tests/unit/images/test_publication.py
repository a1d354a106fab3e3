from __future__ import annotations

from app.oci.reference import check_tag
from tests.support.layers import SUBJECT, signed_layer
from workers.artifacts.compose import compose
from workers.images.publication import Placement, tags_of


def test_an_images_bundle_is_tagged_by_the_images_digest() -> None:
    (bundle,) = compose("containerd-erofs", SUBJECT, [signed_layer()])
    placement = Placement(tag_suffixes={"containerd-erofs": "erofs"})
    assert tags_of(bundle, placement) == (f"sha256-{SUBJECT.digest.hex}.erofs",)
    assert tags_of(bundle, Placement()) == ()


def test_a_layers_manifests_are_tagged_by_the_layers_digest() -> None:
    layer = signed_layer()
    bundles = compose("rfc-layer", SUBJECT, [layer])
    placement = Placement(tag_suffixes={"rfc-layer": "s" * 32})
    tags = [check_tag(tag) for bundle in bundles for tag in tags_of(bundle, placement)]
    stem = f"sha256-{layer.layer.digest.hex}.{'s' * 32}"
    roles = ("layer", "signature", "ci", "erofs-compatibility")
    assert tags == [f"{stem}.{role}" for role in roles]
