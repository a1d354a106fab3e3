"""Schemathesis over the published OpenAPI: no server error, and every answer as documented."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.admin.conftest import TOKENS, AdminStand

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_the_api_keeps_to_its_schema(stand: AdminStand, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli"),
            *("--config-file", str(Path(__file__).with_name("schemathesis.toml"))),
            *("run", f"{stand.url}/openapi.json"),
            *("--header", f"Authorization: Bearer {TOKENS['admin']}"),
            # Streams last for minutes; the registry behind images is away on purpose.
            *("--exclude-path-regex", "/stream$|^/webhooks|^/v1/images"),
            *("--max-examples", "25", "--seed", "1", "--no-color", "--workers", "2"),
            *("--report", "har", "--report-dir", str(tmp_path)),
        ],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-12000:] + done.stderr[-2000:]
    (report,) = tmp_path.glob("*har*")
    assert len(json.loads(report.read_text())["log"]["entries"]) > 200
