"""OpenTelemetry traces, off until an OTLP endpoint is configured; and trace ids for log lines.

The SDK is an extra (``verilayer[otel]``). While tracing is off, ``span`` costs a function call and
a trace id still travels with the work, so that the log lines of one push can be found together.
Context crosses processes as a W3C ``traceparent`` (https://www.w3.org/TR/trace-context/).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from app.errors import ConfigurationError
from app.observability import logging

HEADER = "traceparent"

_TRACEPARENT = re.compile(r"^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}$")


def configure(service: str, endpoint: str | None) -> None:
    """Export spans to an OTLP/HTTP endpoint such as ``http://collector:4318``; None is off.

    Raises ``ConfigurationError`` when the extra is not installed.
    """
    if endpoint is None:
        return
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigurationError(
            f"tracing is configured but {error.name} is not installed",
            advice="install verilayer[otel], or unset VERILAYER_OTLP_ENDPOINT",
        ) from error
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + "/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)


def shutdown() -> None:
    """Flush what has not been exported; does nothing while tracing is off."""
    trace = _api()
    if trace is not None:
        provider = trace.get_tracer_provider()
        if hasattr(provider, "shutdown"):
            provider.shutdown()


def trace_id_of(traceparent: str | None) -> str | None:
    """Return the trace id (32 hex characters) of a header, or None when it is not a valid one."""
    match = _TRACEPARENT.match(traceparent or "")
    return match.group(1) if match else None


def current_traceparent() -> str:
    """Context to send along with work: the current span's, else the bound trace id's, else new."""
    trace = _api()
    if trace is not None:
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    trace_id = logging.bound_field("trace_id") or secrets.token_hex(16)
    return f"00-{trace_id}-{secrets.token_hex(8)}-00"


@contextmanager
def span(
    name: str, traceparent: str | None = None, **attributes: str | int | float
) -> Iterator[None]:
    """Trace a piece of work; ``traceparent`` continues another process's trace.

    Log lines inside carry its ``trace_id``, whether tracing is on or off.
    """
    trace = _api()
    known = trace_id_of(traceparent) or logging.bound_field("trace_id") or secrets.token_hex(16)
    if trace is None:
        with logging.bound(trace_id=known):
            yield
        return
    carrier: Mapping[str, str] = {HEADER: traceparent} if traceparent else {}
    with trace.get_tracer("verilayer").start_as_current_span(
        name, context=_extracted(carrier), attributes=attributes
    ) as current:
        found = current.get_span_context()
        with logging.bound(trace_id=f"{found.trace_id:032x}" if found.is_valid else known):
            yield


def _extracted(carrier: Mapping[str, str]) -> Any:
    if not carrier:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract(carrier)


def _api() -> Any:
    """The OpenTelemetry API where it is installed; alone, without an SDK, it records nothing."""
    try:
        from opentelemetry import trace
    except ImportError:
        return None
    return trace
