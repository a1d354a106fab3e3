from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from app.catalog.vocabulary import Layout
from app.config.model import ServiceConfig
from app.errors import SignerUnavailable, SigningRefused
from app.facts import LayerFacts
from app.oci.descriptor import Descriptor
from app.oci.digest import DiffID, Digest
from app.oci.images import PlannedLayer
from workers.artifacts.signed import SignedLayer
from workers.layers.identity import erofs_uuid
from workers.signing.audit import broken_at
from workers.signing.authority import ImageSigner, Purpose, SigningAuthority
from workers.signing.opening import open_authority
from workers.signing.seals import EvidenceSeals

LAYER = Descriptor(media_type="application/x", digest=Digest.of(b"layer"), size=5)
DIFF_ID = DiffID(Digest.of(b"tar"))


SEALS = EvidenceSeals.of_this_process()
FACTS = SEALS.sealed(
    LayerFacts(
        layer_digest=LAYER.digest,
        layer_size=LAYER.size,
        diff_id=DIFF_ID,
        tar_size=3,
        builder_version="1.9.3",
        padding=512,
        uuid=str(erofs_uuid(LAYER.digest)),
        index_digest=Digest.of(b"index"),
        index_size=512,
        tree_digest=Digest.of(b"tree"),
        tree_size=1024,
        root_hash="a" * 64,
        single_device_root_hash="b" * 64,
        data_size=515,
        hash_offset=1024,
        entries=1,
        warnings=(),
        warned=(),
    )
)
PLANNED = PlannedLayer(LAYER, DIFF_ID, "", (0,))


def _purpose(repository: str = "team/app", tag: str | None = "v1") -> Purpose:
    return Purpose("main", repository, tag, Digest.of(b"image"), "job-1", "robot", "push of v1")


def _authority(folder: Path, **config: object) -> SigningAuthority:
    document = ServiceConfig.model_validate(
        {
            **config,
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
    return open_authority(document, folder, SEALS)


def _sign(authority: SigningAuthority, purpose: Purpose, layout: Layout = "device-table") -> bytes:
    return authority.sign(authority.evidence(FACTS, PLANNED, purpose), layout, purpose)


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
        _sign(authority, _purpose("secret/app"))


def test_every_signature_is_logged_in_a_chain(tmp_path: Path) -> None:
    authority = _authority(tmp_path)
    signed = _sign(authority, _purpose())
    _sign(authority, _purpose(tag=None), "single-device")
    log = tmp_path / "audit.jsonl"
    one, two = (json.loads(line) for line in log.read_text().splitlines())
    assert one["signature"] == Digest.of(signed)
    assert (one["signer"], one["actor"], one["reason"]) == ("team-key", "robot", "push of v1")
    assert (one["root_hash"], one["layout"]) == ("a" * 64, "device-table")
    assert (two["root_hash"], two["layout"]) == ("b" * 64, "single-device")
    assert broken_at(log) is None


def test_a_changed_or_missing_line_shows(tmp_path: Path) -> None:
    authority = _authority(tmp_path)
    for _ in range(3):
        _sign(authority, _purpose())
    log = tmp_path / "audit.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(lines[0].replace(b"robot", b"other") + lines[1] + lines[2])
    assert broken_at(log) == 2
    log.write_bytes(lines[0] + lines[2])
    assert broken_at(log) == 2
    log.write_bytes(b"".join(lines)[:-5])
    _sign(authority, _purpose())
    assert broken_at(log) == 3


OTHER = Descriptor(media_type="application/x", digest=Digest.of(b"another layer"), size=13)
OTHER_TAR = DiffID(Digest.of(b"another tar"))
DIFFERENCES: dict[str, tuple[LayerFacts, PlannedLayer, object, object]] = {
    "layer-digest": (
        replace(FACTS, layer_digest=OTHER.digest),
        PLANNED,
        OTHER.digest,
        LAYER.digest,
    ),
    "layer-size": (replace(FACTS, layer_size=6), PLANNED, 6, 5),
    "diff-id": (replace(FACTS, diff_id=OTHER_TAR), PLANNED, OTHER_TAR, DIFF_ID),
    "uuid": (
        replace(FACTS, uuid=str(erofs_uuid(OTHER.digest))),
        PLANNED,
        str(erofs_uuid(OTHER.digest)),
        FACTS.uuid,
    ),
    "builder-version": (replace(FACTS, builder_version="1.8.6"), PLANNED, "1.8.6", "1.9.3"),
    "padding": (replace(FACTS, padding=4096), PLANNED, 4096, 512),
}


@pytest.mark.parametrize("reason", DIFFERENCES)
@pytest.mark.parametrize("repository", ["team/app", "unsigned/app"])
def test_other_bytes_than_claimed_are_never_signed(
    tmp_path: Path, reason: str, repository: str
) -> None:
    authority, purpose = _authority(tmp_path), _purpose(repository)
    changed, planned, found, claimed = DIFFERENCES[reason]
    recorded = SEALS.sealed(changed)
    name = "team-key" if repository == "team/app" else ""
    before = _refused(name)
    with pytest.raises(SigningRefused, match="was not what was read") as caught:
        ImageSigner(authority, purpose, single_device=True).sign(recorded, planned)
    assert caught.value.details == {
        "layer": LAYER.digest,
        "reason": reason,
        "recorded": found,
        "claimed": claimed,
    }
    assert str(found) in caught.value.message
    assert str(claimed) in caught.value.message
    (line,) = map(json.loads, (tmp_path / "audit.jsonl").read_text().splitlines())
    assert (line["event"], line["signer"], line["layer"]) == ("refused", name, LAYER.digest)
    assert line["difference"] == {"reason": reason, "recorded": found, "claimed": claimed}
    assert (line["repository"], line["image"]) == (repository, purpose.image)
    assert _refused(name) == before + 1


def test_facts_of_one_layer_never_serve_another(tmp_path: Path) -> None:
    authority = _authority(tmp_path)
    signer = ImageSigner(authority, _purpose(), single_device=False)
    assert signer.sign(FACTS, PLANNED).signature is not None
    for planned in (
        PlannedLayer(OTHER, OTHER_TAR, "", (0,)),
        PlannedLayer(OTHER, DIFF_ID, "", (0,)),
        PlannedLayer(LAYER, OTHER_TAR, "", (0,)),
    ):
        with pytest.raises(SigningRefused, match=planned.descriptor.digest):
            signer.sign(FACTS, planned)


def test_a_padding_in_force_is_what_counts(tmp_path: Path) -> None:
    authority = _authority(tmp_path, build={"padding": 4096, "builder_version": "1.8.10"})
    recorded = SEALS.sealed(replace(FACTS, padding=4096, builder_version="1.8.10"))
    signer = ImageSigner(authority, _purpose(), single_device=False)
    assert signer.sign(recorded, PLANNED).facts == recorded
    with pytest.raises(SigningRefused, match=r"recorded is builder-version 1\.9\.3"):
        signer.sign(FACTS, PLANNED)


def test_where_no_key_is_bound_layers_stay_unsigned(tmp_path: Path) -> None:
    signer = ImageSigner(_authority(tmp_path), _purpose("unsigned/app"), single_device=True)
    assert signer.sign(FACTS, PLANNED) == SignedLayer(LAYER, FACTS)
    assert not (tmp_path / "audit.jsonl").exists()


@pytest.mark.parametrize("field", [each.name for each in fields(LayerFacts)])
def test_what_no_worker_sealed_is_never_signed(tmp_path: Path, field: str) -> None:
    """Whoever can write to Redis can change any field of a record, its seal included."""
    others: dict[type, object] = {str: "f" * 64, int: 7, Digest: OTHER.digest, DiffID: OTHER_TAR}
    value = getattr(FACTS, field)
    changed: Any = {field: ("nul-type: x: y",) if value == () else others[type(value)]}
    authority, purpose = _authority(tmp_path), _purpose()
    signer = ImageSigner(authority, purpose, single_device=True)
    with pytest.raises(SigningRefused, match="does not bear the seal of a worker") as caught:
        signer.sign(replace(FACTS, **changed), PLANNED)
    assert caught.value.details["reason"] == "seal"
    (line,) = map(json.loads, (tmp_path / "audit.jsonl").read_text().splitlines())
    assert (line["event"], line["difference"]["reason"]) == ("refused", "seal")


def _refused(name: str) -> float:
    labels = {"signer": name, "outcome": "refused"}
    return REGISTRY.get_sample_value("verilayer_signatures_total", labels) or 0.0


def test_without_a_log_there_is_no_signature(tmp_path: Path) -> None:
    authority = _authority(tmp_path)
    (tmp_path / "audit.jsonl").mkdir()
    with pytest.raises(SignerUnavailable, match="cannot write the audit log"):
        _sign(authority, _purpose())
