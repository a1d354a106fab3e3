"""Throughput and push-to-attached latency of the last two hours, drawn from finished jobs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from app.jobs.ledger import Ledger
from app.jobs.records import Job
from app.jobs.state import JobState

#: Seconds that a chart covers, and that one bar stands for.
WINDOW = 7200.0
BUCKET = 300.0
#: Jobs looked at, newest first; a busier service sees the newest part of the window only.
_MOST = 1000
WIDTH, HEIGHT = 480, 120


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar in SVG user units, and what it says."""

    x: float
    y: float
    width: float
    height: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A bar chart; ``top`` is the value of its upper edge."""

    title: str
    summary: str
    top: float
    bars: tuple[Bar, ...]


def recent_jobs(ledger: Ledger, now: float) -> list[Job]:
    """Jobs that succeeded within the window, newest first."""
    found: list[Job] = []
    cursor: str | None = None
    while len(found) < _MOST:
        page = ledger.listing(state=JobState.SUCCEEDED, cursor=cursor, limit=200)
        found += [job for job in page.items if job.updated >= now - WINDOW]
        cursor = page.cursor
        if cursor is None or any(job.updated < now - WINDOW for job in page.items):
            break
    return found


def charts(jobs: Sequence[Job], now: float) -> tuple[Chart, Chart]:
    """Draw throughput (jobs a bar) and latency (p95 seconds a bar)."""
    count = int(WINDOW / BUCKET)
    done = [0] * count
    waits: list[list[float]] = [[] for _ in range(count)]
    for job in jobs:
        at = job.ended or job.updated
        place = count - 1 - int(max(0.0, now - at) // BUCKET)
        if place < 0:
            continue
        done[place] += 1
        if job.received is not None:
            waits[place].append(max(0.0, at - job.received))
    every = [wait for bucket in waits for wait in bucket]
    told = (
        f"median {statistics.median(every):.1f} s, p95 {_p95(every):.1f} s of {len(every)} pushes"
        if every
        else "no push was attached"
    )
    return (
        _chart("Images converted", f"{sum(done)} in two hours", done, "{:.0f} images"),
        _chart("Push to attached, p95", told, [_p95(one) for one in waits], "{:.1f} s"),
    )


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[math.ceil(len(values) * 0.95) - 1] if values else 0.0


def _chart(title: str, summary: str, values: Sequence[float], form: str) -> Chart:
    top = max([*values, 1.0])
    step = WIDTH / len(values)
    bars = []
    for place, value in enumerate(values):
        height = round(HEIGHT * value / top, 1)
        ago = int((len(values) - place) * BUCKET / 60)
        label = f"{ago} to {ago - int(BUCKET / 60)} minutes ago: {form.format(value)}"
        bars.append(
            Bar(round(place * step + 1, 1), HEIGHT - height, round(step - 2, 1), height, label)
        )
    return Chart(title, summary, top, tuple(bars))
