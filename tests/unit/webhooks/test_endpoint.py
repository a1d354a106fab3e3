from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from app.config.model import ServiceConfig
from app.errors import BrokerUnavailable, ConfigurationError, Unauthenticated
from app.jobs.intake import IntakeOptions, IntakeReceipt
from app.jobs.push import PushEvent
from app.webhooks.delivery import Delivery
from app.webhooks.endpoint import Endpoint, build_endpoints
from app.webhooks.fetch import fetch
from app.webhooks.proofs.kinds import Origin
from tests.support.webhook_cases import CASES


class Recorder:
    """An intake that records, or is away."""

    def __init__(self, away: bool = False) -> None:
        self.events: list[PushEvent] = []
        self.away = away

    def accept(
        self,
        registry_id: str,
        dialect: str,
        events: Sequence[PushEvent],
        options: IntakeOptions = IntakeOptions(),  # noqa: B008
    ) -> IntakeReceipt:
        if self.away:
            raise BrokerUnavailable("away")
        self.events += events
        return IntakeReceipt(len(events), 0)


def endpoint(**webhook: Any) -> Endpoint:
    registry = {
        "id": "main",
        "url": "https://registry.example",
        "actor": "ci",
        "webhook": {"dialect": "quay", "auth": "path", "secrets": [{"value": "t"}], **webhook},
    }
    config = ServiceConfig.model_validate({"registries": [registry]})
    return build_endpoints(config, fetch)["main"]


def delivery(dialect: str, name: str) -> Delivery:
    (case,) = (c for c in CASES if (c.dialect, c.name) == (dialect, name))
    return case.delivery


def test_a_prefix_is_put_before_repositories() -> None:
    intake = Recorder()
    made = endpoint(repository_prefix="docker-local/")
    outcome = made.receive(delivery("quay", "two tags"), Origin(path_token="t"), intake)
    assert outcome.accepted == 2
    assert {event.repository for event in intake.events} == {"docker-local/team/app"}


def test_our_own_pushes_do_not_reach_the_intake() -> None:
    intake = Recorder()
    made = endpoint(dialect="dockerhub")
    outcome = made.receive(delivery("dockerhub", "push"), Origin(path_token="t"), intake)
    assert (outcome.accepted, outcome.ignored, intake.events) == (0, {"own-actor": 1}, [])


def test_nothing_is_parsed_before_the_proof() -> None:
    with pytest.raises(Unauthenticated):
        endpoint().receive(Delivery({}, b"not json"), Origin(path_token="wrong"), Recorder())


def test_a_delivery_without_pushes_needs_no_redis() -> None:
    made, origin = endpoint(), Origin(path_token="t")
    assert made.receive(delivery("quay", "build"), origin, Recorder(away=True)).accepted == 0
    with pytest.raises(BrokerUnavailable):
        made.receive(delivery("quay", "two tags"), origin, Recorder(away=True))


def test_a_secret_that_cannot_be_read_names_the_registry() -> None:
    with pytest.raises(ConfigurationError, match="registry main cannot start"):
        endpoint(secrets=[{"env": "NO_SUCH_VARIABLE_X"}])
