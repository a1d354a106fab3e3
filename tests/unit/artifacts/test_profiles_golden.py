"""Every profile's manifests, pinned to the byte; ``REGENERATE=1`` rewrites them: review it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.catalog.profiles import PROFILES, ProfileName
from app.oci.manifest import Manifest, parse_manifest
from tests.support.layers import SUBJECT, signed_layer
from workers.artifacts.compose import compose
from workers.artifacts.reading import profiles_of, read_bundle

GOLDEN = Path(__file__).parents[2] / "golden" / "manifests"


def _compose(name: ProfileName, **options: bool) -> list[tuple[str, bytes]]:
    padding = PROFILES[name].padding or 512
    layers = [signed_layer(number, padding=padding, **options) for number in (0, 1)]
    bundles = compose(name, SUBJECT, [*layers, layers[0]])
    return [
        (f"{name}.{number}-{bundle.role}.json", bundle.manifest.data)
        for number, bundle in enumerate(bundles)
    ]


def _cases() -> list[tuple[str, bytes]]:
    cases = [case for name in PROFILES for case in _compose(name)]
    cases += [
        (name.replace("bundle", "unsigned"), data)
        for name, data in _compose("verilayer", signed=False, single_device=True)
    ]
    return cases + [
        (name.replace("bundle", "both-layouts"), data)
        for name, data in _compose("verilayer", single_device=True)
    ]


@pytest.mark.parametrize(("name", "data"), _cases(), ids=[name for name, _ in _cases()])
def test_manifests_are_pinned(name: str, data: bytes) -> None:
    path = GOLDEN / name
    if os.environ.get("REGENERATE"):
        path.write_bytes(data)
    assert data == path.read_bytes()


def test_no_golden_manifest_is_left_over() -> None:
    assert {path.name for path in GOLDEN.glob("*.json")} == {name for name, _ in _cases()}


@pytest.mark.parametrize("name", PROFILES)
def test_what_is_composed_reads_back(name: ProfileName) -> None:
    profile = PROFILES[name]
    layers = [
        signed_layer(number, padding=profile.padding or 512, single_device=True)
        for number in (0, 1)
    ]
    bundles = compose(name, SUBJECT, layers)
    assert bundles
    for bundle in bundles:
        manifest = parse_manifest(bundle.manifest)
        assert isinstance(manifest, Manifest)
        assert profiles_of(manifest)[0] == name
        claimed = read_bundle(manifest, name, about=bundle.layer)
        assert claimed.unknown == ()
        about = [layer for layer in layers if bundle.layer in (None, layer.layer.digest)]
        assert about
        for layer in about:
            found = claimed.layers[layer.layer.digest]
            assert found.parts
            assert not found.doubled
            assert not found.contradictions
            for content, descriptor in found.parts.items():
                expected = {
                    "index": layer.facts.index_digest,
                    "tree": layer.facts.tree_digest,
                    "image-layer": layer.layer.digest,
                }.get(content)
                assert expected in (None, descriptor.digest)
            if "signature" in found.parts:
                assert found.facts["root_hash"] == layer.facts.root_hash
            if "single-device-signature" in found.parts:
                single = layer.facts.single_device_root_hash
                assert single is not None
                assert found.facts["single_device_root_hash"] == single
