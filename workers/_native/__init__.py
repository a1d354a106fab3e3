"""The optional native extension: hashes runs of 512-byte blocks, parses nothing.

Callers hold a pure twin of everything here and use it where the extension was not built and
``blocks`` is None.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol, cast

Buffer = bytes | bytearray | memoryview


class Blocks(Protocol):
    """What ``_blocks.c`` offers. Every function raises ``ValueError`` for wrong lengths."""

    #: Which form runs on this processor: ``x86-sha``, ``arm-sha2``, ``plain``.
    IMPLEMENTATION: str

    def block_hashes(self, data: Buffer, salt: Buffer, out: Any, /) -> None:
        """Write sha256(salt + block) of each block of ``data``; the salt has 32 bytes."""

    def block_hashes_and_streams(
        self, data: Buffer, salt: Buffer, out: Any, state: Any, other: Buffer, other_state: Any, /
    ) -> None:
        """Do the same, and advance two SHA-256 states (32 bytes each).

        ``state`` goes over ``data``, ``other_state`` over ``other``, a multiple of 64 bytes. While
        both last they go side by side, which takes hardly longer than one of them.
        """

    def compress(self, data: Buffer, state: Any, /) -> None:
        """Advance ``state`` over ``data``, a multiple of 64 bytes."""

    def plain_block_hashes(self, data: Buffer, salt: Buffer, out: Any, /) -> None:
        """``block_hashes`` without special instructions."""

    def plain_block_hashes_and_streams(
        self, data: Buffer, salt: Buffer, out: Any, state: Any, other: Buffer, other_state: Any, /
    ) -> None:
        """``block_hashes_and_streams`` without special instructions."""

    def plain_compress(self, data: Buffer, state: Any, /) -> None:
        """``compress`` without special instructions."""


def _load() -> Blocks | None:
    try:
        return cast(Blocks, importlib.import_module("workers._native._blocks"))
    except ImportError:
        return None


blocks: Blocks | None = _load()
