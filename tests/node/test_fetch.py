"""What ``node fetch`` puts into a cache, and what it refuses; no containerd is needed here."""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from app.config.model import SignerConfig
from app.errors import ResponseInvalid, SourceInvalid
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.manifest import RawManifest
from app.oci.mediatypes import OCI_EMPTY, OCI_MANIFEST
from app.registry.transfer.sources import BytesSource
from tests.support.node_images import (
    PushedImage,
    TarLayer,
    attach_forged,
    convert_image,
    push_image,
    runnable_layers,
)
from tests.support.node_stand import NodeStand
from tests.support.tools import require
from workers.formats.tarindex.builder import TarIndexBuilder, TarIndexOptions
from workers.layers.identity import erofs_uuid
from workers.signing.opening import open_signer

pytestmark = [pytest.mark.real]


def converted(stand: NodeStand, name: str = "team/app", **options: Any) -> PushedImage:
    image = push_image(stand.registry, name, runnable_layers())
    convert_image(stand.registry, image, stand.folder / "spool", signer=stand.signer, **options)
    return image


def entries(cache: Path) -> list[Path]:
    return sorted(cache.glob("sha256/??/*.erofs"))


@pytest.mark.parametrize("layout", ["single-device", "device-table"])
def test_veritysetup_accepts_every_entry(stand: NodeStand, layout: str) -> None:
    image = converted(stand)
    stand.fetch(image.reference, "--layout", layout, "--sidecar", "always")
    assert len(entries(stand.cache)) == 3
    for diff_id, tar in zip(image.diff_ids, image.tars, strict=True):
        blob = stand.cache / "sha256" / diff_id.hex[:2] / f"{diff_id.hex}.erofs"
        sidecar = json.loads(Path(f"{blob}.dmverity").read_text())
        assert tar in blob.read_bytes()
        subprocess.run(
            [
                *(require("veritysetup"), "verify", str(blob), str(blob), sidecar["roothash"]),
                f"--hash-offset={sidecar['hashoffset']}",
            ],
            check=True,
        )


@pytest.mark.parametrize("profile", ["containerd-erofs", "notary-tar-index", "verilayer"])
def test_bundles_of_every_readable_profile_serve(stand: NodeStand, profile: str) -> None:
    image = converted(stand, profiles=(profile,))
    report = stand.fetch(image.reference)
    assert report["profile"] == profile
    assert all(layer["signer"] for layer in report["layers"])
    assert len(entries(stand.cache)) == 3


def test_what_is_there_is_not_fetched_again(stand: NodeStand) -> None:
    image = converted(stand)
    stand.fetch(image.reference)
    before = [(path, path.stat().st_ino) for path in entries(stand.cache)]
    victim = entries(stand.cache)[0]
    stand.forget()
    again = stand.fetch(image.reference)
    assert {layer["action"] for layer in again["layers"]} == {"present"}
    assert len(stand.blobs_read()) == 1, "the image config"
    assert [(path, path.stat().st_ino) for path in entries(stand.cache)] == before
    victim.write_bytes(victim.read_bytes()[:-1])  # truncated: made again, and only this one
    actions = [layer["action"] for layer in stand.fetch(image.reference)["layers"]]
    assert sorted(actions) == ["filled", "present", "present"]


def test_two_processes_fill_one_cache(stand: NodeStand) -> None:
    image = converted(stand)
    command = stand.node_command(*stand.fetch_arguments(image.reference))
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    reports = [json.loads(process.communicate(timeout=120)[0]) for process in both]
    actions = [layer["action"] for report in reports for layer in report["layers"]]
    assert sorted(actions) == ["filled"] * 3 + ["present"] * 3


def test_a_stranger_is_not_believed(stand: NodeStand) -> None:
    image = converted(stand)
    stranger = open_signer(SignerConfig(name="other", kind="ephemeral"), stand.folder / "other")
    stand.trust.write_bytes(stranger.chain.leaf.public_bytes(serialization.Encoding.PEM))
    for policy in ("require-signed", "prefer-signed"):
        done = stand.node(*stand.fetch_arguments(image.reference), "--policy", policy)
        assert done.returncode == 3, done.stderr
        assert "does not" in done.stderr or "neither" in done.stderr
    assert not entries(stand.cache)


def test_requiring_signatures_wants_somebody_to_trust(stand: NodeStand) -> None:
    done = stand.node("fetch", "registry.example/a:1", "--cache", str(stand.cache))
    assert done.returncode == 2
    assert "--trust" in done.stderr


def _index_of(tar: bytes, layer: Digest) -> bytes:
    builder = TarIndexBuilder(TarIndexOptions(erofs_uuid(layer).bytes))
    builder.feed(tar)
    return builder.finish().data


def _two_files(first: bytes, second: bytes) -> TarLayer:
    return TarLayer("").add("bin").add("bin/one", first).add("bin/two", second)


def test_an_unsigned_index_that_lies_is_refused(stand: NodeStand) -> None:
    """Index and tree fit each other and the tar, but the index gives two files each other's
    content. Only a rebuild shows it."""
    layer = _two_files(b"1" * 600, b"2" * 600)
    image = push_image(stand.registry, "team/forged", [layer])
    tar, digest = image.tars[0], image.layers[0].digest
    honest = _index_of(tar, digest)
    swapped = tar.replace(b"bin/one", b"bin/tmp").replace(b"bin/two", b"bin/one")
    swapped = swapped.replace(b"bin/tmp", b"bin/two")
    assert swapped != tar
    forged = _index_of(_rechecked(swapped), digest)
    assert forged != honest
    attach_forged(stand.registry, image, [(forged, forged + tar)], signer=None)
    done = stand.node(*stand.fetch_arguments(image.reference), "--policy", "prefer-signed")
    assert done.returncode == 1
    assert "is not the layer's own" in done.stdout
    assert not entries(stand.cache)
    # Its positive twin: the same path with the honest index.
    attach_forged(stand.registry, image, [(honest, honest + tar)], signer=None)
    stand.fetch(image.reference, "--policy", "prefer-signed")
    assert len(entries(stand.cache)) == 1


def _rechecked(tar: bytes) -> bytes:
    """Correct the checksums of all headers."""
    out = bytearray(tar)
    for start in range(0, len(tar), 512):
        block = out[start : start + 512]
        if block[257:262] == b"ustar":
            total = sum(block[:148]) + 8 * 32 + sum(block[156:])
            out[start + 148 : start + 156] = b"%06o\0 " % total
    return bytes(out)


def test_a_signed_tree_over_other_content_is_refused(stand: NodeStand) -> None:
    layer = _two_files(b"1" * 600, b"2" * 600)
    image = push_image(stand.registry, "team/other", [layer])
    tar, digest = image.tars[0], image.layers[0].digest
    index = _index_of(tar, digest)
    changed = tar.replace(b"2" * 600, b"3" * 600)
    attach_forged(stand.registry, image, [(index, index + changed)], signer=stand.signer)
    done = stand.node(*stand.fetch_arguments(image.reference))
    assert done.returncode == 1
    assert "is not what its tree says" in done.stdout
    assert not entries(stand.cache)


def test_a_tree_that_is_longer_than_the_layer_is_refused(stand: NodeStand) -> None:
    image = push_image(stand.registry, "team/longer", [_two_files(b"1" * 600, b"2" * 600)])
    tar, digest = image.tars[0], image.layers[0].digest
    index = _index_of(tar, digest)
    attach_forged(
        stand.registry, image, [(index, index + tar + bytes(100_000))], signer=stand.signer
    )
    done = stand.node(*stand.fetch_arguments(image.reference))
    assert done.returncode == 1
    assert "shorter than its tree" in done.stdout


def test_another_layers_signed_bundle_is_refused(stand: NodeStand) -> None:
    image = push_image(stand.registry, "team/borrowed", [_two_files(b"1" * 600, b"2" * 600)])
    other = Digest.of(b"another layer")
    index = _index_of(image.tars[0], other)
    attach_forged(stand.registry, image, [(index, index + image.tars[0])], signer=stand.signer)
    done = stand.node(*stand.fetch_arguments(image.reference))
    assert done.returncode == 1
    assert "UUID" in done.stdout


def test_nonsense_beside_a_bundle_does_not_hide_it(stand: NodeStand) -> None:
    image = push_image(stand.registry, "team/noisy", runnable_layers())
    subject = stand.registry.resolve(image.repository, "1")
    kind = "application/vnd.containerd.erofs.dmverity.v1"
    for layers in (b"[]", b'[{"mediaType":"x","size":-1}]'):
        manifest = RawManifest(
            OCI_MANIFEST,
            b'{"schemaVersion":2,"mediaType":"%s","artifactType":"%s","config":%s,"layers":%s,'
            b'"subject":%s}'
            % (
                OCI_MANIFEST.encode(), kind.encode(), _empty(stand, image), layers,
                json.dumps(subject.wire()).encode(),
            ),
        )  # fmt: skip
        with suppress(ResponseInvalid, SourceInvalid):  # the registry may refuse it, too
            stand.registry.attach(image.repository, manifest)
    refused = stand.node(*stand.fetch_arguments(image.reference))
    assert refused.returncode == 3
    convert_image(
        stand.registry, image, stand.folder / "spool", signer=stand.signer, profiles=("verilayer",)
    )
    assert len(stand.fetch(image.reference)["layers"]) == 3


def _empty(stand: NodeStand, image: PushedImage) -> bytes:
    config = Descriptor(media_type=OCI_EMPTY, digest=Digest.of(b"{}"), size=2)
    stand.registry.push_blob(image.repository, config, BytesSource(b"{}"))
    return json.dumps(config.wire()).encode()
