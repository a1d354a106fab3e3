from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.config.file import parse_config
from tests.support.ports import free_port
from tests.support.processes import running
from tests.support.tools import ROOT, require

FILE = ROOT / "docker-compose.yml"
_VARIABLE = re.compile(r"\$\{(\w+):\?[^}]*\}")


def compose() -> dict[str, Any]:
    text = _VARIABLE.sub(lambda match: f"made-up-{match.group(1).lower()}", FILE.read_text())
    assert "${" not in text
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def test_the_file_fits_the_compose_specification() -> None:
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("check-jsonschema"), "--builtin-schema"),
            *("vendor.compose-spec", str(FILE)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_workflows_fit_the_forges_schema() -> None:
    workflows = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    assert len(workflows) == 2
    done = subprocess.run(
        [
            Path(sys.executable).with_name("check-jsonschema"),
            "--builtin-schema",
            "vendor.github-workflows",
            *workflows,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_service_accepts_its_configuration() -> None:
    config = parse_config(compose()["configs"]["verilayer"]["content"], "compose")
    (registry,) = config.registries
    assert registry.webhook is not None
    assert registry.webhook.header == "X-Verilayer-Secret"
    assert config.match("local", "team/app", "1") is not None


def test_services_are_confined_and_redis_is_durable() -> None:
    services = compose()["services"]
    for name in ("api", "worker", "sweeper"):
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
    command = services["redis"]["command"]
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    assert command[command.index("--appendonly") + 1] == "yes"
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports), "published on loopback only"


def test_bind_mounts_exist() -> None:
    sources = [
        volume.partition(":")[0]
        for service in compose()["services"].values()
        for volume in service.get("volumes", ())
    ]
    bound = [source for source in sources if source.startswith("./")]
    assert bound
    assert [source for source in bound if not (ROOT / source).exists()] == []


@pytest.mark.real
def test_the_real_registry_accepts_its_configuration(tmp_path: Path) -> None:
    port = free_port()
    content = yaml.safe_load(compose()["configs"]["registry"]["content"])
    content["http"]["addr"] = f"127.0.0.1:{port}"
    content["storage"]["filesystem"]["rootdirectory"] = str(tmp_path / "data")
    endpoint = content["notifications"]["endpoints"][0]
    assert endpoint["url"].endswith("/webhooks/local")
    file = tmp_path / "config.yml"
    file.write_text(yaml.safe_dump(content))
    url = f"http://127.0.0.1:{port}/v2/"
    with (
        running([require("docker-registry"), "serve", str(file)], url, tmp_path / "log"),
        urllib.request.urlopen(url, timeout=5) as answer,
    ):
        assert answer.status == 200
