"""What the container runtime reads in archives: the output of ``tests/golang/tarview``."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.tools import require


@dataclass(frozen=True, slots=True)
class RuntimeEntry:
    """One header as containerd's unpack takes it; ``name`` is cleaned, ``mtime`` in nanoseconds."""

    #: ``nothing``, ``whiteout``, ``opaque``, ``clear`` or ``make``.
    action: str
    name: bytes
    #: The type flag, one character.
    kind: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    link: bytes
    device: tuple[int, int]
    #: As given to lsetxattr(2); what the kernel does with them is not decided here.
    xattrs: dict[bytes, bytes]
    #: Of a regular file's content, in hex; empty for others, and for more than 64 MiB.
    sha256: str


@dataclass(frozen=True, slots=True)
class RuntimeView:
    """Entries in order, up to the end or the ``error`` (else empty) that stops the runtime."""

    entries: tuple[RuntimeEntry, ...]
    error: str
    #: Bytes read when reading ended.
    position: int


def runtime_version() -> str:
    """The Go release whose archive/tar judges."""
    command = [_tarview(), "version"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def runtime_views(archives: Sequence[bytes]) -> Iterator[RuntimeView]:
    """Read ``archives`` in one process; one view each, in order."""
    framed = b"".join(len(tar).to_bytes(8, "big") + tar for tar in archives)
    done = subprocess.run([_tarview()], input=framed, capture_output=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == len(archives)
    for line in lines:
        document = json.loads(line)
        entries = tuple(_entry(each) for each in document["entries"])
        yield RuntimeView(entries, document["error"], document["position"])


def _tarview() -> str:
    return require("tarview", ".ci/get-tarview")


def _entry(fields: dict[str, Any]) -> RuntimeEntry:
    seconds, nanoseconds = fields["mtime"]
    return RuntimeEntry(
        action=fields["action"],
        name=_bytes(fields["name"]),
        kind=fields["type"],
        mode=fields["mode"],
        uid=fields["uid"],
        gid=fields["gid"],
        size=fields["size"],
        mtime=seconds * 10**9 + nanoseconds,
        link=_bytes(fields["link"]),
        device=(fields["device"][0], fields["device"][1]),
        xattrs={_bytes(name): _bytes(value) for name, value in fields["xattrs"].items()},
        sha256=fields["sha256"],
    )


def _bytes(text: str) -> bytes:
    """Undo tarview's one code point a byte."""
    return text.encode("latin-1")
