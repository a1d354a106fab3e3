"""One log line an event: JSON for machines, columns for a terminal; the standard library's too.

Every line carries what ``bound`` put around it (``job_id``, ``trace_id``, ``request_id`` ...), and
passes ``redaction`` last. Nothing but composition roots configures it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, TextIO

import structlog

from app.observability import redaction

_OWN = ("event", "level", "logger", "timestamp")
_PROBES = ("/healthz", "/readyz", "/metrics")


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Logger whose calls take an event in words and fields: ``log.info("layer built", size=1)``."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


@contextmanager
def bound(**fields: object) -> Iterator[None]:
    """Add fields to every line logged inside, in this thread or task; None fields are left out."""
    with structlog.contextvars.bound_contextvars(
        **{name: value for name, value in fields.items() if value is not None}
    ):
        yield


def bound_field(name: str) -> str | None:
    """Read what ``bound`` set around us, to carry it across a process boundary."""
    value = structlog.contextvars.get_contextvars().get(name)
    return None if value is None else str(value)


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what ``sys.stderr`` is now, which tests and progress bars replace."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def configure(log_format: str = "json", level: str = "INFO") -> None:
    """Send structlog and the standard library to stderr in one format; may be called again."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared[:3], shared[4], structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = _StandardError()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _redacted,
                *_renderers(log_format),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "celery", "kombu"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.access").addFilter(_not_a_probe)
    logging.captureWarnings(True)
    # One line a request to a registry is what metrics and traces are for.
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _renderers(log_format: str) -> list[Any]:
    if log_format == "console":
        return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    return [structlog.processors.EventRenamer("message"), structlog.processors.JSONRenderer()]


def _not_a_probe(record: logging.LogRecord) -> bool:
    """Probes and scrapes that succeed say nothing, several times a minute."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    return not (len(arguments) == 5 and arguments[2] in _PROBES and arguments[4] == 200)


def _redacted(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    event.pop("color_message", None)  # uvicorn's, the same again
    for name, value in event.items():
        event[name] = (
            redaction.redact_text(str(value)) if name in _OWN else redaction.redact(name, value)
        )
    return event
