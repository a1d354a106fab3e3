"""``verilayer demo``, and what it attached judged by the reference tools."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.otlp import Collector, otlp_collector
from tests.support.tools import ROOT, require

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.xdist_group("demo")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with otlp_collector() as running:
        yield running


@pytest.fixture(scope="module")
def outcome(folder: Path, collector: Collector) -> dict[str, Any]:
    for tool in ("docker-registry", "skopeo", "busybox"):
        require(tool)
    done = subprocess.run(
        [sys.executable, "-m", "workers", "demo", "--quick", "--json", "--folder", folder / "demo"],
        cwd=ROOT,
        env={**os.environ, "VERILAYER_OTLP_ENDPOINT": collector.url},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    log = folder / "demo" / "service.log"
    assert done.returncode == 0, done.stderr + (log.read_text()[-4000:] if log.exists() else "")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def blob(folder: Path, digest: str) -> Path:
    """A blob in the registry's own storage, which the demonstration leaves behind."""
    name = digest.removeprefix("sha256:")
    return folder / "demo/registry/docker/registry/v2/blobs/sha256" / name[:2] / name / "data"


def test_each_platform_has_one_bundle_with_every_layer(outcome: dict[str, Any]) -> None:
    platforms = {bundle["platform"]: bundle for bundle in outcome["bundles"]}
    assert sorted(platforms) == ["linux/amd64", "linux/arm64"]
    assert [len(platforms[name]["layers"]) for name in sorted(platforms)] == [3, 2]
    shared = [layer["layer"] for layer in platforms["linux/arm64"]["layers"]]
    roots = {layer["layer"]: layer["root_hash"] for layer in platforms["linux/amd64"]["layers"]}
    assert roots[shared[0]] == platforms["linux/arm64"]["layers"][0]["root_hash"]


def test_veritysetup_accepts_every_layer(
    outcome: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    veritysetup = require("veritysetup")
    checked = 0
    for bundle in outcome["bundles"]:
        for layer in bundle["layers"]:
            data = tmp_path / "data"
            tar = unpacked(blob(folder, layer["layer"]))
            content = blob(folder, layer["index_digest"]).read_bytes() + tar
            data.write_bytes(content + bytes(-len(content) % 512))
            done = subprocess.run(
                [
                    veritysetup,
                    "verify",
                    data,
                    blob(folder, layer["tree_digest"]),
                    layer["root_hash"],
                ],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            checked += 1
    assert checked == 5


def test_openssl_accepts_every_signature(
    outcome: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    openssl = require("openssl")
    assert outcome["bundles"]
    for bundle in outcome["bundles"]:
        assert bundle["layers"]
        for layer in bundle["layers"]:
            message = tmp_path / "message"
            message.write_text(layer["root_hash"])
            done = subprocess.run(
                [
                    *(openssl, "smime", "-verify", "-noverify", "-binary", "-inform", "der"),
                    *("-in", blob(folder, layer["signature_digest"]), "-content", message),
                ],
                capture_output=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert done.stdout == layer["root_hash"].encode()


def test_the_service_logged_no_error(outcome: dict[str, Any], folder: Path) -> None:
    lines = (folder / "demo" / "service.log").read_text().splitlines()
    assert any('"level": "info"' in line for line in lines)
    bad = [line for line in lines if '"level": "error"' in line or "Traceback" in line]
    assert bad == []


def test_one_trace_leads_from_the_webhook_to_each_registry_call(
    outcome: dict[str, Any], collector: Collector
) -> None:
    assert outcome["bundles"]
    traces: dict[str, set[str]] = {}
    for span in collector.spans:
        traces.setdefault(span.trace_id, set()).add(span.name)
    wanted = {"http POST", "event", "image", "layer", "registry GET", "registry PUT"}
    assert any(wanted <= names for names in traces.values()), traces


def unpacked(layer: Path) -> bytes:
    head = layer.read_bytes()[:4]
    tool = {b"\x1f\x8b": ["gzip", "-dc"], b"\x28\xb5": ["zstd", "-dc"]}.get(head[:2])
    if tool is None:
        return layer.read_bytes()
    with layer.open("rb") as source:
        return subprocess.run(tool, stdin=source, capture_output=True, check=True).stdout
