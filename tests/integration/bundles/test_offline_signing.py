"""Root hashes out, signatures made by OpenSSL, bundles in: the key never meets our code."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.registry.protocols import Registry
from tests.support.certificates import Identity, identity, rsa_key
from tests.support.published import Image, push_image
from tests.support.registries import docker_registry
from workers.cli.commands import main
from workers.signing.audit import broken_at

pytestmark = pytest.mark.real


@dataclass(frozen=True, slots=True)
class Desk:
    """A registry with an image, a prepared folder, and the signer's files."""

    registry: Registry
    image: Image
    work: Path
    key: Path
    certificate: Path
    folder: Path

    @property
    def reference(self) -> str:
        return f"{self.registry.host}/team/app:v1"

    def run(self, *arguments: str) -> Result:
        state = ["--state", str(self.folder / "state")] if arguments[1] == "push" else []
        return CliRunner().invoke(main, [*arguments, *state])

    def roots(self) -> list[Path]:
        return sorted(self.work.glob("*.roothash"))

    def smime(self, root: Path, *options: str) -> None:
        command = ["openssl", "smime", "-sign", "-noattr", "-binary", "-outform", "der"]
        command += ["-in", str(root), "-inkey", str(self.key), "-signer", str(self.certificate)]
        subprocess.run(
            [*command, *options, "-out", str(root.with_suffix(".p7s"))],
            check=True,
            capture_output=True,
        )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Registry, Image, Path]]:
    folder = tmp_path_factory.mktemp("offline")
    with docker_registry(folder) as server:
        registry = server.open()
        image = push_image(registry)
        work = folder / "work"
        reference = f"{server.host}/team/app:v1"
        run = CliRunner().invoke(main, ["sign", "prepare", reference, "--out", str(work)])
        assert run.exit_code == 0, run.output
        yield registry, image, work
        registry.close()


@pytest.fixture
def desk(prepared: tuple[Registry, Image, Path], tmp_path: Path) -> Desk:
    registry, image, work = prepared
    own = tmp_path / "work"
    shutil.copytree(work, own)
    who: Identity = identity("offline signer", key=rsa_key(3072))
    key, certificate = who.write(tmp_path)
    return Desk(registry, image, own, key, certificate, tmp_path)


def test_what_openssl_signed_is_attached_and_verifies(desk: Desk) -> None:
    assert len(desk.roots()) == 2
    for root in desk.roots():
        assert len(root.read_bytes()) == 64
        desk.smime(root)
    run = desk.run("sign", "push", str(desk.work), "--force", "--json")
    assert run.exit_code == 0, run.output
    checked = desk.run("verify", desk.reference, "--deep", "--ca", str(desk.certificate))
    assert checked.exit_code == 0, checked.output
    log = desk.folder / "state" / "audit.jsonl"
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert [entry["event"] for entry in entries] == ["imported", "imported"]
    assert all("offline signer" in entry["subject"] for entry in entries)
    assert broken_at(log) is None


def test_raw_signatures_need_their_certificate(desk: Desk) -> None:
    for root in desk.roots():
        subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", str(desk.key),
             "-out", str(root.with_suffix(".sig")), str(root)], check=True,
        )  # fmt: skip
    run = desk.run("sign", "push", str(desk.work), "--force")
    assert run.exit_code == 1
    assert "raw signature" in run.stderr
    certificate = ["--certificate", str(desk.certificate)]
    run = desk.run("sign", "push", str(desk.work), "--force", "--no-embed", *certificate)
    assert run.exit_code == 0, run.output
    checked = desk.run("verify", desk.reference, "--ca", str(desk.certificate))
    assert checked.exit_code == 0, checked.output


def test_one_missing_signature_publishes_nothing(desk: Desk) -> None:
    before = desk.registry.list_referrers("team/app", desk.image.manifest.digest)
    desk.smime(desk.roots()[0])
    run = desk.run("sign", "push", str(desk.work), "--profile=notation")
    assert run.exit_code == 1
    assert f"{desk.roots()[1].stem} is not signed" in run.stderr
    assert desk.registry.list_referrers("team/app", desk.image.manifest.digest) == before


def test_a_signature_over_something_else_is_refused(desk: Desk) -> None:
    one, other = desk.roots()
    desk.smime(one)
    shutil.copy(one.with_suffix(".p7s"), other.with_suffix(".p7s"))
    run = desk.run("sign", "push", str(desk.work))
    assert run.exit_code == 1
    assert "does not verify over the root hash" in run.stderr


def test_a_signature_that_a_kernel_refuses_is_refused(desk: Desk) -> None:
    for root in desk.roots():
        desk.smime(root)
    with_attributes = ["openssl", "cms", "-sign", "-binary", "-outform", "der"]
    root = desk.roots()[0]
    with_attributes += ["-in", str(root), "-inkey", str(desk.key), "-signer", str(desk.certificate)]
    subprocess.run([*with_attributes, "-out", str(root.with_suffix(".p7s"))], check=True)
    run = desk.run("sign", "push", str(desk.work))
    assert run.exit_code == 1
    assert "S/MIME capabilities" in run.stderr


@pytest.mark.parametrize("kind", ["index", "tree"])
def test_content_that_changed_on_the_way_is_refused(desk: Desk, kind: str) -> None:
    for root in desk.roots():
        desk.smime(root)
    path = desk.roots()[0].with_suffix(f".{kind}")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    run = desk.run("sign", "push", str(desk.work))
    assert run.exit_code == 3, run.output
    assert "has digest" in run.stderr


def test_an_edited_root_hash_is_refused(desk: Desk) -> None:
    document = desk.work / "prepared.json"
    first = json.loads(document.read_text())
    for layer in first["layers"].values():
        layer["root_hash"] = "ab" * 32
    document.write_text(json.dumps(first))
    for root in desk.roots():
        root.write_text("ab" * 32)
        desk.smime(root)
    run = desk.run("sign", "push", str(desk.work))
    assert run.exit_code == 3, run.output
    assert "the tree's root is not abab" in run.stderr


def test_a_folder_that_was_not_prepared(desk: Desk) -> None:
    (desk.work / "prepared.json").write_text('{"version": 2}')
    assert desk.run("sign", "push", str(desk.work)).exit_code == 2
