"""``python -m tests.house``: what a stranger meets, in figures; status 1 when a rule is broken.

Rules are those of CONTRIBUTING.md: sizes, names stated once, errors told, arrows that point down.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

import app.catalog
from app.jobs.messages import Lane
from app.jobs.queue import QUEUES
from app.jobs.state import JobState
from tests.house import names, raising, sizes
from tests.house.rooms import Rooms, contracts, exceptions
from tests.house.source import PACKAGES, Finding, Module, modules

#: What may stay against a rule, by the beginning of its place, and why.
ALLOWED: Mapping[str, str] = {
    "workers/formats/tarindex/reader.py": "a loop that mypyc compiles, still in one piece",
}


def vocabularies() -> list[names.Vocabulary]:
    """Every table and set of names in ``app.catalog``, and those of jobs."""
    found = [
        names.Vocabulary(
            f"{module.__name__}.{name}",
            frozenset(value),
            frozenset({module.__name__}),
            words=isinstance(value, tuple),
        )
        for _, path, _ in pkgutil.iter_modules(app.catalog.__path__, "app.catalog.")
        for module in [importlib.import_module(path)]
        for name, value in vars(module).items()
        if not name.startswith("_") and isinstance(value, Mapping | tuple)
    ]
    assert len(found) > 4, "app.catalog has no tables"
    states = names.Vocabulary("JobState", frozenset(JobState), frozenset({"app.jobs.state"}), True)
    lanes = frozenset({"app.jobs.messages", "app.jobs.queue"})
    return [*found, states, names.Vocabulary("Lane", frozenset({*Lane, *QUEUES}), lanes, True)]


def broken(sources: Sequence[Module]) -> Iterator[tuple[str, Finding]]:
    """Yield each rule with what is against it, allowed or not."""
    rules: dict[str, Iterable[Finding]] = {
        "over the limit": sizes.too_large(sizes.measured(sources)),
        "names stated twice": names.names_stated_twice(sources, vocabularies()),
        "sets stated twice": names.sets_stated_twice(sources),
        "expressions stated twice": names.expressions_stated_twice(sources),
        "wire names stated twice": names.wire_names_stated_twice(sources),
        "derived tags named elsewhere": names.derived_tags(sources),
        "errors not told": raising.untold(raising.raising(sources)),
        "arrows": rooms_broken(Rooms.read()),
    }
    for rule, findings in rules.items():
        for finding in findings:
            yield rule, finding


def rooms_broken(rooms: Rooms) -> Iterator[Finding]:
    """Yield circles, arrows upward, and exceptions from the contracts."""
    parser = contracts()
    if circle := rooms.circle():
        yield Finding(" -> ".join(circle), "a circle")
    for one, other in rooms.upward(parser):
        yield Finding(f"{one} -> {other}", "does not lead to a lower floor")
    for line in exceptions(parser):
        yield Finding(".importlinter", f"excepts {line}")


def reason(finding: Finding) -> str | None:
    """Why a finding is allowed, if it is."""
    return next((why for place, why in ALLOWED.items() if finding.where.startswith(place)), None)


def figures(sources: Sequence[Module]) -> Iterator[str]:
    """Yield the lines that tell how large the house is."""
    for package in PACKAGES:
        measured = sizes.measured([one for one in sources if one.path.startswith(f"{package}/")])
        yield f"{package}: {measured}"
        yield f"  over {sizes.FILE} and {sizes.FUNCTION} lines, the budget:"
        yield from (f"    {lines:4} {where}" for lines, where in measured.over_budget())
    parser = contracts()
    rooms, told = Rooms.read(), raising.raising(sources)
    yield (
        f"rooms: {len(rooms.imports)} on {rooms.height()} floors; {len(rooms.arrows)} arrows,"
        + "".join(f" {len(rooms.inside(package))} inside {package}," for package in PACKAGES)
        + f" {len(list(rooms.upward(parser)))} upward, {len(exceptions(parser))} excepted;"
        + f" circles: {' -> '.join(rooms.circle()) or 'none'}"
    )
    yield (
        f"public functions that raise typed errors: {len(told)},"
        f" told by {sum(not each.untold for each in told)}"
    )


def main() -> int:
    """Print the figures, then what is against the rules."""
    sources = modules()
    for line in figures(sources):
        print(line)
    status = 0
    for rule, finding in broken(sources):
        why = reason(finding)
        print(f"{rule}: {finding}" + (f" (allowed: {why})" if why else ""))
        status |= why is None
    return status


if __name__ == "__main__":
    sys.exit(main())
