"""Bundles in a real registry, seen by strangers: oras, skopeo, openssl, GnuTLS, veritysetup."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.catalog.profiles import PROFILES, ProfileName
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.registry.protocols import Registry
from tests.support.certificates import Identity, identity, rsa_key
from tests.support.published import Image, attach, convert, pem_signer, push_image
from tests.support.registries import docker_registry
from tests.support.tools import require
from workers.artifacts.signed import SignedLayer
from workers.cli.commands import main
from workers.images.publication import Placement

pytestmark = pytest.mark.real

ATTACHED: tuple[ProfileName, ...] = (
    "containerd-erofs",
    "notary-tar-index",
    "notation",
    "tardev",
    "verilayer",
)
SUFFIX = "dmverity"


@dataclass(frozen=True, slots=True)
class Shop:
    """A registry with one image and its bundles, signed by a CA's leaf."""

    registry: Registry
    image: Image
    layers: list[SignedLayer]
    ca: Identity
    leaf: Identity
    folder: Path

    @property
    def reference(self) -> str:
        return f"{self.registry.host}/team/app:v1"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("published")
    ca = identity("test ca", key=rsa_key(number=1), ca=True, usages=())
    leaf = identity("test leaf", issuer=ca)
    (folder / "ca.pem").write_bytes(ca.pem)
    (folder / "leaf.pem").write_bytes(leaf.pem)
    with docker_registry(folder) as server:
        registry = server.open()
        image = push_image(registry)
        layers = convert(registry, image, folder, pem_signer(folder / "keys", leaf))
        placement = Placement(tag_suffixes={"containerd-erofs": SUFFIX})
        attach(registry, image, layers, ATTACHED, placement)
        attach(registry, image, layers, ["rfc-layer"])
        yield Shop(registry, image, layers, ca, leaf, folder)
        registry.close()


def _run(*command: str) -> str:
    environment = {**os.environ, "DOCKER_CONFIG": "/nonexistent"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, timeout=60
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.interop(reader="oras discover", format="bundles as referrers")
def test_oras_discovers_every_bundle(shop: Shop) -> None:
    oras = require("oras", ".ci/test-packages")
    found = json.loads(_run(oras, "discover", "--plain-http", "--format", "json", shop.reference))
    listed = found.get("referrers") or found.get("manifests")
    kinds = {each["artifactType"] for each in listed}
    assert kinds == {kind for name in ATTACHED for kind in PROFILES[name].artifact_types}


@pytest.mark.interop(reader="oras discover", format="rfc-layer graph")
def test_oras_discovers_the_per_layer_graph(shop: Shop) -> None:
    from workers.artifacts.compose import layer_manifests

    oras = require("oras", ".ci/test-packages")
    layer = layer_manifests(shop.layers[0].layer)["rfc-layer"].digest
    subject = f"{shop.registry.host}/team/app@{layer}"
    found = json.loads(_run(oras, "discover", "--plain-http", "--format", "json", subject))
    listed = found.get("referrers") or found.get("manifests")
    assert len(listed) == 3


@pytest.mark.interop(reader="oras and skopeo", format="bundle under a deterministic tag")
def test_oras_and_skopeo_read_the_tagged_bundle(shop: Shop) -> None:
    tag = f"sha256-{shop.image.manifest.digest.hex}.{SUFFIX}"
    raw = _run(
        require("skopeo"), "inspect", "--raw", "--tls-verify=false",
        f"docker://{shop.registry.host}/team/app:{tag}",
    )  # fmt: skip
    bundle = json.loads(raw)
    assert bundle["artifactType"] in PROFILES["containerd-erofs"].artifact_types
    out = shop.folder / "pulled"
    oras = require("oras", ".ci/test-packages")
    reference = f"{shop.registry.host}/team/app:{tag}"
    _run(oras, "copy", "--from-plain-http", "--to-oci-layout", reference, f"{out}:copy")
    for entry in bundle["layers"]:
        blob = out / "blobs" / "sha256" / Digest(entry["digest"]).hex
        assert Digest.of(blob.read_bytes()) == entry["digest"]


@pytest.fixture
def signed(shop: Shop, tmp_path: Path) -> Path:
    """A folder with the first layer's signature, its content and a wrong content."""
    layer = shop.layers[0]
    assert layer.signature is not None
    (tmp_path / "sig.p7s").write_bytes(layer.signature)
    (tmp_path / "root").write_text(layer.facts.root_hash)
    (tmp_path / "wrong").write_text("0" * 64)
    return tmp_path


@pytest.mark.interop(reader="openssl cms", format="PKCS#7 signature")
@pytest.mark.parametrize(("content", "status"), [("root", 0), ("wrong", 4)])
def test_openssl_verifies_the_chain(shop: Shop, signed: Path, content: str, status: int) -> None:
    done = subprocess.run(
        [
            "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", signed / "sig.p7s",
            "-content", signed / content, "-CAfile", shop.folder / "ca.pem", "-purpose", "any",
            "-out", "/dev/null",
        ],
        capture_output=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr


@pytest.mark.interop(reader="GnuTLS certtool", format="PKCS#7 signature")
@pytest.mark.parametrize(("content", "good"), [("root", True), ("wrong", False)])
def test_gnutls_verifies_the_chain(shop: Shop, signed: Path, content: str, good: bool) -> None:
    done = subprocess.run(
        [
            require("certtool"), "--p7-verify", "--inder", "--infile", signed / "sig.p7s",
            "--load-data", signed / content, "--load-ca-certificate", shop.folder / "ca.pem",
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode == 0) is good, done.stdout + done.stderr


def _veritysetup(shop: Shop, folder: Path, root_hash: str) -> int:
    facts = shop.layers[0].facts
    data = shop.registry.read_blob("team/app", _blob(facts.index_digest, facts.index_size),
                                   max_bytes=1 << 30) + shop.image.layers[0][2]  # fmt: skip
    tree = shop.registry.read_blob(
        "team/app", _blob(facts.tree_digest, facts.tree_size), max_bytes=1 << 30
    )
    (folder / "data").write_bytes(data)
    (folder / "tree").write_bytes(tree)
    files = [str(folder / "data"), str(folder / "tree")]
    command = [require("veritysetup"), "verify", *files, root_hash]
    return subprocess.run(command, capture_output=True, check=False).returncode


def _blob(digest: Digest, size: int) -> Descriptor:
    return Descriptor(media_type="application/octet-stream", digest=digest, size=size)


@pytest.mark.interop(reader="veritysetup verify", format="hash tree")
def test_veritysetup_verifies_a_layer(shop: Shop, tmp_path: Path) -> None:
    root = shop.layers[0].facts.root_hash
    assert _veritysetup(shop, tmp_path, root) == 0
    assert _veritysetup(shop, tmp_path, "0" * 64) != 0


@pytest.mark.interop(reader="verilayer verify --deep", format="every profile")
def test_the_command_verifies_and_names_what_fails(shop: Shop) -> None:
    ca = ["--ca", str(shop.folder / "ca.pem")]
    run = CliRunner().invoke(main, ["verify", shop.reference, *ca, "--deep", "--json"])
    assert run.exit_code == 0, run.output
    report = json.loads(run.stdout)
    assert report["ok"] is True
    assert len(report["images"][0]["bundles"]) == len(ATTACHED) + 3 * len(shop.layers)
    (shop.folder / "other.pem").write_bytes(identity("other", key=rsa_key(number=2)).pem)
    run = CliRunner().invoke(
        main, ["verify", shop.reference, "--ca", str(shop.folder / "other.pem")]
    )
    assert run.exit_code == 3, run.output
    for layer in shop.layers:
        assert f"failed: {layer.layer.digest}" in run.stderr


def test_attaching_again_changes_nothing(shop: Shop) -> None:
    before = shop.registry.list_referrers("team/app", shop.image.manifest.digest)
    again = attach(shop.registry, shop.image, shop.layers, ATTACHED)
    assert {each.action for each in again} == {"present"}
    after = shop.registry.list_referrers("team/app", shop.image.manifest.digest)
    assert {each.digest for each in after} == {each.digest for each in before}


def test_errors_have_their_exit_codes(shop: Shop) -> None:
    run = CliRunner().invoke(main, ["verify", f"{shop.registry.host}/team/none:v1"])
    assert run.exit_code == 4, run.output
    assert CliRunner().invoke(main, ["verify", "not-a-reference"]).exit_code == 2
