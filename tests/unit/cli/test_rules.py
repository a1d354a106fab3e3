from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.support.webhook_cases import CASES
from workers.cli.commands import main

CONFIG = """\
registries:
  - id: main
    url: https://registry.example
    webhook: {dialect: distribution, secrets: [{value: s}]}
  - id: github
    url: https://ghcr.io
    webhook: {dialect: ghcr, auth: hmac, secrets: [{value: s}]}
rules:
  - {name: releases, tags: ["1.*"], profiles: [verilayer]}
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "verilayer.yaml"
    path.write_text(CONFIG)
    return str(path)


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["rules", *arguments], input=stdin)


def test_a_reference(config: str) -> None:
    done = run("test", "registry.example/team/app:1.4", "--config", config)
    assert done.exit_code == 0
    assert "rule releases: matches" in done.output
    assert "converted to verilayer, signer none" in done.output
    done = run("test", "registry.example/team/app:dev", "--config", config, "--json")
    assert done.exit_code == 1
    answer = json.loads(done.output)
    assert answer["rule"] is None
    assert answer["verdicts"][0]["because"] == "tag dev matches none of 1.*"
    assert answer["reason"] == "no-rule"


@pytest.mark.parametrize(
    ("tag", "reason"), [("dev", "no-rule"), ("sha256-" + "a" * 64 + ".sig", "derived-tag")]
)
def test_a_reference_that_is_not_converted_says_the_services_reason(
    config: str, tag: str, reason: str
) -> None:
    done = run("test", f"registry.example/team/app:{tag}", "--config", config)
    assert done.exit_code == 1
    assert f"ignored ({reason})" in done.output


def test_an_event_from_a_file_and_from_standard_input(config: str, tmp_path: Path) -> None:
    (case,) = (c for c in CASES if (c.dialect, c.name) == ("distribution", "good among odd ones"))
    file = tmp_path / "event.json"
    file.write_bytes(case.delivery.body)
    done = run("test", str(file), "--registry", "main", "--config", config, "--json")
    answers = [json.loads(line) for line in done.output.splitlines()]
    assert [answer["action"] for answer in answers] == ["ignore"] * 5 + ["convert"]
    done = run("test", "-", "--registry", "main", "--config", config, stdin=case.delivery.body)
    assert "ignored (malformed)" in done.output
    assert done.exit_code == 0


def test_an_event_whose_kind_is_in_a_header(config: str) -> None:
    (case,) = (c for c in CASES if (c.dialect, c.name) == ("ghcr", "package"))
    plain = ("test", "-", "--registry", "github", "--config", config)
    assert "event-type" in run(*plain, stdin=case.delivery.body).output
    done = run(*plain, "--header", "X-GitHub-Event: package", stdin=case.delivery.body)
    assert "converted to verilayer" in done.output


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("test", "app:1"), 2),
        (("test", "other.example/app:1"), 2),
        (("test", "-"), 2),
        (("test", "-", "--registry", "main"), 1),
    ],
)
def test_wrong_questions(config: str, arguments: tuple[str, ...], status: int) -> None:
    done = run(*arguments, "--config", config, stdin=b"no event")
    assert done.exit_code == status
    assert "Traceback" not in done.output


def test_check_points_at_mistakes(config: str, tmp_path: Path) -> None:
    assert run("check", "--config", config).output.startswith("valid: 2 registries, 2 webhooks")
    bad = tmp_path / "bad.yaml"
    bad.write_text(CONFIG.replace("[{value: s}]", "[{env: NO_SUCH_VARIABLE_X}]"))
    done = run("check", "--config", str(bad))
    assert done.exit_code == 2
    assert "NO_SUCH_VARIABLE_X is not set" in done.output
    bad.write_text(CONFIG.replace("tags:", "tag:"))
    assert f"{bad}:9:22: rules[0].tag: unknown key" in run("check", "--config", str(bad)).output


def test_the_schema_is_json() -> None:
    assert json.loads(run("schema").output)["title"] == "verilayer configuration"
