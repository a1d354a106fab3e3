"""Which rule decides about a push, and why the rules before it did not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from app.config.model import Rule, ServiceConfig


@dataclass(frozen=True, slots=True)
class Verdict:
    """One rule looked at: whether it applies, and what decided."""

    rule: str
    matches: bool
    because: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to a push, as far as can be told before its manifest is read."""

    #: The first rule that applies; None: nothing is converted.
    rule: Rule | None
    verdicts: tuple[Verdict, ...]
    profiles: tuple[str, ...]
    signer: str | None

    @property
    def converts(self) -> bool:
        """Whether the push is converted, if platform and size allow."""
        return self.rule is not None and self.rule.action == "convert"

    def wire(self) -> dict[str, object]:
        """JSON form, as the API and ``--json`` give it."""
        rule = self.rule
        return {
            "rule": rule.name if rule else None,
            "action": rule.action if rule else "ignore",
            "profiles": list(self.profiles),
            "signer": self.signer,
            "priority": rule.priority if rule else None,
            "platforms": list(rule.platforms) if rule else [],
            "max_image_bytes": rule.max_image_bytes if rule else None,
            "verdicts": [
                {"rule": one.rule, "matches": one.matches, "because": one.because}
                for one in self.verdicts
            ],
        }


def decide(config: ServiceConfig, registry: str, repository: str, tag: str | None) -> Decision:
    """Go through the rules until one applies; the same answer as ``ServiceConfig.match``."""
    verdicts = []
    decided = None
    for rule in config.rules:
        misses = list(_misses(rule, registry, repository, tag))
        verdicts.append(Verdict(rule.name, not misses, misses[0] if misses else _why(rule)))
        if not misses:
            decided = rule
            break
    converts = decided is not None and decided.action == "convert"
    return Decision(
        rule=decided,
        verdicts=tuple(verdicts),
        profiles=(decided.profiles or config.defaults.profiles) if decided and converts else (),
        signer=(decided.signer or config.defaults.signer) if decided and converts else None,
    )


def _misses(rule: Rule, registry: str, repository: str, tag: str | None) -> Iterator[str]:
    if not fnmatchcase(registry, rule.registry):
        yield f"registry {registry} is not {rule.registry}"
    if not any(fnmatchcase(repository, glob) for glob in rule.repositories):
        yield f"repository {repository} matches none of {', '.join(rule.repositories)}"
    if rule.tags and "*" not in rule.tags and tag is None:
        yield f"the push has no tag, and the rule wants one of {', '.join(rule.tags)}"
    elif "*" not in rule.tags and not any(fnmatchcase(str(tag), glob) for glob in rule.tags):
        yield f"tag {tag} matches none of {', '.join(rule.tags)}"


def _why(rule: Rule) -> str:
    parts = [f"registry {rule.registry}", f"repositories {', '.join(rule.repositories)}"]
    return "; ".join([*parts, f"tags {', '.join(rule.tags)}"])
