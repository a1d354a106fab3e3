"""Live progress of a job as server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from app.jobs.engine import JobEngine

#: Media type of such a stream.
EVENT_STREAM = "text/event-stream"
#: A stream ends after this many seconds; clients reconnect.
LONGEST = 600.0
_POLL = 0.5
_KEEPALIVE = 15.0


def job_stream(engine: JobEngine, job_id: str) -> Iterator[str]:
    """Yield ``job`` events when the record changes, ``progress`` while a worker reports."""
    started = quiet = time.monotonic()
    last: tuple[object, object] = (None, None)
    while time.monotonic() - started < LONGEST:
        job = engine.ledger.get(job_id)
        if job is None:
            return
        progress = engine.schedule.progress(job_id)
        if job.updated != last[0]:
            yield _event("job", job.model_dump(mode="json", exclude={"history"}))
            quiet = time.monotonic()
        if progress is not None and progress != last[1]:
            yield _event("progress", progress)
            quiet = time.monotonic()
        if job.finished:
            return
        last = (job.updated, progress)
        if time.monotonic() - quiet > _KEEPALIVE:
            yield ": still here\n\n"
            quiet = time.monotonic()
        time.sleep(_POLL)


def _event(name: str, data: object) -> str:
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"
