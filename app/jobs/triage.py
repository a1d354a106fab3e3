"""What becomes of an event, as far as it can be told without asking its registry.

The engine, the sweep, ``verilayer rules test`` and ``POST /v1/rules/test`` all ask here, so that
what is foretold is what happens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.config.explain import decide
from app.config.model import Rule, ServiceConfig
from app.jobs.loopguard import drop_reason
from app.jobs.push import PushEvent
from app.jobs.reasons import Drop, Ignored, Outcome
from app.oci.digest import Digest


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing of an event will be converted."""

    reason: Drop | Ignored
    #: The rule that says so, if one does.
    rule: str = ""

    @property
    def outcome(self) -> Outcome:
        """How it is settled."""
        return Outcome.DROPPED if isinstance(self.reason, Drop) else Outcome.IGNORED


def triage(
    config: ServiceConfig,
    registry_id: str,
    event: PushEvent,
    pushed: Callable[[Digest], bool] | None = None,
) -> Rule | Refused:
    """Return the rule that converts an event, or why nothing of it will be converted.

    The manifest may refuse what passes here. ``pushed`` is as for ``drop_reason``, and may raise.
    """
    registry = config.registry(registry_id)
    if registry is None:
        return Refused(Ignored.UNKNOWN_REGISTRY)
    drop = drop_reason(event, registry.actor, pushed)
    if drop is not None:
        return Refused(drop)
    rule = config.match(registry_id, event.repository, event.tag)
    if rule is None:
        return Refused(Ignored.NO_RULE)
    return rule if rule.action == "convert" else Refused(Ignored.RULE, rule.name)


def foretell(config: ServiceConfig, registry_id: str, event: PushEvent) -> dict[str, object]:
    """Say in the JSON form of API and command line what would happen to an event, and why.

    ``action`` is ``convert`` or ``ignore``; with ``ignore`` there are ``reason``, a word of
    ``app.jobs.reasons``, and its meaning, ``because``. Rules are looked at, and told in
    ``verdicts``, only where registry and loop guard let the event pass.
    """
    found = triage(config, registry_id, event)
    told: dict[str, object] = {"action": "ignore"}
    if isinstance(found, Rule) or found.reason in (Ignored.NO_RULE, Ignored.RULE):
        told = decide(config, registry_id, event.repository, event.tag).wire()
    if isinstance(found, Refused):
        told |= {"reason": found.reason.value, "because": found.reason.meaning}
    return told
