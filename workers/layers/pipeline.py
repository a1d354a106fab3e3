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
from collections.abc import Callable, Iterator
from enum import Enum
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

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
        self._channels: list[Channel[Any]] = []
        self._threads: list[threading.Thread] = []

    def attach(self, channel: Channel[Any]) -> None:
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


class _Sign(Enum):
    """Stands in a channel where an item would."""

    CLOSED = "closed"
    STOPPED = "stopped"


class Channel(Generic[T]):
    """A bounded queue between two stages; iterating ends when it is closed and empty.

    Two queues of the interpreter's own: of items, and of the room for them. A condition variable
    takes three hand-overs of the interpreter's lock where these take one.
    """

    def __init__(self, flow: Flow, capacity: int) -> None:
        """Hold ``capacity`` items at most."""
        self._flow = flow
        self._items: SimpleQueue[T | _Sign] = SimpleQueue()
        self._room: SimpleQueue[None] = SimpleQueue()
        for _ in range(capacity):
            self._room.put(None)
        #: What was taken when the flow had failed already.
        self._left: list[T] = []
        flow.attach(self)

    def wake(self) -> None:
        """Let all who wait see that the flow has failed: each wakes the next."""
        self._room.put(None)
        self._items.put(_Sign.STOPPED)

    def put(self, item: T) -> None:
        """Add an item, waiting for room; raises ``Stopped``."""
        self._room.get()
        if self._flow.error is not None:
            self._room.put(None)
            raise Stopped
        self._items.put(item)

    def close(self) -> None:
        """Say that nothing follows."""
        self._items.put(_Sign.CLOSED)

    def rest(self) -> list[T]:
        """Take what is left after the flow has stopped."""
        items, self._left = self._left, []
        while not self._items.empty():
            item = self._items.get()
            if not isinstance(item, _Sign):
                items.append(item)
        return items

    def __iter__(self) -> Iterator[T]:
        while True:
            item = self._items.get()
            if self._flow.error is not None:
                if not isinstance(item, _Sign):
                    self._left.append(item)
                self._items.put(_Sign.STOPPED)
                raise Stopped
            if isinstance(item, _Sign):
                return
            self._room.put(None)
            yield item
            del item
