from __future__ import annotations

import json
import subprocess
import sys

import pytest
from prometheus_client import REGISTRY

from app.observability import calls, tracing
from tests.support.otlp import otlp_collector

HOST = "registry.example:5000"


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, {"host": HOST, **labels}) or 0.0


def test_a_request_is_counted_by_its_status() -> None:
    before = value("verilayer_registry_requests_total", method="GET", status="404")
    with calls.registry_call(HOST, "GET") as answered:
        answered(404)
    after = value("verilayer_registry_requests_total", method="GET", status="404")
    assert after == before + 1
    assert value("verilayer_registry_request_duration_seconds_count", method="GET") >= 1


def test_a_request_without_an_answer_is_an_error() -> None:
    before = value("verilayer_registry_requests_total", method="PUT", status="error")
    with pytest.raises(ConnectionResetError), calls.registry_call(HOST, "PUT"):
        raise ConnectionResetError
    assert value("verilayer_registry_requests_total", method="PUT", status="error") == before + 1


def test_spans_reach_a_collector_with_the_trace_they_continue() -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    program = (
        "import sys\n"
        "from app.observability import calls, tracing\n"
        "tracing.configure('verilayer-test', sys.argv[1])\n"
        f"with tracing.span('webhook', traceparent='00-{trace}-b7ad6b7169203331-01'):\n"
        "    with calls.registry_call('registry.example', 'GET') as answered:\n"
        "        answered(200)\n"
        "    assert tracing.trace_id_of(tracing.current_traceparent()) == sys.argv[2]\n"
        "tracing.shutdown()\n"
    )
    with otlp_collector() as collector:
        subprocess.run([sys.executable, "-c", program, collector.url, trace], check=True)
    assert {(span.name, span.trace_id) for span in collector.spans} == {
        ("webhook", trace),
        ("registry GET", trace),
    }
    assert {span.service for span in collector.spans} == {"verilayer-test"}
    assert {"host": "registry.example"} in [span.attributes for span in collector.spans]


def test_tracing_is_off_without_an_endpoint() -> None:
    tracing.configure("verilayer-test", None)
    with tracing.span("work"):
        header = tracing.current_traceparent()
    assert json.dumps(header).endswith('-00"')  # not sampled
