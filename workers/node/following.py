"""The daemon: keeps the cache filled for a set of references that changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.errors import (
    Cancelled,
    ConfigurationError,
    NotConvertible,
    VerificationFailed,
    VerilayerError,
)
from app.observability.logging import get_logger
from app.oci.reference import Reference
from workers.node import metrics
from workers.node.cache import ContentCache
from workers.node.connect import Registries
from workers.node.fetch import FetchOptions, FetchReport, fetch_image
from workers.node.kubernetes import normalised

_log = get_logger(__name__)
#: How an attempt at an image ends.
Ending = Literal["cached", "no-bundle", "skipped", "refused", "failed", "invalid", "cancelled"]
#: First pause after a failure, in seconds; doubles up to the refresh interval.
_FIRST_RETRY = 10.0


def listed(path: Path) -> set[str]:
    """References in a file: one a line, ``#`` starts a comment. Raises ``ConfigurationError``."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from None
    names = (line.partition("#")[0].strip() for line in lines)
    return {name for name in names if name}


@dataclass(slots=True)
class _Attempt:
    """When a reference is due again, and how long the last pause was."""

    due: float
    pause: float


class Follower:
    """Fetches every wanted reference once, again after ``refresh`` seconds, sooner on failure."""

    def __init__(
        self,
        wanted: Callable[[], Iterable[str]],
        registries: Registries,
        cache: ContentCache,
        options: FetchOptions,
        *,
        refresh: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``wanted`` is asked each time ``run_due`` runs."""
        self._wanted = wanted
        self._registries, self._cache, self._options = registries, cache, options
        self._refresh = refresh
        self._clock = clock
        self._attempts: dict[str, _Attempt] = {}
        self.woken = threading.Event()

    def run(self, stopped: threading.Event) -> None:
        """Work until ``stopped`` is set; ``woken`` ends a pause early."""
        while not stopped.is_set():
            pause = self.run_due(stopped.is_set)
            self.woken.wait(max(0.1, min(pause, 5.0)))
            self.woken.clear()

    def run_due(self, stopped: Callable[[], bool] = lambda: False) -> float:
        """Fetch what is due; returns the seconds until something is due again."""
        try:
            wanted = set(self._wanted())
        except ConfigurationError as error:
            _log.error("references-unreadable", error=str(error))
            return _FIRST_RETRY
        for gone in set(self._attempts) - wanted:
            del self._attempts[gone]
        for name in sorted(wanted):
            attempt = self._attempts.get(name)
            if stopped():
                break
            if attempt is None or attempt.due <= self._clock():
                self._attempt(name, stopped)
        metrics.observe_cache(self._cache)
        metrics.WANTED.set(len(wanted))
        now = self._clock()
        return min((each.due - now for each in self._attempts.values()), default=self._refresh)

    def _attempt(self, name: str, stopped: Callable[[], bool]) -> None:
        before = self._attempts.get(name)
        outcome = self._fetch(name, stopped)
        metrics.IMAGES.labels(outcome).inc()
        if outcome == "failed":
            pause = min(before.pause * 2 if before else _FIRST_RETRY, self._refresh)
        else:
            pause = self._refresh
        # A success is remembered as no pause, so that the next failure starts from the first.
        kept = pause if outcome == "failed" else _FIRST_RETRY / 2
        self._attempts[name] = _Attempt(self._clock() + pause, kept)

    def _fetch(self, name: str, stopped: Callable[[], bool]) -> Ending:
        reference: Reference | None = normalised(name)
        if reference is None:
            _log.warning("reference-invalid", reference=name)
            return "invalid"
        try:
            repository = self._registries.repository(reference)
            with metrics.SECONDS.time():
                report = fetch_image(repository, reference, self._cache, self._options, stopped)
        except Cancelled:
            return "cancelled"
        except NotConvertible as error:
            _log.info("image-skipped", reference=name, reason=error.reason)
            return "skipped"
        except VerificationFailed as error:
            _log.error("image-refused", reference=name, error=str(error))
            return "refused"
        except VerilayerError as error:
            _log.warning("image-failed", reference=name, error=str(error))
            return "failed"
        return _logged(name, report)


def _logged(name: str, report: FetchReport) -> Ending:
    for layer in report.layers:
        metrics.LAYERS.labels(layer.action).inc()
        metrics.BYTES.inc(layer.fetched)
        if layer.error is not None:
            _log.warning("layer-failed", reference=name, layer=layer.layer, error=str(layer.error))
    if report.bundle is None:
        _log.info("image-without-bundle", reference=name)
        return "no-bundle"
    if not report.ok:
        return "failed"
    filled = sum(layer.action == "filled" for layer in report.layers)
    if filled:
        _log.info("image-cached", reference=name, layers=len(report.layers), filled=filled)
    return "cached"
