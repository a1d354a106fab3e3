"""What help texts say of labels is what the code counts: names, and values where there are few."""

from __future__ import annotations

import ast
import gzip
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from app.catalog.vocabulary import VerifyDepth
from app.jobs.messages import Lane
from app.jobs.queue import INTAKE_QUEUE
from app.jobs.reasons import Drop, Outcome
from app.jobs.state import FINISHED, JobState
from app.observability import metrics
from app.webhooks.delivery import IGNORED
from app.webhooks.routes import Answered
from tests.support.metric_families import Family, declared, families
from tests.support.tools import ROOT
from workers.layers.building import build_layer
from workers.layers.built import LayerOptions
from workers.layers.spool import Spool
from workers.node import metrics as node_metrics
from workers.node.fetch import LayerOutcome
from workers.node.following import Ending
from workers.sweep.drift import CheckResult
from workers.sweep.findings import Kind

#: Labels whose values are names of the configuration, of registries, or lists kept elsewhere.
OPEN = {"dialect", "registry", "host", "method", "status", "signer", "code", "kind"}
#: Metric and label -> the vocabulary of the code that counts; others are counted by literals.
VOCABULARIES: dict[tuple[str, str], Sequence[str]] = {
    ("verilayer_webhook_deliveries_total", "outcome"): get_args(Answered),
    # The web remembers no pushes.
    ("verilayer_webhook_ignored_total", "reason"): [*IGNORED, *(set(Drop) - {Drop.OWN_PUSH})],
    ("verilayer_push_events_total", "outcome"): list(Outcome),
    ("verilayer_loop_drops_total", "guard"): list(Drop),
    ("verilayer_jobs_finished_total", "state"): list(FINISHED),
    ("verilayer_sweep_findings_total", "finding"): get_args(Kind),
    ("verilayer_drift_checks_total", "depth"): get_args(VerifyDepth),
    ("verilayer_drift_checks_total", "result"): get_args(CheckResult),
    ("verilayer_jobs", "state"): list(JobState),
    ("verilayer_queue_depth", "queue"): [INTAKE_QUEUE, *(lane.queue for lane in Lane)],
    ("verilayer_queue_running", "queue"): [INTAKE_QUEUE, *(lane.queue for lane in Lane)],
    ("verilayer_queue_oldest_age_seconds", "queue"): [lane.queue for lane in Lane],
    ("verilayer_node_images_total", "outcome"): get_args(Ending),
    ("verilayer_node_layers_total", "action"): get_args(get_type_hints(LayerOutcome)["action"]),
}
FAMILIES = [*families().values(), *declared(node_metrics).values()]
PHASES = "verilayer_phase_duration_seconds"


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for package in ("app", "workers"):
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path, ast.parse(path.read_text())


def counted() -> Iterator[tuple[str, Family, ast.Call]]:
    """Yield each ``METRIC.labels(...)`` of the code, and where it is."""
    service, node = declared(), declared(node_metrics)
    for path, module in sources():
        known = node if path.is_relative_to(ROOT / "workers" / "node") else service
        for call in ast.walk(module):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                continue
            target = call.func.value
            name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
            if call.func.attr == "labels" and name in known:
                yield f"{path.relative_to(ROOT)}:{call.lineno}", known[name], call


def values_of(node: ast.expr) -> list[str]:
    """The literals that an argument may be."""
    if isinstance(node, ast.IfExp):
        return values_of(node.body) + values_of(node.orelse)
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def arguments(family: Family, call: ast.Call) -> dict[str, ast.expr]:
    named = {keyword.arg or "**": keyword.value for keyword in call.keywords}
    return dict(zip(family.labels, call.args, strict=False)) | named


def literals() -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for _, family, call in counted():
        for label, value in arguments(family, call).items():
            found.setdefault((family.name, label), set()).update(values_of(value))
    return found


def test_labels_are_given_as_they_are_declared() -> None:
    calls = list(counted())
    assert {family.name for _, family, _ in calls} == {
        family.name for family in FAMILIES if family.labels and family.name not in metrics.READINGS
    }
    wrong = [
        place
        for place, family, call in calls
        if len(call.args) > len(family.labels) or set(arguments(family, call)) != set(family.labels)
    ]
    assert wrong == []


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_help_names_labels_that_exist_and_lists_those_that_are_closed(family: Family) -> None:
    assert set(family.listed) == set(family.labels) - OPEN


@pytest.mark.parametrize(
    "family",
    [family for family in FAMILIES if family.listed and family.name != PHASES],
    ids=lambda family: family.name,
)
def test_help_lists_the_values_that_are_counted(family: Family) -> None:
    by_literals = literals()
    for label, listed in family.listed.items():
        assert len(listed) == len(set(listed))
        named = set(VOCABULARIES.get((family.name, label), ()))
        assert set(listed) == named | by_literals.get((family.name, label), set())


def test_help_lists_the_phases_that_are_timed(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1 << 30)
    options, nothing = LayerOptions(), bytes(1024)
    with build_layer(iter([nothing]), compression="", options=options, spool=spool) as built:
        timed = set(built.timings)
    with build_layer(
        iter([gzip.compress(nothing)]),
        compression="gzip", options=options, spool=spool,
    ) as built:  # fmt: skip
        timed |= set(built.timings)
    text = (ROOT / "workers" / "engine" / "image_job.py").read_text()
    timed |= set(re.findall(r'self\._timed\("(\w+)"\)', text))
    text = (ROOT / "workers" / "engine" / "layer_job.py").read_text()
    timed |= set(re.findall(r'"(\w+)": ', re.findall(r"\{\*\*built\.timings.*?\}", text)[0]))
    assert set(families()[PHASES].listed["phase"]) == timed


def test_vocabularies_are_of_labels_that_exist() -> None:
    known = {(family.name, label) for family in FAMILIES for label in family.labels}
    assert set(VOCABULARIES) <= known


def test_the_page_about_nodes_lists_them_too() -> None:
    rows = dict(
        re.findall(
            r"^\| `(verilayer_node_\w+)\{\w+\}` \| (?:.*?: )?(.*?) \|",
            (ROOT / "docs" / "nodes.md").read_text(),
            re.M,
        )
    )
    listed = {f.name: f.listed for f in declared(node_metrics).values() if f.labels}
    assert {name: text.split(", ") for name, text in rows.items()} == {
        name: next(iter(values.values())) for name, values in listed.items()
    }
