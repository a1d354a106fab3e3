"""The blob as it arrives: is it what its descriptor says?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from app.errors import ContentMismatch, SourceInvalid
from app.oci.digest import Digest
from workers.formats.verity.blocks import DeferredDigest
from workers.layers.built import ExpectedLayer

#: Content errors that damage on the way can hardly cause: nothing more is read after them.
_LIMITS = frozenset({"too-large", "ratio-bomb", "endless-members", "zstd-window"})


def algorithm_of(expected: ExpectedLayer) -> str:
    """Hash algorithm of the blob's digest."""
    return expected.digest.algorithm if expected.digest else "sha256"


def joined(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Join small chunks to blocks of at least ``size`` bytes, so that each costs little."""
    pending: list[bytes] = []
    have = 0
    for chunk in chunks:
        if not pending and len(chunk) >= size:
            yield chunk
            continue
        pending.append(chunk)
        have += len(chunk)
        if have >= size:
            yield b"".join(pending)
            pending, have = [], 0
    if have:
        yield b"".join(pending)


class Blob:
    """Size and digest of what was read, against what was expected."""

    def __init__(self, expected: ExpectedLayer, patient: DeferredDigest | None = None) -> None:
        """Start with nothing read; ``patient`` is the digest to use where that is sha256."""
        self._expected = expected
        self._algorithm = algorithm_of(expected)
        self._hasher = patient or hashlib.new(self._algorithm)
        self.size = 0

    def count(self, block: bytes) -> None:
        """Take a block's size; raises ``ContentMismatch`` as soon as there is too much."""
        self.size += len(block)
        if self._expected.size is not None and self.size > self._expected.size:
            raise ContentMismatch(
                f"the blob is longer than the {self._expected.size} bytes of its descriptor"
            )

    def hash(self, block: bytes | memoryview) -> None:
        """Take a block's content."""
        self._hasher.update(block)

    def explains(self, error: BaseException) -> bool:
        """Whether damage on the way could be behind ``error``, so that reading on tells."""
        return (
            isinstance(error, SourceInvalid)
            and error.details.get("reason") not in _LIMITS
            and self._expected.digest is not None
        )

    def check(self, digest: Digest | None = None) -> Digest:
        """Return the digest of all blocks; raises ``ContentMismatch``.

        Where another one hashed the blocks, ``digest`` is what came of it.
        """
        expected = self._expected
        if expected.size is not None and self.size != expected.size:
            raise ContentMismatch(
                f"the blob has {self.size} bytes, its descriptor says {expected.size}"
            )
        digest = digest or Digest(f"{self._algorithm}:{self._hasher.hexdigest()}")
        if expected.digest not in (None, digest):
            raise ContentMismatch(f"the blob is {digest}, its descriptor says {expected.digest}")
        return digest
