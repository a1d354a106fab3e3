"""The reference vectors: tars, and what each mkfs.erofs release makes of them."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from workers.formats.errors import FormatError
from workers.formats.tarindex.builder import TarIndex, TarIndexBuilder, TarIndexOptions

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
Times = Literal["keep", "fixed", "clamp"]

#: Option sets of the manifest -> (aufs, build time, times).
OPTION_SETS: dict[str, tuple[bool, int, Times]] = {
    "std": (True, 0, "keep"),
    "t0": (True, 0, "fixed"),
    "t17": (True, 1_700_000_000, "keep"),
    "sde17": (True, 1_700_000_000, "clamp"),
    "noaufs": (False, 0, "keep"),
}


@dataclass(frozen=True, slots=True)
class Expectation:
    """One run of a reference tool: ``sha256`` of its index, or None where it fails."""

    vector: str
    version: str
    option_set: str
    sha256: str | None


@cache
def manifest() -> dict[str, Any]:
    """The manifest as it was delivered."""
    result: dict[str, Any] = json.loads((VECTORS / "manifest.json").read_text())
    return result


def vector_uuid() -> bytes:
    """The UUID of every vector's index."""
    return UUID(manifest()["uuid"]).bytes


def tar_bytes(name: str) -> bytes:
    """The tar of vector ``name``."""
    path: str = manifest()["vectors"][name]["tar_file"]
    return (VECTORS / path).read_bytes()


def expectations() -> Iterator[Expectation]:
    """Everything the manifest says about the small vectors, all versions."""
    for name, vector in manifest()["vectors"].items():
        for option_set, result in vector["results"].items():
            yield Expectation(name, "1.9.3", option_set, result.get("index_sha256"))
        for version, result in vector["other_versions_std"].items():
            yield Expectation(name, version, "std", result.get("index_sha256"))


def build(tar: bytes, version: str = "1.9.3", option_set: str = "std") -> TarIndex:
    """Our index of ``tar``; raises FormatError."""
    aufs, build_time, times = OPTION_SETS[option_set]
    builder = TarIndexBuilder(
        TarIndexOptions(
            uuid=vector_uuid(), version=version, aufs=aufs, build_time=build_time, times=times
        )
    )
    builder.feed(tar)
    return builder.finish()


def outcome(tar: bytes, version: str = "1.9.3", option_set: str = "std") -> str | None:
    """sha256 of our index, or None where we refuse the tar."""
    try:
        return sha256(build(tar, version, option_set).data).hexdigest()
    except FormatError:
        return None


def large_tar(name: str) -> Iterator[bytes | memoryview]:
    """The large vector ``name``, streamed: the generator seeks over gigabytes of zeros."""
    sys.path.insert(0, str(VECTORS))  # it imports its neighbour by name
    try:
        generate = runpy.run_path(str(VECTORS / "large.py"))["ALL"][name]
    finally:
        sys.path.remove(str(VECTORS))
    parts: list[bytes | int] = []
    generate(parts.append)
    zeros = memoryview(bytes(8 << 20))
    for part in parts:
        if isinstance(part, bytes):
            yield part
            continue
        while part > 0:
            yield zeros[: min(part, len(zeros))]
            part -= len(zeros)
