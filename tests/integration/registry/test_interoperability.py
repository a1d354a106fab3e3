"""Independent readers and writers: the oras CLI, skopeo, and the oras Python package."""

from __future__ import annotations

import json
import subprocess
from contextlib import closing
from pathlib import Path

import oras.client
import pytest

from app.oci.digest import Digest
from app.registry.layout.directory import LayoutRegistry
from tests.support.artifacts import artifact, push_image
from tests.support.registries import RunningRegistry
from tests.support.tools import require

pytestmark = pytest.mark.real

KIND = "application/vnd.test.artifact"


def run(tool: str, *arguments: str, cwd: Path | None = None) -> str:
    answer = subprocess.run(
        [require(tool), *arguments], capture_output=True, text=True, cwd=cwd, check=False
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_oras_finds_what_we_attached(server: RunningRegistry, repository: str) -> None:
    with closing(server.open()) as registry:
        image = push_image(registry, repository, "v1", b"layer")
        manifests = [artifact(image, KIND, str(n)) for n in range(3)]
        for manifest in manifests:
            registry.attach(repository, manifest)
        name = f"{server.host}/{repository}:v1"
        found = json.loads(run("oras", "discover", "--plain-http", "--format", "json", name))
        entries = found.get("referrers", found.get("manifests"))
        assert {entry["digest"] for entry in entries} == {m.digest for m in manifests}
        assert {entry["artifactType"] for entry in entries} == {KIND}
        registry.detach(repository, image.digest, manifests[0].digest)
        found = json.loads(run("oras", "discover", "--plain-http", "--format", "json", name))
        entries = found.get("referrers", found.get("manifests"))
        assert {entry["digest"] for entry in entries} == {m.digest for m in manifests[1:]}


def test_we_find_what_oras_attached_and_keep_it(
    server: RunningRegistry, repository: str, tmp_path: Path
) -> None:
    (tmp_path / "note.txt").write_text("hello")
    with closing(server.open()) as registry:
        image = push_image(registry, repository, "v1", b"layer")
        name = f"{server.host}/{repository}:v1"
        run(
            "oras",
            "attach",
            "--plain-http",
            "--artifact-type",
            KIND,
            name,
            "note.txt",
            cwd=tmp_path,
        )
        ours = artifact(image, "application/vnd.test.ours")
        registry.attach(repository, ours)
        found = registry.list_referrers(repository, image.digest)
        assert {entry.artifact_type for entry in found} == {KIND, "application/vnd.test.ours"}
        theirs = registry.list_referrers(repository, image.digest, KIND)[0]
        manifest = registry.fetch_manifest(repository, theirs.digest)
        assert json.loads(manifest.data)["subject"]["digest"] == image.digest


def test_skopeo_copies_what_we_pushed(
    server: RunningRegistry, repository: str, tmp_path: Path
) -> None:
    with closing(server.open()) as registry:
        image = push_image(registry, repository, "v1", b"layer of skopeo")
        source = f"docker://{server.host}/{repository}:v1"
        run(
            "skopeo",
            "copy",
            "--preserve-digests",
            "--src-tls-verify=false",
            source,
            f"oci:{tmp_path / 'layout'}:v1",
        )
        layout = LayoutRegistry(tmp_path / "layout", create=False)
        assert layout.resolve("any", "v1").digest == image.digest


def test_we_read_what_skopeo_pushed(
    server: RunningRegistry, repository: str, tmp_path: Path
) -> None:
    layout = LayoutRegistry(tmp_path / "layout")
    image = push_image(layout, "any", "v1", b"layer of skopeo")
    target = f"docker://{server.host}/{repository}:v1"
    run(
        "skopeo",
        "copy",
        "--preserve-digests",
        "--dest-tls-verify=false",
        f"oci:{tmp_path / 'layout'}:v1",
        target,
    )
    with closing(server.open()) as registry:
        assert registry.fetch_manifest(repository, "v1") == image


def test_oras_copies_an_image_with_its_referrers_out_of_a_layout(
    server: RunningRegistry, repository: str, tmp_path: Path
) -> None:
    layout = LayoutRegistry(tmp_path / "layout")
    image = push_image(layout, "any", "v1", b"layer")
    manifest = artifact(image, KIND)
    layout.attach("any", manifest)
    target = f"{server.host}/{repository}:v1"
    source = f"{tmp_path / 'layout'}:v1"
    run("oras", "cp", "-r", "--from-oci-layout", "--to-plain-http", source, target)
    with closing(server.open()) as registry:
        found = registry.list_referrers(repository, image.digest, KIND)
        assert [entry.digest for entry in found] == [manifest.digest]


def test_the_oras_package_pulls_what_we_pushed(
    server: RunningRegistry, repository: str, tmp_path: Path
) -> None:
    with closing(server.open()) as registry:
        image = push_image(registry, repository, "v1", b"layer")
    client = oras.client.OrasClient(insecure=True)
    manifest = client.get_manifest(f"{server.host}/{repository}:v1")
    assert manifest == json.loads(image.data)
    blob = client.get_blob(f"{server.host}/{repository}", Digest.of(b"layer"))
    assert blob.content == b"layer"
