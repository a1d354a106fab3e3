"""One endpoint, as configured: check the proof, parse, guard against loops, hand over.

``Endpoints`` is built anew on every reload of the configuration and swapped as a whole; building it
fails when an endpoint could not tell its sender from anybody else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from app.catalog.dialects import DialectName
from app.config.model import RegistryConfig, ServiceConfig
from app.errors import ConfigurationError
from app.jobs.intake import Intake
from app.jobs.loopguard import drop_reason
from app.webhooks.delivery import Delivery, Parser
from app.webhooks.dialects.opening import open_parser
from app.webhooks.fetch import Fetch
from app.webhooks.proofs.kinds import Origin, Proof
from app.webhooks.proofs.opening import open_proof


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a delivery."""

    accepted: int = 0
    duplicates: int = 0
    #: Reason, a key of ``app.webhooks.delivery.IGNORED`` or a ``Drop`` -> how many.
    ignored: Mapping[str, int] | None = None
    answer: Mapping[str, str] | None = None
    confirm: str | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What listens at ``/webhooks/{registry_id}``."""

    registry_id: str
    dialect: DialectName
    parser: Parser
    proof: Proof
    own_actor: str | None
    repository_prefix: str

    def receive(self, delivery: Delivery, origin: Origin, intake: Intake) -> Outcome:
        """Take one delivery.

        Raises ``Unauthenticated``, ``PayloadInvalid``, and ``BrokerUnavailable`` when the events
        could not be stored.
        """
        self.proof.check(delivery, origin)
        parsed = self.parser(delivery)
        ignored: Counter[str] = Counter(parsed.ignored)
        events = []
        for event in parsed.events:
            reason = drop_reason(event, self.own_actor)
            if reason is None:
                events.append(event.under(self.repository_prefix))
            else:
                ignored[reason] += 1
        receipt = intake.accept(self.registry_id, self.dialect, events) if events else None
        return Outcome(
            accepted=receipt.accepted if receipt else 0,
            duplicates=receipt.duplicates if receipt else 0,
            ignored=dict(ignored),
            answer=parsed.answer,
            confirm=parsed.confirm,
        )


Endpoints = Mapping[str, Endpoint]


def build_endpoints(config: ServiceConfig, fetch: Fetch) -> Endpoints:
    """Build every configured endpoint; raises ``ConfigurationError`` naming the registry."""
    return {
        registry.id: _build(registry, fetch)
        for registry in config.registries
        if registry.webhook is not None
    }


def _build(registry: RegistryConfig, fetch: Fetch) -> Endpoint:
    webhook = registry.webhook
    assert webhook is not None
    try:
        proof = open_proof(webhook, f"registry {registry.id}: webhook secret", fetch)
        proof.readable()
    except ConfigurationError as error:
        raise ConfigurationError(
            f"webhook endpoint of registry {registry.id} cannot start: {error.message}",
            advice=error.advice,
        ) from error
    return Endpoint(
        registry_id=registry.id,
        dialect=webhook.dialect,
        parser=open_parser(webhook.dialect),
        proof=proof,
        own_actor=registry.actor,
        repository_prefix=webhook.repository_prefix,
    )
