"""The per-layer graph in a real registry: verify misses no manifest, and compares across them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.catalog.profiles import PROFILES
from app.oci.manifest import RawManifest, encode
from app.registry.protocols import Registry
from tests.support.published import Image, attach, convert, pem_signer, push, push_image
from tests.support.registries import docker_registry
from workers.artifacts.compose import layer_manifests
from workers.cli.commands import main

pytestmark = pytest.mark.real

TYPES = {
    shape.role: shape.artifact_type
    for shape in PROFILES["rfc-layer"].manifests
    if shape.subject == "layer-manifest"
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with docker_registry(tmp_path_factory.mktemp("graph")) as server:
        opened = server.open()
        yield opened
        opened.close()


def published(registry: Registry, repository: str, folder: Path) -> Image:
    image = push_image(registry, repository)
    layers = convert(registry, image, folder, pem_signer(folder / "keys"))
    attach(registry, image, layers, ["containerd-erofs", "rfc-layer"])
    return image


def verify(registry: Registry, image: Image, *options: str) -> tuple[int, dict[str, Any]]:
    reference = f"{registry.host}/{image.repository}:v1"
    run = CliRunner().invoke(main, ["verify", reference, "--json", *options])
    assert run.exit_code in (0, 3), run.output
    return run.exit_code, json.loads(run.stdout)


def errors(report: dict[str, Any]) -> set[tuple[str, str]]:
    (image,) = report["images"]
    every = [*image["findings"], *(f for b in image["bundles"] for f in b["findings"])]
    return {(f["check"], f["layer"]) for f in every if f["severity"] == "error"}


@pytest.mark.parametrize("role", sorted(TYPES))
def test_a_missing_manifest_is_named(registry: Registry, tmp_path: Path, role: str) -> None:
    image = published(registry, f"graph/{role}", tmp_path)
    assert verify(registry, image)[0] == 0
    layer = image.layers[1][0]
    subject = layer_manifests(layer)["rfc-layer"].digest
    (gone,) = registry.list_referrers(image.repository, subject, TYPES[role])
    registry.detach(image.repository, subject, gone.digest)
    status, report = verify(registry, image)
    assert status == 3
    assert errors(report) == {("complete", layer.digest)}
    assert report["failing_layers"] == [layer.digest]
    assert f"it has no {role} manifest" in json.dumps(report)


def test_a_layer_without_a_graph_fails_unless_others_are_asked_for(
    registry: Registry, tmp_path: Path
) -> None:
    image = published(registry, "graph/whole", tmp_path)
    layer = image.layers[0][0]
    subject = layer_manifests(layer)["rfc-layer"].digest
    for each in registry.list_referrers(image.repository, subject):
        registry.detach(image.repository, subject, each.digest)
    for options in ([], ["--profile", "rfc-layer"]):
        status, report = verify(registry, image, *options)
        assert (status, errors(report)) == (3, {("complete", layer.digest)})
    assert verify(registry, image, "--profile", "containerd-erofs")[0] == 0


def test_a_tree_of_another_layer_does_not_pass(registry: Registry, tmp_path: Path) -> None:
    image = published(registry, "graph/swapped", tmp_path)
    one, two = (layer_manifests(layer[0])["rfc-layer"].digest for layer in image.layers)
    (mine,) = registry.list_referrers(image.repository, one, TYPES["ci"])
    (other,) = registry.list_referrers(image.repository, two, TYPES["ci"])
    document = json.loads(registry.fetch_manifest(image.repository, mine.digest).data)
    strange = json.loads(registry.fetch_manifest(image.repository, other.digest).data)
    document["layers"] = strange["layers"]
    registry.detach(image.repository, one, mine.digest)
    push(registry, image.repository, b"{}")
    registry.attach(image.repository, RawManifest(document["mediaType"], encode(document)))
    status, report = verify(registry, image)
    layer = image.layers[0][0].digest
    assert status == 3
    assert {("root-hash", layer), ("uuid", layer)} <= errors(report)
    assert {each for _, each in errors(report)} == {layer}
