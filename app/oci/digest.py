"""Digests of content (OCI image-spec, descriptor.md section "Digests").

Only sha256 and sha512 exist in practice; anything else is refused, because content that cannot be
checked must not be signed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Self

from app.errors import ContentMismatch

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core.core_schema import CoreSchema

#: A SHA-256 in hex, as a pattern of JSON Schema: root hashes, digests without their algorithm.
SHA256_HEX = "^[0-9a-f]{64}$"
_SHAPE = re.compile(r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})\Z")


class Digest(str):
    """``algorithm:hex`` of content as stored. Immutable, hashable, equal to its text.

    Raises ``ValueError`` for anything but lowercase sha256 or sha512.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Check the shape and keep the text."""
        if not _SHAPE.match(text):
            raise ValueError(f"not a sha256 or sha512 digest: {text[:150]!r}")
        return super().__new__(cls, text)

    @classmethod
    def of(cls, data: bytes, algorithm: str = "sha256") -> Self:
        """Return the digest of ``data``. Raises ``ValueError`` for an unknown algorithm."""
        if algorithm not in ("sha256", "sha512"):
            raise ValueError(f"not a digest algorithm: {algorithm[:40]!r}")
        return cls(f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}")

    @property
    def algorithm(self) -> str:
        """``sha256`` or ``sha512``."""
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        """The lowercase hexadecimal part."""
        return self.partition(":")[2]

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        # Only models need it: ``verilayer layer build`` starts without pydantic.
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(
            cls, core_schema.str_schema(max_length=150)
        )


class DiffID(Digest):
    """Digest of a layer's *uncompressed* tar, as listed in ``ImageConfig.rootfs.diff_ids``."""

    __slots__ = ()


def verified(chunks: Iterable[bytes], digest: Digest, size: int) -> Iterator[bytes]:
    """Yield ``chunks`` unchanged while hashing; raise ``ContentMismatch`` when they are not it.

    Too many bytes are refused as soon as they are seen, so a lying sender cannot fill a disk.
    """
    hasher = hashlib.new(digest.algorithm)
    seen = 0
    for chunk in chunks:
        seen += len(chunk)
        if seen > size:
            raise ContentMismatch(f"{digest} is longer than its descriptor's {size} bytes")
        hasher.update(chunk)
        yield chunk
    if seen != size:
        raise ContentMismatch(f"{digest} has {seen} bytes, its descriptor says {size}")
    if hasher.hexdigest() != digest.hex:
        raise ContentMismatch(f"content is {digest.algorithm}:{hasher.hexdigest()}, not {digest}")
