from __future__ import annotations

import json
import logging as stdlib_logging
from collections.abc import Iterator

import pytest
import structlog

from app.observability import logging, tracing


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = stdlib_logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_is_json_with_what_is_bound(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure()
    with logging.bound(job_id="j-1", registry=None):
        logging.get_logger("verilayer.test").info("layer built", entries=3)
    (line,) = lines(capsys)
    assert line["message"] == "layer built"
    assert line["job_id"] == "j-1"
    assert line["entries"] == 3
    assert line["level"] == "info"
    assert line["logger"] == "verilayer.test"
    assert str(line["timestamp"]).endswith("Z")
    assert "registry" not in line


def test_the_standard_library_gets_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure()
    with logging.bound(job_id="j-2"):
        stdlib_logging.getLogger("celery.worker").warning("lost %s", "connection", extra={"n": 1})
    (line,) = lines(capsys)
    assert (line["message"], line["job_id"], line["n"]) == ("lost connection", "j-2", 1)


def test_exceptions_are_one_field(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure()
    try:
        raise ValueError("redis://:hunter22@localhost failed")
    except ValueError:
        logging.get_logger("t").exception("failed")
    (line,) = lines(capsys)
    assert "Traceback" in str(line["exception"])
    assert "hunter22" not in str(line["exception"])


def test_secrets_do_not_reach_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure()
    logger = logging.get_logger("t")
    logger.info(
        "Authorization: Bearer abcdef123456", password="hunter22", url="redis://:hunter22@h/0"
    )
    stdlib_logging.getLogger("uvicorn.access").info(
        '%s - "%s %s HTTP/%s" %d', "127.0.0.1", "POST", "/webhooks/hub/hunter22hunter22", "1.1", 202
    )
    written = capsys.readouterr().err
    assert "hunter22" not in written
    assert "abcdef123456" not in written
    assert "/webhooks/hub/[redacted]" in written


def test_the_level_is_respected_and_configuring_twice_does_not_double(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logging.configure(level="warning")
    logging.configure(level="warning")
    logging.get_logger("t").info("quiet")
    logging.get_logger("t").warning("loud")
    assert [line["message"] for line in lines(capsys)] == ["loud"]


def test_console_lines_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure("console")
    logging.get_logger("t").info("layer built", entries=3)
    assert "layer built" in capsys.readouterr().err


def test_a_span_binds_the_trace_id_it_continues(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure()
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    with tracing.span("work", traceparent=f"00-{trace_id}-b7ad6b7169203331-01"):
        logging.get_logger("t").info("inside")
        assert tracing.trace_id_of(tracing.current_traceparent()) == trace_id
    (line,) = lines(capsys)
    assert line["trace_id"] == trace_id


def test_spans_inside_one_another_share_a_trace() -> None:
    with tracing.span("outer"):
        outer = tracing.trace_id_of(tracing.current_traceparent())
        with tracing.span("inner"):
            assert tracing.trace_id_of(tracing.current_traceparent()) == outer
    assert outer is not None


@pytest.mark.parametrize(
    "header", [None, "", "00-" + "0" * 32 + "-b7ad6b7169203331-01", "01-abc", "x" * 10_000]
)
def test_a_bad_traceparent_is_ignored(header: str | None) -> None:
    assert tracing.trace_id_of(header) is None
    with tracing.span("work", traceparent=header):
        assert tracing.trace_id_of(tracing.current_traceparent())
