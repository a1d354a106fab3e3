from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.observability import exposition
from tests.support.metric_families import Family, families
from tests.support.tools import ROOT, require

FILES = ROOT / "deploy" / "helm" / "verilayer" / "files"
RULES: dict[str, Any] = yaml.safe_load((FILES / "rules.yml").read_text())
DASHBOARD: dict[str, Any] = json.loads((FILES / "dashboard.json").read_text())
_METRIC = re.compile(r"\bverilayer_[a-z0-9_]+")
_LABELS = re.compile(r"(verilayer_[a-z0-9_]+)\{([^}]*)\}")


def samples() -> set[str]:
    found: set[str] = set()
    for name, family in families().items():
        suffixes = ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)
        found.update(name + suffix for suffix in suffixes)
    return found


def family_of(sample: str) -> Family:
    """The family of a sample's name."""
    known = families()
    return known.get(sample) or known[re.sub(r"_(bucket|sum|count)$", "", sample)]


def expressions() -> list[str]:
    rules = [rule["expr"] for group in RULES["groups"] for rule in group["rules"]]
    panels = [t["expr"] for p in DASHBOARD["panels"] for t in p.get("targets", [])]
    keda = (ROOT / "deploy/helm/verilayer/templates/autoscaling.yaml").read_text()
    scalers = re.findall(r"verilayer_queue_\w+", keda)
    assert all((rules, panels, scalers)), "nothing asks for metrics"
    return [*rules, *panels, *scalers]


def test_rules_and_dashboard_use_metrics_that_exist_with_their_labels() -> None:
    known = samples()
    for expression in expressions():
        assert set(_METRIC.findall(expression)) <= known, expression
        for name, selector in _LABELS.findall(expression):
            family = family_of(name)
            for label, values in re.findall(r"(\w+)\s*[=!]~?\"(.*?)\"", selector):
                assert label in {*family.labels, "le"}, expression
                if label in family.listed:
                    assert set(values.split("|")) <= set(family.listed[label]), expression


def test_rules_and_dashboard_sum_by_labels_that_exist() -> None:
    grouped = 0
    for expression in expressions():
        names = set(_METRIC.findall(expression))
        labels = {label for name in names for label in family_of(name).labels}
        for group in re.findall(r"\bby \(([^)]*)\)", expression):
            grouped += 1
            assert set(re.findall(r"\w+", group)) <= {*labels, "le", "instance"}, expression
    assert grouped


def test_the_dashboard_shows_every_metric() -> None:
    shown = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for expression in expressions()
        for name in _METRIC.findall(expression)
    }
    assert set(families()) == shown


def test_dashboard_panels_do_not_overlap_and_have_unique_ids() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        grid = panel["gridPos"]
        own = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not own & cells, panel["title"]
        assert grid["x"] + grid["w"] <= 24, panel["title"]
        cells |= own


def test_docs_list_every_metric_with_its_type_and_labels() -> None:
    rows = re.findall(
        r"^\| `(verilayer_\w+)` \| (\w+) \| (.*?) \|", (ROOT / "docs/metrics.md").read_text(), re.M
    )
    documented = {
        name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows
    }
    assert documented == {one.name: (one.kind, one.labels) for one in families().values()}


def test_the_page_of_metrics_is_what_the_metrics_are(tmp_path: Path) -> None:
    page = tmp_path / "metrics.md"
    page.write_text((ROOT / "docs" / "metrics.md").read_text())
    subprocess.run([sys.executable, ROOT / ".ci" / "render-metrics-reference", page], check=True)
    assert page.read_text() == (ROOT / "docs" / "metrics.md").read_text(), "run make docs"


def test_every_alert_has_a_runbook_entry() -> None:
    headings = {
        "docs/runbooks.md#" + heading.lower()
        for heading in re.findall(r"^## (\w+)$", (ROOT / "docs/runbooks.md").read_text(), re.M)
    }
    alerts = [r for group in RULES["groups"] for r in group["rules"] if "alert" in r]
    assert alerts
    assert {alert["annotations"]["runbook"] for alert in alerts} == headings


@pytest.mark.real
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "deploy/helm/verilayer/files/rules.yml"),
        ("test", "rules", "tests/deploy/promtool_rules.yml"),
    ],
)
def test_promtool_accepts_the_rules(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [require("promtool"), *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested() -> None:
    text = (ROOT / "tests/deploy/promtool_rules.yml").read_text()
    alerts = [r["alert"] for group in RULES["groups"] for r in group["rules"] if "alert" in r]
    assert alerts
    assert [alert for alert in alerts if f"alertname: {alert}\n" not in text] == []


@pytest.mark.real
def test_promtool_accepts_the_exposition() -> None:
    text = exposition.render(exposition.exposition(lambda: ()))
    own = b"".join(
        line
        for line in text.splitlines(keepends=True)
        if b"verilayer_" in line and b"_created" not in line
    )
    done = subprocess.run(
        [require("promtool"), "check", "metrics"], input=own, capture_output=True, check=False
    )
    # Days are what people ask of a certificate; everything else is in base units.
    found = (done.stdout + done.stderr).decode().splitlines()
    assert [line for line in found if "verilayer_certificate_days_left" not in line] == []


def test_the_prometheus_of_compose_reads_the_same_rules(tmp_path: Path) -> None:
    config = yaml.safe_load((ROOT / "deploy/monitoring/prometheus.yml").read_text())
    config["rule_files"] = [str(FILES / "rules.yml")]
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [require("promtool"), "check", "config", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
