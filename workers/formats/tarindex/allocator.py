"""The buffer allocator of mkfs.erofs (lib/cache.c), which decides where everything lies.

Runs of blocks stand in one list; a leading part of it is *placed* (has addresses). Runs that may
take more wait in FIFO queues by kind, by whether they are placed, and by bytes used in their last
block; a bit set tells which queues are not empty. Every choice below is part of the format: another
one would be as valid and give another root hash.

What is a ``Run`` here is a ``struct erofs_buffer_block`` there, *placed* is *mapped*, the queues
are ``watermeter`` and the bit set is ``bktmap``; methods name the function that they follow.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from workers.formats.erofs.ondisk import BLOCK, BLOCK_BITS, DEVICE_SLOT_OFFSET, DeviceSlot
from workers.formats.words import BitSet

META: Final = 0
DATA: Final = 1

_MASK: Final = BLOCK - 1
_FAILED: Final = -1


class Run:
    """Consecutive blocks: ``off`` bytes used, ``blocks`` reserved, at ``addr`` (-1: pending)."""

    def __init__(self, kind: i64) -> None:
        self.kind: i64 = kind
        self.off: i64 = 0
        self.blocks: i64 = 0
        self.addr: i64 = -1
        self.queue: i64 = -1
        self.before: Run = self
        self.after: Run = self
        self.queue_before: Run = self
        self.queue_after: Run = self


class Allocator:
    """Hands out space in the index; ``tail`` is the next free block."""

    def __init__(self) -> None:
        self.tail: i64 = 0
        #: Sentinel of the list of runs; always pending.
        self._head: Run = Run(-1)
        self._last: Run = self._head
        #: Queue number -> sentinel. Number: family * 512 + bytes used; family: kind * 2 + placed.
        self._queues: list[Run | None] = [None] * (4 * BLOCK)
        #: Numbers of the queues that are not empty.
        self._filled = BitSet(4 * BLOCK)
        first = Run(META)
        self._append(self._head.before, first)
        self.attach(first, 0, 1)
        self.attach(first, DEVICE_SLOT_OFFSET, 1)
        self.place(first)
        self.attach(first, DeviceSlot.SIZE, DeviceSlot.SIZE)

    def release(self) -> None:
        """Undo the circles of references between runs; nothing can be allocated any more."""
        head = self._head
        run = head.after
        while run is not head:
            after = run.after
            run.before = run.after = run.queue_before = run.queue_after = head
            run = after
        for sentinel in self._queues:
            if sentinel is not None:
                sentinel.queue_before = sentinel.queue_after = head
        head.before = head.after = head.queue_before = head.queue_after = head
        self._queues.clear()

    def _append(self, before: Run, run: Run) -> None:
        after = before.after
        run.before = before
        run.after = after
        before.after = run
        after.before = run

    def _dequeue(self, run: Run) -> None:
        number = run.queue
        if number < 0:
            return
        before = run.queue_before
        after = run.queue_after
        before.queue_after = after
        after.queue_before = before
        if before is after:
            self._filled.flip(number)
        run.queue = -1

    def _requeue(self, run: Run) -> None:
        """Move ``run`` to the end of its queue of now (``erofs_update_bwatermeter``)."""
        family = run.kind << 1
        if run.addr >= 0:
            family |= 1
        number = family << BLOCK_BITS | (run.off & _MASK)
        if run.queue >= 0:
            self._dequeue(run)
        sentinel = self._queues[number]
        if sentinel is None:
            sentinel = Run(-1)
            self._queues[number] = sentinel
        last = sentinel.queue_before
        if last is sentinel:
            self._filled.flip(number)
        last.queue_after = run
        run.queue_before = last
        run.queue_after = sentinel
        sentinel.queue_before = run
        run.queue = number

    def _score(self, run: Run, size: i64, align: i64, tail: i64) -> i64:
        """How full the last block gets if ``size`` bytes were attached; -1 if they cannot be.

        ``__erofs_battach`` with ``dryrun``.
        """
        start = (run.off + align - 1) & -align
        used = (start + size + _MASK) & _MASK
        if used + tail > _MASK:
            return _FAILED
        end = start + size + tail
        reserved = run.blocks << BLOCK_BITS
        if end > reserved:
            if run.after.addr >= 0:
                return _FAILED
            if run.addr >= 0 and self.tail != run.addr + run.blocks:
                return _FAILED
        return used + 1

    def attach(self, run: Run, size: i64, align: i64) -> i64:
        """Put ``size`` bytes at the end of ``run``: their offset in it, or -1 if they cannot be.

        ``erofs_battach``, or ``erofs_bh_balloon`` with ``align`` 1.
        """
        if self._score(run, size, align, 0) < 0:
            return _FAILED
        return self._put(run, size, align)

    def _put(self, run: Run, size: i64, align: i64) -> i64:
        """Attach what is known to fit."""
        start = (run.off + align - 1) & -align
        end = start + size
        placed = run.addr >= 0
        grows = placed and end >= run.blocks << BLOCK_BITS and self.tail == run.addr + run.blocks
        run.off = end
        needed = (end + _MASK) >> BLOCK_BITS
        if needed > run.blocks:
            run.blocks = needed
        if grows:
            self.tail = run.addr + run.blocks
        self._requeue(run)
        return start

    def place(self, run: Run) -> None:
        """Give addresses to the runs up to ``run``, in list order (``erofs_mapbh``)."""
        if run.addr < 0:
            current = self._last
            while current is not run:
                current = current.after
                if current is self._head:
                    break
                self._place_next(current)

    def place_all(self) -> None:
        """Give addresses to every run."""
        current = self._last.after
        while current is not self._head:
            self._place_next(current)
            current = current.after

    def _place_next(self, run: Run) -> None:
        run.addr = self.tail
        self._last = run
        self._requeue(run)
        end = run.addr + run.blocks
        if end > self.tail:
            self.tail = end

    def drop(self, run: Run) -> None:
        """Forget a run that nothing will be attached to any more; its blocks stay taken.

        ``erofs_bdrop``.
        """
        if run is self._last:
            self._last = run.before
        self._dequeue(run)
        run.before.after = run.after
        run.after.before = run.before

    def alloc(self, kind: i64, size: i64, tail: i64, align: i64) -> Run | None:
        """A run with ``size`` bytes attached and room for ``tail`` more in the same block.

        The position is ``run.off - size``. None: no space, because a tail may not cross a block.
        ``erofs_balloc``.
        """
        run = self._find(kind, size, tail, align) if align != BLOCK else None
        if run is None:
            run = Run(kind)
            self._append(self._last if kind == DATA else self._head.before, run)
            if self._score(run, size, align, tail) < 0:
                return None
        self._put(run, size, align)
        return run

    def _find(self, kind: i64, size: i64, tail: i64, align: i64) -> Run | None:
        """The run that gets fullest, among a few candidates (``erofs_bfind_for_attach``)."""
        total = size + tail
        first = (BLOCK - (total & _MASK)) & -align
        best: Run | None = None
        best_score: i64 = 0
        end: i64 = BLOCK
        if total < BLOCK:
            found = self._scan(kind << 1 | 1, first, end, size, tail, align)
            if found is not None:
                best = found
                best_score = self._score(found, size, align, tail) + tail
            last = self._last
            if last.kind == kind:
                score = self._score(last, size, align, tail)
                if score >= 0 and score + tail > best_score:
                    best = last
                    best_score = score + tail
            end = first + align - 1
        found = self._scan(kind << 1, first, end, size, tail, align)
        if found is not None:
            score = self._score(found, size, align, tail) + tail
            if score > best_score:
                best = found
        return best

    def _scan(
        self, family: i64, first: i64, end: i64, size: i64, tail: i64, align: i64
    ) -> Run | None:
        """The first usable run, by bytes used: from ``first`` down to 0, then from 511 down.

        Counted as mkfs.erofs does, from ``first`` + 512 down to what is above ``end``, modulo 512.
        """
        index = first + BLOCK
        while index > end:
            lowest = index & -BLOCK
            if lowest <= end:
                lowest = end + 1
            found = self._scan_queues(family, index & _MASK, lowest & _MASK, size, tail, align)
            if found is not None:
                return found
            index = (index & -BLOCK) - 1
        return None

    def _scan_queues(
        self, family: i64, high: i64, low: i64, size: i64, tail: i64, align: i64
    ) -> Run | None:
        """The first usable run of the queues from ``high`` down to ``low``."""
        placed = family & 1 == 1
        number = family << BLOCK_BITS | high
        lowest = family << BLOCK_BITS | low
        while True:
            number = self._filled.highest(lowest, number)
            if number < 0:
                return None
            sentinel = self._queues[number]
            assert sentinel is not None
            run = sentinel.queue_after
            if placed and run.after.addr < 0:  # the last placed run is tried on its own
                run = run.queue_after
            if run is not sentinel and self._score(run, size, align, tail) >= 0:
                return run
            number -= 1
