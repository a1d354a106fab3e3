"""The archives of the differential suite: a number stands for one, on every machine."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from tests.differential.mutations import MUTATIONS
from tests.differential.picker import Picker
from tests.support.tarmaker import (
    END,
    SeededChoices,
    header,
    long_name,
    number,
    padded,
    pax,
    seeded_tar,
)
from tests.support.vectors import VECTORS

_CAPABILITY: Final = bytes.fromhex("0100000200040000") + bytes(12)


def archive(seed: int) -> bytes:
    """The archive that ``seed`` stands for: made, or a vector, and mostly mutated."""
    choices = SeededChoices(seed)
    pick = Picker(choices)
    kind = pick.below(8)
    if kind == 0:
        return seeded_tar(seed)
    if kind == 1:
        tar = pick.of(_vectors())
    elif kind == 2:
        tar = seeded_tar(seed, hostile=False)
    else:
        tar = tame_archive(pick)
    for _ in range(pick.of((0, 1, 1, 1, 1, 2, 3))):
        tar = pick.of(MUTATIONS)(pick, tar)
    return tar


@cache
def _vectors() -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted((VECTORS / "tars").glob("*.tar")))


def tame_archive(pick: Picker) -> bytes:
    """A layer as common builders write it, which every reader takes alike."""
    return _Tame(pick).archive()


class _Tame:
    """Few names and short bodies, so that a mutation soon meets something."""

    def __init__(self, pick: Picker) -> None:
        self._pick = pick
        self._directories = [b""]
        self._files: list[bytes] = []
        self._used: set[bytes] = {b""}
        self._fields: dict[bytes, dict[str, Any]] = {}

    def archive(self) -> bytes:
        pick = self._pick
        parts = [header(b"./", b"5", mode=number(0o755, 8))] if pick.below(2) else []
        parts += [self._entry() for _ in range(1 + pick.below(7))]
        return b"".join(parts) + END

    def _entry(self) -> bytes:
        pick = self._pick
        directory = pick.of(self._directories)
        kind = pick.of(b"00000555221346ww")
        name = pick.of((b"a", b"b", b"c", b"d", b"e", b"x" * 60, b"f.txt", b"\xc3\xa9"))
        hidden = kind == ord("w")
        path = (directory + b"/" + name) if directory else name
        if path in self._used or (hidden and kind == ord("5")):
            return b""
        self._used.add(path)
        if hidden:
            marker = pick.of((b".wh." + name, b".wh." + name, b".wh..wh..opq"))
            if marker == b".wh..wh..opq" and not directory:
                return b""
            return header((directory + b"/" if directory else b"") + marker)
        return self._made(path, bytes([kind]))

    def _made(self, path: bytes, kind: bytes) -> bytes:
        pick = self._pick
        fields: dict[str, Any] = {
            "mode": number(pick.of((0o644, 0o755, 0o4755, 0o1777, 0o600)), 8),
            "uid": number(pick.of((0, 0, 1000, 65534)), 8),
            "gid": number(pick.of((0, 0, 1000, 65534)), 8),
            "mtime": pick.of((0, 1_700_000_000, 1_600_000_001)),
        }
        records: list[tuple[bytes, bytes]] = []
        body = b""
        if kind == b"1":
            if not self._files:
                return b""
            target = pick.of(self._files)
            fields = {**self._fields[target], "link": target}
        elif kind == b"2":
            fields["link"] = pick.of((b"a", b"../b", b"/usr/bin/x", b"t" * 99))
            fields["mode"] = number(0o777, 8)
        elif kind in b"34":
            fields["major"], fields["minor"] = number(8, 8), number(pick.of((1, 300)), 8)
        elif kind == b"0":
            body = bytes([pick.of(b"xyz")]) * pick.of((0, 1, 511, 512, 513, 1500))
            records = pick.of(([], [], [(b"SCHILY.xattr.security.capability", _CAPABILITY)]))
            records += pick.of(([], [(b"SCHILY.xattr.user.note", b"kept")]))
        if kind == b"0" and not records:
            self._files.append(path)
            self._fields[path] = fields
        elif kind == b"5":
            self._directories.append(path)
        if kind != b"1" and self._pick.below(4) == 0 and path not in self._files:
            records.append((b"mtime", pick.of((b"1700000000.5", b"1600000000.123456789"))))
        return self._written(path, kind, fields, records, body)

    def _written(
        self,
        path: bytes,
        kind: bytes,
        fields: dict[str, Any],
        records: list[tuple[bytes, bytes]],
        body: bytes,
    ) -> bytes:
        pick = self._pick
        front = b""
        form = pick.below(8)
        if form == 0 or len(path) > 100:
            records = [*records, (b"path", path)]
        elif form == 1 and not records:
            front = long_name(path)
            fields["magic"] = b"ustar  \0"
        elif form == 2 and b"/" in path:
            fields["prefix"], _, path = path.rpartition(b"/")
        elif form == 3:
            fields["magic"] = b"ustar  \0"
        if kind == b"5":
            path += b"/"
        front += pax(records) if records else b""
        return front + header(path, kind, size=len(body), **fields) + padded(body)
