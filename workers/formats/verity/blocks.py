"""Hashes of 512-byte blocks: sha256(salt + block), 32 bytes each, one after the other.

The native extension does this about five times faster than ``hashlib`` and without the
interpreter's lock; where it is absent, the pure form below gives the same bytes.
"""

from __future__ import annotations

import hashlib
from collections import deque

from workers._native import blocks
from workers.formats.verity.values import BLOCK, DIGEST, ZERO_SALT, Salt

Buffer = bytes | bytearray | memoryview


def block_hashes_into(data: Buffer, out: bytearray | memoryview, salt: Salt = ZERO_SALT) -> int:
    """Hash each whole block of ``data`` into ``out``; return the number of bytes written.

    ``data`` must be a multiple of 512 bytes long and ``out`` have room for 1/16 of that; raises
    ``ValueError`` otherwise.
    """
    count, rest = divmod(len(data), BLOCK)
    if rest or len(out) < count * DIGEST:
        raise ValueError("data is not whole blocks, or there is no room for their hashes")
    if blocks is None or len(salt) != DIGEST:
        return pure_block_hashes_into(data, out, salt)
    blocks.block_hashes(data, salt, out)
    return count * DIGEST


def pure_block_hashes_into(data: Buffer, out: bytearray | memoryview, salt: Salt) -> int:
    """Do the same with ``hashlib``."""
    view = memoryview(data)
    salted = hashlib.sha256(salt)
    at = 0
    for start in range(0, len(view), BLOCK):
        hasher = salted.copy()
        hasher.update(view[start : start + BLOCK])
        out[at : at + DIGEST] = hasher.digest()
        at += DIGEST
    return at


def block_hashes(data: Buffer, salt: Salt = ZERO_SALT) -> bytearray:
    """Return the hashes of all whole blocks of ``data``; raises ``ValueError`` as above."""
    out = bytearray(len(data) // BLOCK * DIGEST)
    block_hashes_into(data, out, salt)
    return out


#: Bytes that one step of SHA-256 takes.
_CHUNK = 64


class LeafHasher:
    """Turns a stream in any chunking into leaves and the digest of the whole.

    Both go over each block together, which costs less than one after the other.
    """

    def __init__(self, salt: Salt = ZERO_SALT) -> None:
        """Start at offset 0."""
        self._salt = salt
        self._digest = StreamDigest() if blocks else hashlib.sha256()
        self._rest = bytearray()
        self.count = 0

    def update(self, data: Buffer, beside: DeferredDigest | None = None) -> bytes | bytearray:
        """Return the leaves of the blocks that ``data`` completes.

        As much as ``data`` is long of what waits in ``beside`` is hashed on the way.
        """
        view = memoryview(data)
        head = b""
        if self._rest:
            need = BLOCK - len(self._rest)
            self._rest += view[:need]
            view = view[need:]
            if len(self._rest) < BLOCK:
                return b""
            head = bytes(self._leaves(self._rest))
            self._rest.clear()
        whole = len(view) // BLOCK * BLOCK
        self._rest += view[whole:]
        leaves = self._leaves(view[:whole], beside)
        return head + leaves if head else leaves

    def _leaves(self, data: Buffer, beside: DeferredDigest | None = None) -> bytearray:
        out = bytearray(len(data) // BLOCK * DIGEST)
        self.count += len(data) // BLOCK
        if isinstance(self._digest, StreamDigest) and len(self._salt) == DIGEST:
            self._digest.update_with_blocks(data, self._salt, out, beside)
            return out
        self._digest.update(data)
        block_hashes_into(data, out, self._salt)
        return out

    def finish(self) -> bytes:
        """Return the leaf of the zero-filled rest; nothing when there is no rest."""
        if not self._rest:
            return b""
        rest = bytes(self._rest)
        self._rest.clear()
        self._digest.update(rest)
        self.count += 1
        return bytes(block_hashes(rest.ljust(BLOCK, b"\0"), self._salt))

    def hexdigest(self) -> str:
        """sha256 of the whole stream; call after ``finish``."""
        return self._digest.hexdigest()


class StreamDigest:
    """sha256 whose state the native extension advances together with block hashes."""

    _START = bytes.fromhex("6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19")

    def __init__(self) -> None:
        """Start a digest; the extension must be there."""
        self._state = bytearray(self._START)
        self._size = 0
        self._rest = b""

    def update_with_blocks(
        self, data: Buffer, salt: Salt, out: bytearray, beside: DeferredDigest | None = None
    ) -> None:
        """Take whole blocks and write their salted hashes to ``out``; before any ``update``."""
        assert blocks is not None
        other = memoryview(b"") if beside is None else beside.take(len(data))
        state = bytearray(DIGEST) if beside is None else beside.state
        blocks.block_hashes_and_streams(data, salt, out, self._state, other, state)
        self._size += len(data)

    def update(self, data: Buffer) -> None:
        """Take bytes that need not be whole blocks."""
        assert blocks is not None
        self._size += len(data)
        view = memoryview(data)
        if self._rest:
            need = _CHUNK - len(self._rest)
            self._rest += bytes(view[:need])
            view = view[need:]
            if len(self._rest) < _CHUNK:
                return
            blocks.compress(self._rest, self._state)
        whole = len(view) // _CHUNK * _CHUNK
        blocks.compress(view[:whole], self._state)
        self._rest = bytes(view[whole:])

    def hexdigest(self) -> str:
        """The digest (FIPS 180-4 section 5.1.1: a one bit, zeros, the length in bits)."""
        assert blocks is not None
        end = self._rest + b"\x80" + bytes((-len(self._rest) - 9) % 64)
        state = bytearray(self._state)
        blocks.compress(end + (self._size * 8).to_bytes(8, "big"), state)
        return state.hex()


class DeferredDigest(StreamDigest):
    """sha256 of a stream that waits for another one, beside which it costs next to nothing.

    What is fed is kept until ``LeafHasher.update`` takes it along; what would exceed ``patience``
    bytes is hashed at once.
    """

    def __init__(self, patience: int = 8 << 20) -> None:
        """Start a digest; the extension must be there."""
        super().__init__()
        self._patience = patience
        self._waiting: deque[memoryview] = deque()
        self._held = 0

    @property
    def state(self) -> bytearray:
        """The state that the extension advances over what ``take`` returns."""
        return self._state

    def update(self, data: Buffer) -> None:
        """Keep ``data``, which must not change until it is hashed."""
        self._waiting.append(memoryview(data))
        self._held += len(data)
        while self._held > self._patience:
            self._hash()

    def take(self, size: int) -> memoryview:
        """Hand out up to ``size`` bytes, a multiple of 64, whose digest ``state`` must become."""
        if self._rest and self._waiting:
            # Fill up what an odd block left behind, so that the next begins a step.
            need = _CHUNK - len(self._rest)
            super().update(self._next(need))
        if self._rest or not self._waiting:
            return memoryview(b"")
        piece = self._next(min(size, len(self._waiting[0])) // _CHUNK * _CHUNK)
        if not piece and self._waiting and len(self._waiting[0]) < _CHUNK:
            self._hash()
        self._size += len(piece)
        return piece

    def hexdigest(self) -> str:
        """The digest of all that was fed."""
        while self._waiting:
            self._hash()
        return super().hexdigest()

    def _next(self, size: int) -> memoryview:
        first = self._waiting.popleft()
        piece, rest = first[:size], first[size:]
        if rest:
            self._waiting.appendleft(rest)
        self._held -= len(piece)
        return piece

    def _hash(self) -> None:
        super().update(self._next(len(self._waiting[0])))


def deferred_digest() -> DeferredDigest | None:
    """Return a digest that goes along with others; None where the extension is absent."""
    return DeferredDigest() if blocks is not None else None
