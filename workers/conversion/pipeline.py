"""Stages in threads, joined by bounded channels, that all stop when one fails.

The stages spend their time in calls that release the interpreter's lock (inflate, SHA-256, write),
so threads of one process use every core. Items are large (about 1 MiB): what a channel costs per
item disappears.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
#: By how much yielding stages are nicer (nice(2)) than the thread that starts them.
_NICE = 10


class Stopped(Exception):
    """Another stage failed; raised in stages that wait, never seen outside."""


class Flow:
    """The stages of one pass. The first error wins and wakes everyone."""

    def __init__(self) -> None:
        """Start without stages."""
        self.error: BaseException | None = None
        #: Stage -> CPU seconds, known when the stage has ended.
        self.cpu: dict[str, float] = {}
        self._lock = threading.Lock()
        self._channels: list[_Waitable] = []
        self._threads: list[threading.Thread] = []

    def attach(self, channel: _Waitable) -> None:
        """Have ``channel`` woken by ``fail``."""
        self._channels.append(channel)

    def fail(self, error: BaseException) -> None:
        """Stop every stage; the first error is kept."""
        with self._lock:
            self.error = self.error or error
        for channel in self._channels:
            channel.wake()

    def start(self, name: str, stage: Callable[[], None], *, yielding: bool = False) -> None:
        """Run ``stage`` in a thread; with ``yielding`` it leaves the processor to others."""

        def body() -> None:
            if yielding:
                _yield_processor()
            try:
                stage()
            except Stopped:
                pass
            except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
                self.fail(error)
            finally:
                self.cpu[name] = time.thread_time()

        thread = threading.Thread(target=body, name=f"verilayer-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def wait(self) -> None:
        """Wait for all stages."""
        for thread in self._threads:
            thread.join()

    def join(self) -> None:
        """Wait for all stages; raises the first error."""
        self.wait()
        if self.error is not None:
            raise self.error


def _yield_processor() -> None:
    """Lower the priority of the calling thread for the rest of its life.

    Linux keeps one per thread. Where the stages outnumber the cores, the one that all wait for
    keeps its core.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            thread = threading.get_native_id()
            # From what it is now: a fixed value would raise that of a process run under nice.
            nice = os.getpriority(os.PRIO_PROCESS, thread) + _NICE
            os.setpriority(os.PRIO_PROCESS, thread, min(nice, 19))


class _Waitable:
    def __init__(self) -> None:
        self.changed = threading.Condition()

    def wake(self) -> None:
        with self.changed:
            self.changed.notify_all()


class Channel(_Waitable, Generic[T]):
    """A bounded queue between two stages; iterating ends when it is closed and empty."""

    def __init__(self, flow: Flow, capacity: int) -> None:
        """Hold ``capacity`` items at most."""
        super().__init__()
        self._flow = flow
        self._capacity = capacity
        self._items: deque[T] = deque()
        self._closed = False
        flow.attach(self)

    def put(self, item: T) -> None:
        """Add an item, waiting for room; raises ``Stopped``."""
        with self.changed:
            while len(self._items) >= self._capacity and self._flow.error is None:
                self.changed.wait()
            if self._flow.error is not None:
                raise Stopped
            self._items.append(item)
            self.changed.notify_all()

    def close(self) -> None:
        """Say that nothing follows."""
        with self.changed:
            self._closed = True
            self.changed.notify_all()

    def rest(self) -> list[T]:
        """Take what is left after the flow has stopped."""
        with self.changed:
            items = list(self._items)
            self._items.clear()
        return items

    def __iter__(self) -> Iterator[T]:
        while True:
            with self.changed:
                while not self._items and not self._closed and self._flow.error is None:
                    self.changed.wait()
                if self._flow.error is not None:
                    raise Stopped
                if not self._items:
                    return
                item = self._items.popleft()
                self.changed.notify_all()
            yield item
            del item
