from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.config.model import ServiceConfig
from app.errors import SignerUnavailable, SigningRefused
from app.oci.descriptor import Descriptor
from app.oci.digest import DiffID, Digest
from workers.signing.audit import broken_at
from workers.signing.authority import Purpose, RootEvidence, SigningAuthority
from workers.signing.opening import open_authority

LAYER = Descriptor(media_type="application/x", digest=Digest.of(b"layer"), size=5)
DIFF_ID = DiffID(Digest.of(b"tar"))


@dataclass(frozen=True, slots=True)
class Build:
    """The digests of a layer that was read."""

    blob_digest: Digest = LAYER.digest
    layer_digest: Digest = LAYER.digest
    diff_id: DiffID = DIFF_ID
    root_hash: str = "a" * 64
    single_device_root_hash: str = "b" * 64


def _purpose(repository: str = "team/app", tag: str | None = "v1") -> Purpose:
    return Purpose("main", repository, tag, Digest.of(b"image"), "job-1", "robot", "push of v1")


def _authority(folder: Path) -> SigningAuthority:
    config = ServiceConfig.model_validate(
        {
            "signers": [
                {"name": "team-key", "kind": "ephemeral"},
                {"name": "rest-key", "kind": "ephemeral"},
            ],
            "rules": [
                {"name": "never", "repositories": ["secret/*"], "action": "ignore"},
                {"name": "team", "repositories": ["team/*"], "signer": "team-key"},
                {"name": "rest", "repositories": ["rest/*"]},
            ],
            "defaults": {"signer": "rest-key"},
        }
    )
    return open_authority(config, folder)


def test_rules_bind_repositories_to_keys(tmp_path: Path) -> None:
    authority = _authority(tmp_path)
    bound = {
        repository: signer.name if (signer := authority.signer_for("r", repository, None)) else None
        for repository in ("team/app", "rest/app", "secret/app", "unknown/app")
    }
    assert bound == {
        "team/app": "team-key",
        "rest/app": "rest-key",
        "secret/app": None,
        "unknown/app": None,
    }
    with pytest.raises(SigningRefused, match="no key is bound to main/secret/app"):
        authority.sign(RootEvidence.of(Build(), LAYER, DIFF_ID), _purpose("secret/app"))


def test_every_signature_is_logged_in_a_chain(tmp_path: Path) -> None:
    authority = _authority(tmp_path)
    signed = authority.sign(RootEvidence.of(Build(), LAYER, DIFF_ID), _purpose())
    authority.sign(RootEvidence.of_single_device(Build(), LAYER, DIFF_ID), _purpose(tag=None))
    log = tmp_path / "audit.jsonl"
    one, two = (json.loads(line) for line in log.read_text().splitlines())
    assert signed.signature is not None
    assert one["signature"] == Digest.of(signed.signature)
    assert (one["signer"], one["actor"], one["reason"]) == ("team-key", "robot", "push of v1")
    assert (one["root_hash"], one["layout"]) == ("a" * 64, "device-table")
    assert (two["root_hash"], two["layout"]) == ("b" * 64, "single-device")
    assert broken_at(log) is None


def test_a_changed_or_missing_line_shows(tmp_path: Path) -> None:
    authority = _authority(tmp_path)
    for _ in range(3):
        authority.sign(RootEvidence.of(Build(), LAYER, DIFF_ID), _purpose())
    log = tmp_path / "audit.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(lines[0].replace(b"robot", b"other") + lines[1] + lines[2])
    assert broken_at(log) == 2
    log.write_bytes(lines[0] + lines[2])
    assert broken_at(log) == 2
    log.write_bytes(b"".join(lines)[:-5])
    authority.sign(RootEvidence.of(Build(), LAYER, DIFF_ID), _purpose())
    assert broken_at(log) == 3


@pytest.mark.parametrize(
    "build",
    [
        Build(blob_digest=Digest.of(b"other")),
        Build(layer_digest=Digest.of(b"other")),
        Build(diff_id=DiffID(Digest.of(b"other tar"))),
    ],
)
def test_other_bytes_than_claimed_are_never_signed(build: Build) -> None:
    with pytest.raises(SigningRefused, match="was not what was read"):
        RootEvidence.of(build, LAYER, DIFF_ID)
    with pytest.raises(SigningRefused, match="was not what was read"):
        RootEvidence.of_single_device(build, LAYER, DIFF_ID)


def test_without_a_log_there_is_no_signature(tmp_path: Path) -> None:
    authority = _authority(tmp_path)
    (tmp_path / "audit.jsonl").mkdir()
    with pytest.raises(SignerUnavailable, match="cannot write the audit log"):
        authority.sign(RootEvidence.of(Build(), LAYER, DIFF_ID), _purpose())
