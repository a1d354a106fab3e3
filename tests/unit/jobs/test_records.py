"""Layer builds are read by workers of other releases: facts in both directions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from app.facts import LayerFacts, WarnedKind
from app.jobs.records import LayerBuild
from app.jobs.state import JobState
from app.oci.digest import DiffID, Digest

FACTS = LayerFacts(
    layer_digest=Digest.of(b"layer"),
    layer_size=10,
    diff_id=DiffID(Digest.of(b"tar")),
    tar_size=20,
    builder_version="1.9.3",
    padding=512,
    uuid="a-uuid",
    index_digest=Digest.of(b"index"),
    index_size=5,
    tree_digest=Digest.of(b"tree"),
    tree_size=4,
    root_hash="a" * 64,
    single_device_root_hash="b" * 64,
    data_size=25,
    hash_offset=512,
    entries=3,
    warnings=("nul-type: a: dropped",),
    warned=(WarnedKind("nul-type", 21, "nul-type: a: dropped"), WarnedKind("sparse", 1, "sparse")),
)
BUILD = LayerBuild(
    id="b1",
    registry="main",
    repository="team/app",
    state=JobState.SUCCEEDED,
    created=1.0,
    updated=2.0,
    submitted=1.0,
    ended=2.0,
    layer=FACTS.layer_digest,
    diff_id=FACTS.diff_id,
    size=10,
    media_type="application/vnd.oci.image.layer.v1.tar",
    builder_version="1.9.3",
    padding=512,
    facts=FACTS,
)


class OlderFacts(BaseModel):
    """What release 0.1 reads and writes; the names are its own."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    index_digest: Digest
    index_size: int
    tree_digest: Digest
    tree_size: int
    root_hash: str
    single_device_root_hash: str | None = None
    uuid: str
    data_size: int
    hash_offset: int
    entries: int
    tar_size: int
    warnings: tuple[str, ...] = ()
    warning_kinds: tuple[str, ...] = ()


def _document() -> dict[str, Any]:
    document = json.loads(BUILD.model_dump_json())
    assert isinstance(document, dict)
    return document


def test_facts_come_back_as_they_were() -> None:
    back = LayerBuild.model_validate_json(BUILD.model_dump_json())
    assert back == BUILD
    assert back.facts == FACTS
    assert (back.built, back.outdated) == (True, False)


def test_an_older_worker_reads_a_newer_record() -> None:
    older = OlderFacts.model_validate(_document()["facts"])
    for name in ("index_digest", "tree_size", "root_hash", "uuid", "entries", "tar_size"):
        assert getattr(older, name) == getattr(FACTS, name)
    assert older.warnings == FACTS.warnings
    # It would take a layer without these for one that lost nothing.
    assert older.warning_kinds == ("nul-type", "sparse")


def test_what_an_older_worker_recorded_counts_as_not_known() -> None:
    document = _document()
    older = OlderFacts.model_validate(document["facts"])
    document["facts"] = older.model_dump(mode="json")
    back = LayerBuild.model_validate_json(json.dumps(document))
    assert back.facts is None
    assert (back.built, back.outdated) == (False, True)


@pytest.mark.parametrize(
    "name", ["layer_digest", "layer_size", "diff_id", "builder_version", "padding", "warned"]
)
def test_nothing_of_what_was_read_may_be_missing(name: str) -> None:
    document = _document()
    del document["facts"][name]
    assert LayerBuild.model_validate_json(json.dumps(document)).facts is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("layer_digest", "sha256:short"), ("padding", "many"), ("warned", [{"kind": "nul-type"}])],
)
def test_facts_that_are_none_count_as_not_known(name: str, value: object) -> None:
    document = _document()
    document["facts"][name] = value
    assert LayerBuild.model_validate_json(json.dumps(document)).facts is None
