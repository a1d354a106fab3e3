"""One guard: whoever asks about an event hears the same word."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.admin.rules import rules_router
from app.config.model import Rule, ServiceConfig
from app.jobs.intake import IntakeOptions, IntakeReceipt
from app.jobs.loopguard import drop_by_manifest, drop_reason
from app.jobs.push import PushEvent
from app.jobs.reasons import Drop, Ignored, Outcome
from app.jobs.triage import Refused, foretell, triage
from app.oci.images import REASONS, Reason
from app.webhooks.delivery import IGNORED, Delivery, Parsed
from app.webhooks.endpoint import Endpoint
from app.webhooks.proofs.kinds import Origin
from tests.support.guarded_events import BY_EVENT, BY_MEMORY, OURS, ROBOT, event
from tests.support.tools import ROOT

CONFIG = ServiceConfig.model_validate(
    {
        "registries": [{"id": "main", "url": "https://registry.example", "actor": ROBOT}],
        "rules": [
            {"name": "scratch", "repositories": ["scratch/*"], "action": "ignore"},
            {"name": "team", "repositories": ["team/*"]},
        ],
    }
)


class Open:
    """Nobody has to prove anything."""

    def check(self, delivery: Delivery, origin: Origin) -> None:
        """Let it in."""

    def readable(self) -> None:
        """There is no secret."""


@dataclass
class Recorder:
    """An intake that keeps what it is given."""

    events: list[PushEvent] = field(default_factory=list)

    def accept(
        self,
        registry_id: str,
        dialect: str,
        events: list[PushEvent],
        options: IntakeOptions = IntakeOptions(),  # noqa: B008
    ) -> IntakeReceipt:
        self.events += events
        return IntakeReceipt(len(events), 0)


def by_web(pushed: PushEvent) -> str | None:
    """Why the endpoint ignores an event, None when it takes it."""
    endpoint = Endpoint("main", "zot", lambda _: Parsed((pushed,)), Open(), ROBOT, "")
    intake = Recorder()
    outcome = endpoint.receive(Delivery({}, b""), Origin(), intake)  # type: ignore[arg-type]
    assert outcome.accepted == len(intake.events)
    return next(iter(outcome.ignored or {}), None)


@pytest.mark.parametrize(("fields", "reason"), BY_EVENT)
def test_all_give_one_reason_for_an_event(fields: dict[str, object], reason: Drop | None) -> None:
    pushed = event(**fields)
    assert drop_reason(pushed, ROBOT) == reason
    assert by_web(pushed) == reason
    found = triage(CONFIG, "main", pushed, lambda _: False)
    told = foretell(CONFIG, "main", pushed)
    if reason is None:
        assert isinstance(found, Rule)
        assert (told["action"], told["rule"]) == ("convert", "team")
    else:
        assert found == Refused(reason)
        assert isinstance(found, Refused)
        assert found.outcome is Outcome.DROPPED
        assert told == {"action": "ignore", "reason": reason, "because": reason.meaning}


@pytest.mark.parametrize(("fields", "reason"), BY_MEMORY)
def test_what_we_pushed_ourselves(fields: dict[str, object], reason: Drop | None) -> None:
    pushed = event(**fields)
    assert drop_reason(pushed, ROBOT, lambda digest: digest == OURS) == reason
    found = triage(CONFIG, "main", pushed, lambda digest: digest == OURS)
    assert found == Refused(reason) if reason else isinstance(found, Rule)


def test_every_reason_has_an_example() -> None:
    assert {reason for _, reason in BY_EVENT + BY_MEMORY} == {*Drop, None}


def test_without_a_robot_account_every_actor_passes() -> None:
    assert drop_reason(event(actor=ROBOT), None) is None


@pytest.mark.parametrize(
    ("skipped", "reason"),
    [
        (["referrer"], Drop.REFERRER),
        (["artifact"], Drop.ARTIFACT),
        # The index that a referrers tag points at, where its event names no tag.
        (["artifact", "referrer"], Drop.ARTIFACT),
        (["referrer", "attestation"], None),
        (["attestation"], None),
        (["not-linux", "artifact"], None),
        ([], None),
    ],
)
def test_the_manifest_decides_at_last(skipped: list[Reason], reason: Drop | None) -> None:
    assert drop_by_manifest(skipped) == reason


def test_a_word_means_the_same_of_an_event_and_of_a_manifest() -> None:
    assert drop_by_manifest(["referrer"]) == drop_reason(event(has_subject=True), None)
    assert drop_by_manifest(["artifact"]) == drop_reason(event(artifact_type="a/b"), None)
    words = [*Drop, *Ignored, *IGNORED]
    assert len(set(words)) == len(words)
    assert set(words) & set(REASONS) == {Drop.REFERRER, Drop.ARTIFACT}


@pytest.mark.parametrize(
    ("registry", "repository", "reason", "rule"),
    [
        ("gone", "team/app", Ignored.UNKNOWN_REGISTRY, ""),
        ("main", "other/app", Ignored.NO_RULE, ""),
        ("main", "scratch/app", Ignored.RULE, "scratch"),
    ],
)
def test_what_the_configuration_does_not_want(
    registry: str, repository: str, reason: Ignored, rule: str
) -> None:
    pushed = event(repository=repository)
    assert triage(CONFIG, registry, pushed) == Refused(reason, rule)
    assert Refused(reason, rule).outcome is Outcome.IGNORED
    told = foretell(CONFIG, registry, pushed)
    assert (told["action"], told["reason"], told["because"]) == ("ignore", reason, reason.meaning)
    assert told.get("rule") == (rule or None)


def test_the_api_foretells_it() -> None:
    app = FastAPI()
    app.include_router(rules_router(lambda: CONFIG))
    question = {"registry": "main", "repository": "team/app", "tag": f"sha256-{'a' * 64}"}
    body = TestClient(app).post("/v1/rules/test", json=question).json()
    assert (body["action"], body["reason"]) == ("ignore", "derived-tag")
    assert body["tag"] == question["tag"]


def test_reasons_are_documented() -> None:
    rows = dict(IGNORED) | {word: word.meaning for word in (*Outcome, *Ignored, *Drop)}
    page = (ROOT / "docs" / "webhooks.md").read_text()
    assert [row for row in rows.items() if "| `{}` | {} |".format(*row) not in page] == []
    text = (ROOT / "docs" / "registries.md").read_text()
    table = text[text.index("## Which images are converted") :]
    first_cells = "".join(re.findall(r"^\| (`.*?`) \|", table, re.M))
    assert set(re.findall(r"`(.*?)`", first_cells)) == set(REASONS)
