"""``verilayer convert`` and ``inspect`` against a real registry and an OCI layout."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.oci import mediatypes
from app.oci.descriptor import Descriptor
from app.oci.digest import DiffID, Digest
from app.oci.manifest import RawManifest, encode
from app.registry.coordination import LocalCoordination
from app.registry.layout.directory import LayoutRegistry
from app.registry.protocols import Registry
from tests.support.certificates import identity
from tests.support.images import (
    PushedImage,
    layer_tar,
    push_attestation,
    push_blob,
    push_image,
    push_index,
)
from tests.support.pipeline import BUNDLE
from tests.support.registries import RunningRegistry, docker_registry
from tests.support.tarmaker import END, header, padded
from tests.support.tools import require
from workers.cli.commands import main

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with docker_registry(tmp_path_factory.mktemp("convert")) as running:
        yield running


@pytest.fixture
def registry(server: RunningRegistry) -> Iterator[Registry]:
    client = server.open()
    yield client
    client.close()


@pytest.fixture
def key(tmp_path: Path) -> list[str]:
    private, certificate = identity().write(tmp_path)
    return ["--key", str(private), "--certificate", str(certificate)]


def run(tmp_path: Path, *arguments: str, status: int = 0) -> list[dict[str, Any]]:
    result = CliRunner().invoke(
        main, [*arguments, "--json"], env={"VERILAYER_STATE_DIR": str(tmp_path / "state")}
    )
    assert result.exit_code == status, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def image_of(registry: Registry, repository: str, *seeds: int) -> PushedImage:
    return push_image(registry, repository, [layer_tar(seed) for seed in seeds], tag="1")


def test_an_index_is_converted_and_again_is_present(
    server: RunningRegistry, registry: Registry, key: list[str], tmp_path: Path
) -> None:
    images = {
        name: push_image(registry, "cli/app", [layer_tar(1), layer_tar(seed)], architecture=name)
        for name, seed in (("amd64", 2), ("arm64", 3))
    }
    attestation = push_attestation(registry, "cli/app")
    push_index(registry, "cli/app", "1", images, attestation)
    reference = f"{server.host}/cli/app:1"
    lines = run(tmp_path, "convert", reference, *key)
    assert [(one["platform"], one["state"], one["reason"]) for one in lines] == [
        ("linux/amd64", "attached", ""),
        ("linux/arm64", "attached", ""),
        ("unknown/unknown", "skipped", "attestation"),
    ]
    for image, line in zip(images.values(), lines, strict=False):
        (bundle,) = registry.list_referrers("cli/app", image.digest, BUNDLE)
        assert [one["digest"] for one in line["bundles"]] == [bundle.digest]
    again = run(tmp_path, "convert", reference, *key)
    assert [one["state"] for one in again] == ["present", "present", "skipped"]
    assert [one["bundles"][0]["digest"] for one in again[:2]] == [
        one["bundles"][0]["digest"] for one in lines[:2]
    ]


def test_a_dry_run_publishes_nothing(
    server: RunningRegistry, registry: Registry, key: list[str], tmp_path: Path
) -> None:
    image = image_of(registry, "cli/dry", 10)
    (line,) = run(tmp_path, "convert", f"{server.host}/cli/dry:1", "--dry-run", *key)
    assert line["state"] == "built"
    assert not registry.blob_exists("cli/dry", line["layers"][0]["index_digest"])
    assert registry.list_referrers("cli/dry", image.digest) == []


def test_to_a_layout_and_from_it(
    server: RunningRegistry, registry: Registry, key: list[str], tmp_path: Path
) -> None:
    image = image_of(registry, "cli/layout", 20, 21)
    layout = tmp_path / "layout"
    (line,) = run(
        tmp_path, "convert", f"{server.host}/cli/layout:1", "--to-layout", str(layout), *key
    )
    assert line["state"] == "attached"
    assert registry.list_referrers("cli/layout", image.digest) == []
    (again,) = run(tmp_path, "convert", f"oci:{layout}:1", *key)
    assert again["state"] == "present"
    assert again["bundles"][0]["digest"] == line["bundles"][0]["digest"]
    described = json.loads(
        CliRunner().invoke(main, ["inspect", f"oci:{layout}:1", "--json"]).stdout
    )
    (one,) = described["manifests"]
    assert one["platform"] == "linux/amd64"
    (referrer,) = one["referrers"]
    assert referrer["profile"] == "containerd-erofs"
    assert [facts["root_hash"] for facts in referrer["layers"].values()] == [
        layer["root_hash"] for layer in line["layers"]
    ]


def test_an_index_with_a_windows_image_goes_to_a_layout(key: list[str], tmp_path: Path) -> None:
    registry = LayoutRegistry(tmp_path / "in")
    image = image_of(registry, "any", 23)
    foreign = Descriptor(
        media_type="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        digest=Digest.of(b"at the publisher's"),
        size=18,
    )
    config = push_blob(registry, "any", mediatypes.OCI_CONFIG, b'{"os":"windows"}')
    manifest = {"schemaVersion": 2, "config": config.wire(), "layers": [foreign.wire()]}
    windows = RawManifest(mediatypes.OCI_MANIFEST, encode(manifest))
    registry.push_manifest("any", windows)
    children = [
        image.manifest.descriptor.wire() | {"platform": {"os": "linux", "architecture": "amd64"}},
        windows.descriptor.wire() | {"platform": {"os": "windows", "architecture": "amd64"}},
    ]
    index = RawManifest(mediatypes.OCI_INDEX, encode({"schemaVersion": 2, "manifests": children}))
    registry.push_manifest("any", index, "1")
    out = tmp_path / "out"
    lines = run(tmp_path, "convert", f"oci:{tmp_path / 'in'}:1", "--to-layout", str(out), *key)
    assert [(one["state"], one["reason"]) for one in lines] == [
        ("attached", ""),
        ("skipped", "not-linux"),
    ]
    copied = LayoutRegistry(out, create=False)
    assert copied.fetch_manifest("any", windows.digest) == windows


def test_to_a_tar_and_from_it(
    server: RunningRegistry, registry: Registry, key: list[str], tmp_path: Path
) -> None:
    image = image_of(registry, "cli/tar", 20, 21)
    tar = tmp_path / "image.tar"
    (line,) = run(tmp_path, "convert", f"{server.host}/cli/tar:1", "--to-layout", str(tar), *key)
    assert line["state"] == "attached"
    for place in (f"oci-archive:{tar}:1", f"oci:{tar}:1"):
        (again,) = run(tmp_path, "convert", place, *key)
        assert again["state"] == "present"
        verified = CliRunner().invoke(main, ["verify", place, "--ca", key[-1], "--deep"])
        assert verified.exit_code == 0, verified.output
    inspected = subprocess.run(
        [require("skopeo"), "inspect", f"oci-archive:{tar}:1"],
        capture_output=True,
        check=True,
        timeout=60,
    )
    layers = json.loads(inspected.stdout)["Layers"]
    assert layers == [layer.digest for layer in image.layers]
    target = f"{server.host}/cli/from-tar:1"
    copied = CliRunner().invoke(main, ["copy", f"oci-archive:{tar}:1", target])
    assert copied.exit_code == 0, copied.output
    (bundle,) = registry.list_referrers("cli/from-tar", image.digest)
    assert bundle.digest == line["bundles"][0]["digest"]


def test_processes_with_one_state_folder_attach_one_after_another(
    server: RunningRegistry,
    registry: Registry,
    key: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = image_of(registry, "cli/locked", 22)
    monkeypatch.setattr("app.registry.coordination.LOCK_WAIT", 0.2)
    other = LocalCoordination(tmp_path / "state" / "locks")
    reference = f"{server.host}/cli/locked:1"
    with other.exclusive(f"bundle:named:cli/locked:{image.digest}"):
        run(tmp_path, "convert", reference, *key, status=4)
    assert registry.list_referrers("cli/locked", image.digest) == []
    (line,) = run(tmp_path, "convert", reference, *key)
    assert line["state"] == "attached"


def test_a_lossy_image_is_skipped_and_an_unsigned_one_refused(
    server: RunningRegistry, registry: Registry, key: list[str], tmp_path: Path
) -> None:
    lossy = header(b"old", b"\0", size=3) + padded(b"abc") + END
    push_image(registry, "cli/lossy", [lossy], tag="1")
    (line,) = run(tmp_path, "convert", f"{server.host}/cli/lossy:1", *key)
    assert (line["state"], line["reason"]) == ("skipped", "lossy")
    image_of(registry, "cli/unsigned", 30)
    (line,) = run(tmp_path, "convert", f"{server.host}/cli/unsigned:1", status=1)
    assert (line["state"], line["reason"]) == ("failed", "configuration")
    (line,) = run(tmp_path, "convert", f"{server.host}/cli/unsigned:1", "--profile", "verilayer")
    assert line["state"] == "attached"


def test_a_loss_hidden_behind_allowed_ones_is_not_published(
    server: RunningRegistry, registry: Registry, key: list[str], tmp_path: Path
) -> None:
    sparse = b"".join(header(b"sparse%d" % each, b"S") for each in range(20))
    hidden = sparse + header(b"old", b"\0", size=3) + padded(b"abc") + END
    push_image(registry, "cli/hidden", [hidden], tag="hidden")
    push_image(registry, "cli/hidden", [sparse + END], tag="allowed")
    config = tmp_path / "config.yaml"
    config.write_text("build: {allow_lossy: [sparse-dropped]}\n")
    reference, options = f"{server.host}/cli/hidden", ["--config", str(config), *key]
    (line,) = run(tmp_path, "convert", f"{reference}:hidden", *options)
    assert (line["state"], line["reason"]) == ("skipped", "lossy")
    assert line["detail"].startswith("1 entries of the image")
    assert "nul-type: old" in line["detail"]
    assert len(line["layers"][0]["warnings"]) == 20
    (line,) = run(tmp_path, "convert", f"{reference}:allowed", *options)
    assert line["state"] == "attached"


def test_an_image_that_lies_about_a_shared_layer_fails_alone(
    server: RunningRegistry, registry: Registry, key: list[str], tmp_path: Path
) -> None:
    tar = layer_tar(60)
    honest = push_image(registry, "cli/lies", [tar], architecture="amd64")
    liar = push_image(
        registry, "cli/lies", [tar], architecture="arm64", diff_ids=[DiffID(Digest.of(b"no tar"))]
    )
    push_index(registry, "cli/lies", "1", {"amd64": honest, "arm64": liar})
    lines = run(tmp_path, "convert", f"{server.host}/cli/lies:1", *key, status=1)
    assert [(one["platform"], one["state"]) for one in lines] == [
        ("linux/amd64", "attached"),
        ("linux/arm64", "failed"),
    ]
    assert "diffID" in lines[1]["detail"]
    assert registry.list_referrers("cli/lies", liar.digest) == []


def test_an_absent_image_is_a_registry_failure(server: RunningRegistry, tmp_path: Path) -> None:
    run(tmp_path, "convert", f"{server.host}/cli/absent:1", status=4)


def test_text_names_layers_and_bundles(
    server: RunningRegistry, registry: Registry, key: list[str], tmp_path: Path
) -> None:
    image = image_of(registry, "cli/text", 40)
    reference = f"{server.host}/cli/text:1"
    state = {"VERILAYER_STATE_DIR": str(tmp_path / "state")}
    result = CliRunner().invoke(main, ["convert", reference, *key], env=state)
    assert result.exit_code == 0, result.output
    assert f"linux/amd64  {image.digest}  attached" in result.stdout
    assert "containerd-erofs: attached sha256:" in result.stdout
    shown = CliRunner().invoke(main, ["inspect", reference])
    assert shown.exit_code == 0
    assert "containerd-erofs" in shown.stdout
    assert str(image.layers[0].digest) in shown.stdout
