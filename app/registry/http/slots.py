"""How many transfers of a registry, and of one repository, a process has under way at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import Unavailable


class Slots:
    """Counting locks by registry and repository.

    A thread that holds a slot may nest further requests in it (a manifest is pushed while a layer
    streams in), otherwise a few threads could wait for one another for ever.
    """

    def __init__(self, total: int, per_repository: int, *, patience: float) -> None:
        """``patience`` is how long to wait for a slot, in seconds."""
        self._total = threading.BoundedSemaphore(total)
        self._per_repository, self._patience = per_repository, patience
        self._guard = threading.Lock()
        self._repositories: dict[str, tuple[threading.BoundedSemaphore, list[int]]] = {}
        self._local = threading.local()

    @contextmanager
    def hold(self, repository: str) -> Iterator[None]:
        """Hold a slot; raises ``Unavailable`` when none becomes free."""
        if getattr(self._local, "depth", 0):
            yield
            return
        with self._repository(repository) as slot:
            self._take(slot)
            try:
                self._take(self._total)
                self._local.depth = 1
                try:
                    yield
                finally:
                    self._local.depth = 0
                    self._total.release()
            finally:
                slot.release()

    def _take(self, slot: threading.BoundedSemaphore) -> None:
        if not slot.acquire(timeout=self._patience):
            raise Unavailable(f"no transfer slot became free in {self._patience:.0f} s")

    @contextmanager
    def _repository(self, name: str) -> Iterator[threading.BoundedSemaphore]:
        """Yield the repository's semaphore, which exists while somebody uses it."""
        with self._guard:
            fresh = threading.BoundedSemaphore(self._per_repository)
            slot, users = self._repositories.setdefault(name, (fresh, [0]))
            users[0] += 1
        try:
            yield slot
        finally:
            with self._guard:
                users[0] -= 1
                if not users[0]:
                    del self._repositories[name]
