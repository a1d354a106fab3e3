"""Follows the frame structure of a zstd stream (RFC 8878 section 3.1) without decompressing it.

The decompressor reads across frames but cannot say that the last one is cut off, and it would
accept any number of empty ones. This walker sees both, and windows that are too large.
"""

from __future__ import annotations

from app.errors import SourceInvalid

MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = 0x184D2A50
#: Frames that add no data, skippable ones included, before the stream counts as an attack.
MAX_EMPTY_FRAMES = 1000
#: 2^27 is what zstd itself accepts without ``--long``.
MAX_WINDOW = 1 << 27


def is_zstd(head: bytes) -> bool:
    """Whether a stream that starts with ``head`` (4 bytes or more) is zstd."""
    number = int.from_bytes(head[:4], "little")
    return len(head) >= 4 and (head[:4] == MAGIC or number & 0xFFFFFFF0 == _SKIPPABLE)


class FrameWalker:
    """Feed it every byte of the stream, in order."""

    def __init__(self) -> None:
        """Expect a frame."""
        self.frames = 0
        self._skip = 0
        self._empty = 0
        self._had_data = False
        self._checksum = 0
        self._descriptor = 0
        self._gathered = bytearray()
        self._step, self._need = self._magic, 4

    @property
    def complete(self) -> bool:
        """Whether the stream may end here."""
        return (
            self.frames > 0 and not self._skip and not self._gathered and self._step == self._magic
        )

    def feed(self, data: bytes | memoryview) -> None:
        """Follow ``data``; raises ``SourceInvalid``."""
        at = 0
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
            else:
                step = min(self._need - len(self._gathered), len(data) - at)
                self._gathered += data[at : at + step]
                if len(self._gathered) == self._need:
                    field = bytes(self._gathered)
                    self._gathered.clear()
                    self._step(field)
            at += step

    def _magic(self, field: bytes) -> None:
        self._count()
        if field == MAGIC:
            self._step, self._need = self._frame_descriptor, 1
        elif is_zstd(field):
            self._step, self._need = self._skippable_size, 4
        elif self.frames > 1:
            raise SourceInvalid("bytes after the last zstd frame", reason="zstd-trailing-garbage")
        else:
            raise SourceInvalid("not a zstd stream", reason="zstd-corrupt")

    def _count(self) -> None:
        self._empty = 0 if self._had_data else self._empty + 1
        self.frames += 1
        self._had_data = False
        if self._empty > MAX_EMPTY_FRAMES:
            raise SourceInvalid(
                f"more than {MAX_EMPTY_FRAMES} empty zstd frames in a row", reason="endless-members"
            )

    def _skippable_size(self, field: bytes) -> None:
        self._skip = int.from_bytes(field, "little")
        self._step, self._need = self._magic, 4

    def _frame_descriptor(self, field: bytes) -> None:
        self._descriptor = descriptor = field[0]
        single = descriptor >> 5 & 1
        content = (single, 2, 4, 8)[descriptor >> 6]
        self._checksum = 4 * (descriptor >> 2 & 1)
        dictionary = (0, 1, 2, 4)[descriptor & 3]
        self._step, self._need = self._frame_header, (1 - single) + dictionary + content

    def _frame_header(self, field: bytes) -> None:
        if self._descriptor >> 5 & 1:
            content = (1, 2, 4, 8)[self._descriptor >> 6]
            window = int.from_bytes(field[-content:], "little") + (256 if content == 2 else 0)
        else:
            base = 1 << (10 + (field[0] >> 3))
            window = base + base // 8 * (field[0] & 7)
        if window > MAX_WINDOW:
            raise SourceInvalid(
                f"a zstd frame wants a window of {window} bytes, {MAX_WINDOW} are allowed",
                advice="compress without --long, or with --long=27 at most",
                reason="zstd-window",
            )
        self._step, self._need = self._block_header, 3

    def _block_header(self, field: bytes) -> None:
        header = int.from_bytes(field, "little")
        last, kind, size = header & 1, header >> 1 & 3, header >> 3
        if kind == 3:
            raise SourceInvalid("a zstd block has the reserved type", reason="zstd-corrupt")
        self._had_data = self._had_data or size > 0
        self._skip = 1 if kind == 1 else size
        if last:
            self._skip += self._checksum
            self._step, self._need = self._magic, 4
