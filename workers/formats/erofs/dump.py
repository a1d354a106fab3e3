"""An index as text, one line an inode, so that a difference is something a person can read."""

from __future__ import annotations

from collections.abc import Iterator

from workers.formats.erofs.ondisk import (
    BLOCK,
    EROFS_INODE_CHUNK_BASED,
    EROFS_INODE_FLAT_INLINE,
    EROFS_INODE_FLAT_PLAIN,
    EROFS_ISLOTBITS,
    S_IFBLK,
    S_IFCHR,
    S_IFDIR,
    S_IFIFO,
    S_IFLNK,
    S_IFREG,
)
from workers.formats.erofs.reader import ImageInode, ImageReader
from workers.formats.errors import FormatError, printable

_LAYOUTS = {
    EROFS_INODE_FLAT_PLAIN: "plain",
    EROFS_INODE_FLAT_INLINE: "inline",
    EROFS_INODE_CHUNK_BASED: "chunks",
}

#: Type bits -> the letter of ls(1).
_KIND_LETTERS = {
    S_IFREG: "-",
    S_IFDIR: "d",
    S_IFLNK: "l",
    S_IFCHR: "c",
    S_IFBLK: "b",
    S_IFIFO: "p",
}


def dump(image: bytes) -> Iterator[str]:
    """Lines without newlines: the superblock, then every name in directory order.

    Raises FormatError where the bytes are no index that ``reader`` reads.
    """
    reader = ImageReader(image)
    sb = reader.superblock
    yield (
        f"superblock blocks={sb.blocks} inos={sb.inos} root={sb.root_nid} epoch={sb.epoch} "
        f"compat={sb.feature_compat:#x} incompat={sb.feature_incompat:#x} uuid={sb.uuid.hex()} "
        f"label={printable(sb.volume_name.rstrip(bytes(1)))!r} checksum={sb.checksum:#010x}"
        f"{'' if sb.checksum_valid else ' (wrong)'}"
    )
    if sb.extra_devices:
        yield f"device 1 blocks={sb.device_blocks} uniaddr={sb.device_uniaddr}"
    yield from _tree_lines(reader, sb.root_nid)


def _tree_lines(reader: ImageReader, root: int) -> Iterator[str]:
    """Every name below ``root``; what cannot be read becomes a line that says so."""
    stack: list[tuple[bytes, int]] = [(b"", root)]
    seen: set[int] = set()
    while stack:
        path, nid = stack.pop()
        try:
            inode = reader.inode(nid)
            yield from _inode_lines(reader, path, inode)
            if inode.kind != S_IFDIR or nid in seen:
                continue
            seen.add(nid)
            names = [(n, i) for n, i, _ in reader.entries(inode) if n not in (b".", b"..")]
        except FormatError as error:
            yield f"{printable(path) or '/'} nid={nid}: unreadable: {error}"
            continue
        stack.extend((path + b"/" + name, below) for name, below in reversed(names))


def _inode_lines(reader: ImageReader, path: bytes, inode: ImageInode) -> Iterator[str]:
    letter = _KIND_LETTERS.get(inode.kind, "?")
    parts = [
        f"{letter}{inode.mode & 0o7777:04o}",
        f"{inode.uid}:{inode.gid}",
        f"nlink={inode.nlink}",
        f"size={inode.size}",
        f"mtime={inode.mtime}.{inode.nanoseconds:09d}",
        f"nid={inode.nid}@{inode.nid << EROFS_ISLOTBITS:#x}",
        f"ino={inode.ino}",
        "extended" if inode.extended else "compact",
        _LAYOUTS.get(inode.layout, str(inode.layout)),
    ]
    if inode.kind in (S_IFCHR, S_IFBLK):
        parts.append(f"rdev={inode.union:#x}")
    elif (
        inode.kind in (S_IFDIR, S_IFLNK) and inode.size >= BLOCK
    ) or inode.layout == EROFS_INODE_FLAT_PLAIN:
        parts.append(f"block={inode.union:#x}")
    parts += [f"chunk={c.device}:{c.block}" for c in reader.chunks(inode)]
    line = " ".join(parts) + f" {printable(path) or '/'}"
    if inode.kind == S_IFLNK:
        line += f" -> {printable(reader.content(inode))}"
    yield line
    for name, value in inode.xattrs:
        yield f"    xattr {printable(name)}={value.hex()}"
    if inode.kind == S_IFDIR:
        dots = [(n, nid) for n, nid, _ in reader.entries(inode) if n in (b".", b"..")]
        yield "    " + " ".join(f"{n.decode()}={nid}" for n, nid in dots)
