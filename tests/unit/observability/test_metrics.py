from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from app.errors import BrokerUnavailable
from app.observability import exposition, metrics
from tests.support.metric_families import declared
from tests.support.ports import free_port

NAME = re.compile(r"^verilayer_[a-z0-9_]+$")
UNITS = ("_seconds", "_bytes", "_total", "_days_left", "_depth", "_ok", "_pending", "_letters")


def test_names_follow_the_conventions() -> None:
    assert len(declared()) > 10
    for family in declared().values():
        assert NAME.match(family.name), family.name
        assert family.name.endswith(UNITS), family.name
        assert family.help.endswith("."), family.name
    for name in metrics.READINGS:
        assert NAME.match(name), name


def test_values_of_several_processes_are_summed(tmp_path: Path) -> None:
    directory = tmp_path / "metrics"
    exposition.clear_directory(directory)
    environment = {**os.environ, exposition.MULTIPROCESS_VARIABLE: str(directory)}
    count = (
        "from app.observability import metrics\n"
        "metrics.WEBHOOKS.labels(dialect='harbor', outcome='accepted').inc()\n"
        "metrics.observe_phases({'index': 0.5})\n"
        "metrics.SPOOL_USED_BYTES.set(7)\n"
    )
    for _ in range(3):
        subprocess.run([sys.executable, "-c", count], env=environment, check=True)
    show = (
        "import sys\nfrom app.observability import exposition\n"
        "sys.stdout.buffer.write(exposition.render(exposition.exposition()))\n"
    )
    text = subprocess.run(
        [sys.executable, "-c", show], env=environment, check=True, capture_output=True, text=True
    ).stdout
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    webhook = (("dialect", "harbor"), ("outcome", "accepted"))
    assert samples["verilayer_webhook_deliveries_total", webhook] == 3
    assert samples["verilayer_phase_duration_seconds_sum", (("phase", "index"),)] == 1.5
    assert samples["verilayer_spool_used_bytes", ()] == 7


def test_readings_are_asked_at_each_scrape_and_a_dead_redis_does_not_fail_it() -> None:
    depth = [1.0]

    def source() -> Iterable[exposition.Reading]:
        if depth[0] < 0:
            raise BrokerUnavailable("Redis does not answer")
        yield exposition.Reading("verilayer_queue_depth", depth[0], {"queue": "layers"})

    registry = exposition.exposition(source)
    assert b'verilayer_queue_depth{queue="layers"} 1.0' in exposition.render(registry)
    depth[0] = 5.0
    answer = exposition.render(registry)
    assert b'verilayer_queue_depth{queue="layers"} 5.0' in answer
    assert b"verilayer_readings_ok 1.0" in answer
    depth[0] = -1.0
    answer = exposition.render(registry)
    assert b"verilayer_readings_ok 0.0" in answer
    assert b'queue="layers"' not in answer


def test_a_worker_serves_its_own_port() -> None:
    port = free_port()
    stop = exposition.serve(port, "127.0.0.1")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    finally:
        stop()
    assert "verilayer_push_to_attached_seconds_bucket" in text
