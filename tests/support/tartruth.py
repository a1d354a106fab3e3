"""What a tar means, read by Python's tarfile: the independent side of the truth tests.

Applies entries in order, later ones over earlier ones, as an unpacker would. It covers archives
without overlay whiteouts and without missing parents.
"""

from __future__ import annotations

import io
import stat
import tarfile
from dataclasses import dataclass, replace
from decimal import Decimal

from tests.support.kernelmount import Seen

_KINDS = {
    tarfile.REGTYPE: stat.S_IFREG,
    tarfile.CONTTYPE: stat.S_IFREG,
    tarfile.DIRTYPE: stat.S_IFDIR,
    tarfile.SYMTYPE: stat.S_IFLNK,
    tarfile.CHRTYPE: stat.S_IFCHR,
    tarfile.BLKTYPE: stat.S_IFBLK,
    tarfile.FIFOTYPE: stat.S_IFIFO,
}


@dataclass(frozen=True, slots=True)
class Meaning:
    """Path -> facts, and path -> a number that is equal for hard-linked names."""

    seen: dict[bytes, Seen]
    identity: dict[bytes, int]


def _time(member: tarfile.TarInfo) -> int:
    text = member.pax_headers.get("mtime")
    return int(Decimal(text) * 10**9) if text else int(member.mtime) * 10**9


def meaning(tar: bytes) -> Meaning:
    """Read ``tar``; names and xattr values are bytes as they stand in it."""
    inodes: dict[int, Seen] = {}
    names: dict[bytes, int] = {}
    with tarfile.open(
        fileobj=io.BytesIO(tar), encoding="utf-8", errors="surrogateescape"
    ) as archive:
        for number, member in enumerate(archive):
            path = member.name.encode("utf-8", "surrogateescape").strip(b"/")
            path = b"" if path == b"." else path.removeprefix(b"./")
            if member.islnk():
                target = member.linkname.encode("utf-8", "surrogateescape").removeprefix(b"./")
                names[path] = names[target]
                continue
            kind = _KINDS[member.type]
            content = b""
            if member.isreg():
                file = archive.extractfile(member)
                assert file is not None
                content = file.read()
            prefix = "SCHILY.xattr."
            xattrs = tuple(
                sorted(
                    (key.removeprefix(prefix), value.encode("utf-8", "surrogateescape"))
                    for key, value in member.pax_headers.items()
                    if key.startswith(prefix)
                )
            )
            device = (0, 0)
            if kind in (stat.S_IFCHR, stat.S_IFBLK):
                device = (member.devmajor, member.devminor)
            is_link = kind == stat.S_IFLNK
            target = member.linkname.encode("utf-8", "surrogateescape") if is_link else b""
            inodes[number] = Seen(
                kind, member.mode & 0o7777, member.uid, member.gid, _time(member),
                len(content), 1, device, target, xattrs, content,
            )  # fmt: skip
            names[path] = number
    return Meaning(_with_links(inodes, names), names)


def _with_links(inodes: dict[int, Seen], names: dict[bytes, int]) -> dict[bytes, Seen]:
    """Count names of files, and for directories the directories in them."""
    links: dict[int, int] = {}
    for path, number in names.items():
        if inodes[number].kind == stat.S_IFDIR:
            parent = path.rpartition(b"/")[0]
            links[number] = links.get(number, 0) + 2
            if path:
                links[names[parent]] = links.get(names[parent], 0) + 1
        else:
            links[number] = links.get(number, 0) + 1
    return {path: replace(inodes[n], nlink=links[n]) for path, n in names.items()}
