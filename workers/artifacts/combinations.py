"""Which profiles may be enabled together, and for whom; checked when a process starts.

A reader that finds two referrers where it expects one fails the *pull*, so what would let that
happen is refused before anything is published.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import combinations

from app.catalog.profiles import PROFILES, ProfileName
from app.config.model import Rule, ServiceConfig
from app.errors import ConfigurationError


def check_profiles(config: ServiceConfig) -> None:
    """Check every rule, and every two rules that one image can meet.

    Raises ``ConfigurationError`` that names all problems.
    """
    problems = [
        f"rule {rule.name!r}: {problem}" for rule, names, signer in _effective(config)
        for problem in _problems(names, config.build.padding, signer)
    ]  # fmt: skip
    for (one, names, _), (other, others, _) in combinations(_effective(config), 2):
        if _may_meet(one, other):
            problems.extend(
                f"rules {one.name!r} and {other.name!r} can meet on one image: {problem}"
                for problem in _clashes(names, others)
            )
    if problems:
        raise ConfigurationError(
            "profiles that break their readers: " + "; ".join(problems),
            advice="see docs/profiles.md, section Combinations",
        )


def check_combination(profiles: Sequence[ProfileName], *, padding: int, signed: bool) -> None:
    """Check the profiles of one conversion; raises ``ConfigurationError`` with every reason."""
    problems = list(_problems(tuple(profiles), padding, signed))
    if problems:
        raise ConfigurationError("; ".join(problems))


def _effective(config: ServiceConfig) -> list[tuple[Rule, tuple[ProfileName, ...], bool]]:
    return [
        (
            rule,
            rule.profiles or config.defaults.profiles,
            (rule.signer or config.defaults.signer) is not None,
        )
        for rule in config.rules
        if rule.action == "convert"
    ]


def _problems(names: tuple[ProfileName, ...], padding: int, signed: bool) -> Iterator[str]:
    if not names:
        yield "no profile is enabled"
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{name} is named twice"
    yield from _clashes(names, names)
    for name in names:
        profile = PROFILES[name]
        if profile.padding not in (None, padding):
            yield f"{name} needs build.padding {profile.padding}, it is {padding}"
        if profile.signed and not signed:
            yield f"{name} needs a signer: its readers fail on unsigned content"


def _clashes(names: Sequence[ProfileName], others: Sequence[ProfileName]) -> Iterator[str]:
    """Pairs of different profiles that publish under one artifact type."""
    pairs = {tuple(sorted((a, b))) for a in names for b in others if a != b}
    for one, other in sorted(pairs):
        shared = PROFILES[one].artifact_types & PROFILES[other].artifact_types
        if shared:
            yield (
                f"{one} and {other} both publish under {', '.join(sorted(shared))}, "
                "and a reader that finds two fails the pull"
            )


def _may_meet(one: Rule, other: Rule) -> bool:
    """Whether an image can match both: same registry and repository; its tags do not matter."""
    return globs_overlap(one.registry, other.registry) and any(
        globs_overlap(a, b) for a in one.repositories for b in other.repositories
    )


def globs_overlap(one: str, other: str) -> bool:
    """Whether some text matches both shell globs; a ``[...]`` counts as any character."""
    left, right = _tokens(one), _tokens(other)

    @cache
    def meet(i: int, j: int) -> bool:
        if i == len(left) and j == len(right):
            return True
        if i < len(left) and left[i] == "*":
            return meet(i + 1, j) or (j < len(right) and meet(i, j + 1))
        if j < len(right) and right[j] == "*":
            return meet(i, j + 1) or (i < len(left) and meet(i + 1, j))
        if i == len(left) or j == len(right):
            return False
        return ("?" in (left[i], right[j]) or left[i] == right[j]) and meet(i + 1, j + 1)

    return meet(0, 0)


def _tokens(glob: str) -> list[str]:
    tokens, rest = [], glob
    while rest:
        end = rest.find("]", 2) if rest[0] == "[" else -1
        tokens.append("?" if end > 0 else rest[0])
        rest = rest[end + 1 :] if end > 0 else rest[1:]
    return tokens
