"""The engine's side of the loop guard, over a real Redis and a real OCI layout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from app.config.model import Rule, ServiceConfig
from app.jobs.intake import IntakeRecord
from app.jobs.pending import EventOutcome
from app.jobs.push import PushEvent
from app.jobs.reasons import Drop, Ignored, Outcome
from app.oci.derived_tags import DerivedTag
from app.oci.images import BUILDKIT_TYPE, Reason
from app.oci.manifest import RawManifest, encode
from app.oci.mediatypes import OCI_INDEX, OCI_MANIFEST
from app.registry.layout.directory import LayoutRegistry
from app.registry.repository import Repository
from tests.support.engine_rig import Rig, new_rig
from tests.support.guarded_events import BY_EVENT, BY_MEMORY, OURS, ROBOT, event
from tests.support.images import PushedImage, layer_tar, push_image
from tests.support.redis_server import RedisServer, redis_server
from workers.engine.expansion import Expansion

pytestmark = pytest.mark.real

CONFIG = ServiceConfig.model_validate(
    {
        "registries": [{"id": "main", "url": "https://registry.example", "actor": ROBOT}],
        "rules": [
            {"name": "scratch", "repositories": ["scratch/*"], "action": "ignore"},
            {"name": "team", "repositories": ["team/*"], "platforms": ["linux/amd64"]},
        ],
    }
)


@dataclass(frozen=True, slots=True)
class Bench:
    """An engine's expansion, and one repository with an image."""

    rig: Rig
    expansion: Expansion
    registry: LayoutRegistry
    image: PushedImage

    def push(self, media_type: str, **document: object) -> RawManifest:
        """Push a manifest or index as it is."""
        raw = RawManifest(
            media_type, encode({"schemaVersion": 2, "mediaType": media_type, **document})
        )
        self.registry.push_manifest("team/app", raw)
        return raw

    def artifact(self, **extra: object) -> RawManifest:
        """Push a manifest with an artifact type."""
        config = self.image.layers[0].wire()
        return self.push(OCI_MANIFEST, artifactType="a/b", config=config, layers=[], **extra)

    def settled(self, pushed: PushEvent) -> EventOutcome:
        """What becomes of an event, read from the registry if need be."""
        record = IntakeRecord(registry="main", dialect="zot", received=1.0, event=pushed)
        rule = self.expansion.triage(record)
        if isinstance(rule, Rule):
            return self.expansion.expand(record, rule, Repository(self.registry, pushed.repository))
        return rule


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def bench(server: RedisServer, tmp_path: Path) -> Bench:
    rig = new_rig(server)
    registry = LayoutRegistry(tmp_path / "layout")
    image = push_image(registry, "team/app", [layer_tar(1)], tag="1.4")
    rig.engine.own_pushes.remember("main", [OURS])
    return Bench(rig, Expansion(rig.engine, CONFIG), registry, image)


def drops(reason: Drop) -> float:
    return REGISTRY.get_sample_value("verilayer_loop_drops_total", {"guard": reason}) or 0.0


@pytest.mark.parametrize(
    ("fields", "reason"), [case for case in BY_EVENT + BY_MEMORY if case[1] is not None]
)
def test_the_engine_gives_the_webs_reasons(
    bench: Bench, fields: dict[str, object], reason: Drop
) -> None:
    before = drops(reason)
    outcome = bench.settled(event(**fields))
    assert (outcome.outcome, outcome.reason) == (Outcome.DROPPED, reason)
    assert drops(reason) == before + 1


def test_what_nobody_drops_becomes_a_job(bench: Bench) -> None:
    outcome = bench.settled(event())
    assert (outcome.outcome, outcome.reason, len(outcome.jobs)) == (Outcome.JOBS, "", 1)


def test_own_pushes_are_known_in_their_registry_only(bench: Bench) -> None:
    assert bench.rig.engine.own_pushes.knows("main", OURS)
    assert not bench.rig.engine.own_pushes.knows("other", OURS)


def test_the_manifest_says_the_same_where_the_event_says_nothing(bench: Bench) -> None:
    subject = bench.image.manifest.descriptor.wire()
    referrer, artifact = bench.artifact(subject=subject), bench.artifact()
    listed = [
        raw.descriptor.model_copy(update={"artifact_type": "a/b"}).wire()
        for raw in (referrer, artifact)
    ]
    index = bench.push(OCI_INDEX, manifests=listed)
    for raw, reason in (
        (referrer, Drop.REFERRER),
        (artifact, Drop.ARTIFACT),
        (index, Drop.ARTIFACT),
    ):
        before = drops(reason)
        outcome = bench.settled(event(tag=None, digest=raw.digest))
        assert (outcome.outcome, outcome.reason) == (Outcome.DROPPED, reason)
        assert drops(reason) == before + 1


def test_what_is_only_unfit_is_skipped_not_dropped(bench: Bench) -> None:
    image = bench.image.manifest.descriptor.wire()
    windows = {**image, "platform": {"os": "windows", "architecture": "amd64"}}
    attestation = {**image, "annotations": {BUILDKIT_TYPE: "attestation-manifest"}}
    artifact = bench.artifact().descriptor.wire()
    cases: list[tuple[list[dict[str, object]], Reason]] = [
        ([], "no-image"),
        ([windows, artifact], "not-linux"),
        ([attestation], "attestation"),
        ([{**image, "platform": {"os": "linux", "architecture": "arm64"}}], "platform"),
    ]
    for children, reason in cases:
        index = bench.push(OCI_INDEX, manifests=children)
        outcome = bench.settled(event(tag=None, digest=index.digest))
        assert (outcome.outcome, outcome.reason) == (Outcome.SKIPPED, reason)


def test_what_the_configuration_does_not_want_is_ignored(bench: Bench) -> None:
    outcome = bench.settled(event(repository="scratch/app"))
    assert (outcome.outcome, outcome.reason) == (Outcome.IGNORED, Ignored.RULE)
    assert outcome.message == "scratch"
    outcome = bench.settled(event(repository="other/app"))
    assert (outcome.outcome, outcome.reason) == (Outcome.IGNORED, Ignored.NO_RULE)


def test_an_outcome_is_the_same_after_redis(bench: Bench) -> None:
    tag = str(DerivedTag.of(bench.image.digest, "dmverity", "signature"))
    outcome = bench.settled(event(tag=tag))
    text = outcome.model_dump_json(exclude_defaults=True)
    assert text == '{"outcome":"dropped","reason":"derived-tag"}'
    assert EventOutcome.model_validate_json(text) == outcome
