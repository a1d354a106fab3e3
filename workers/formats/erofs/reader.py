"""Reads a tar index back: superblock, device slot, inodes, names. Trusts nothing in it.

It is a reader for what ``tarindex`` and mkfs.erofs write: 512-byte blocks, flat or chunk-based
inodes, at most one device. Compressed or larger-block images are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from workers.formats.erofs.checksums import crc32c
from workers.formats.erofs.ondisk import (
    BLOCK,
    BLOCK_BITS,
    CHUNK_INDEX,
    CHUNK_INDEX_SIZE,
    COMPACT_SIZE,
    DEVICE_SLOT,
    DEVICE_SLOT_OFFSET,
    DIRENT,
    DIRENT_SIZE,
    EROFS_CHUNK_FORMAT_BLKBITS_MASK,
    EROFS_CHUNK_FORMAT_INDEXES,
    EROFS_FEATURE_COMPAT_SB_CHKSUM,
    EROFS_FEATURE_INCOMPAT_DEVICE_TABLE,
    EROFS_SUPER_MAGIC_V1,
    EROFS_SUPER_OFFSET,
    EXTENDED_SIZE,
    INODE_COMPACT,
    INODE_EXTENDED,
    LAYOUT_CHUNK_BASED,
    LAYOUT_FLAT_INLINE,
    LAYOUT_FLAT_PLAIN,
    S_IFBLK,
    S_IFCHR,
    S_IFDIR,
    S_IFIFO,
    S_IFLNK,
    S_IFMT,
    S_IFREG,
    SLOT_BITS,
    SUPER_BLOCK,
    XATTR_ENTRY,
    XATTR_IBODY_HEADER_SIZE,
    XATTR_PREFIXES,
)
from workers.formats.errors import FormatError


@dataclass(frozen=True, slots=True)
class Superblock:
    """struct erofs_super_block with its only device slot, fields by their kernel names."""

    checksum: int
    checksum_valid: bool
    feature_compat: int
    feature_incompat: int
    root_nid: int
    inos: int
    epoch: int
    blocks: int
    uuid: bytes
    volume_name: bytes
    extra_devices: int
    device_blocks: int
    device_uniaddr: int


@dataclass(frozen=True, slots=True)
class ImageInode:
    """One inode as it stands on disk; times in seconds and nanoseconds, sizes in bytes."""

    nid: int
    extended: bool
    layout: int
    mode: int
    nlink: int
    size: int
    uid: int
    gid: int
    mtime: int
    nanoseconds: int
    ino: int
    union: int
    xattrs: tuple[tuple[bytes, bytes], ...]
    #: Byte offset behind inode and xattrs: an inline tail or chunk records (rounded up to 8).
    body: int

    @property
    def kind(self) -> int:
        """The type bits of the mode."""
        return self.mode & S_IFMT


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """struct erofs_inode_chunk_index: where a chunk of a file lies, and where the record stands."""

    offset: int
    device: int
    block: int


class ImageReader:
    """Random access to an index held in memory; every method raises FormatError on bad bytes."""

    def __init__(self, image: bytes) -> None:
        self._image = image
        self.superblock = self._superblock()

    def _error(self, code: str, message: str, offset: int) -> FormatError:
        return FormatError(code, message, offset=offset)

    def _superblock(self) -> Superblock:
        image = self._image
        if len(image) < 3 * BLOCK or len(image) % BLOCK:
            raise self._error("erofs-superblock", "not a whole number of 512-byte blocks", 0)
        fields = SUPER_BLOCK.unpack_from(image, EROFS_SUPER_OFFSET)
        if fields[0] != EROFS_SUPER_MAGIC_V1:
            raise self._error("erofs-superblock", "no EROFS magic", EROFS_SUPER_OFFSET)
        if fields[3] != BLOCK_BITS:
            raise self._error("erofs-superblock", "block size is not 512", EROFS_SUPER_OFFSET)
        if fields[14] & ~(EROFS_FEATURE_INCOMPAT_DEVICE_TABLE | 1) or fields[16] > 1:
            raise self._error("erofs-superblock", "features of no tar index", EROFS_SUPER_OFFSET)
        slot = (b"", 0, 0, 0, 0)
        if fields[16]:
            slot = DEVICE_SLOT.unpack_from(image, DEVICE_SLOT_OFFSET)
        valid = True
        if fields[2] & EROFS_FEATURE_COMPAT_SB_CHKSUM:
            block = bytearray(image[EROFS_SUPER_OFFSET : EROFS_SUPER_OFFSET + BLOCK])
            block[4:8] = bytes(4)
            valid = crc32c(bytes(block)) == fields[1]
        return Superblock(
            checksum=fields[1],
            checksum_valid=valid,
            feature_compat=fields[2],
            feature_incompat=fields[14],
            root_nid=fields[5],
            inos=fields[6],
            epoch=fields[7],
            blocks=fields[9],
            uuid=fields[12],
            volume_name=fields[13],
            extra_devices=fields[16],
            device_blocks=slot[1],
            device_uniaddr=slot[2],
        )

    def inode(self, nid: int) -> ImageInode:
        """The inode with number ``nid``."""
        image = self._image
        at = nid << SLOT_BITS
        if nid < 0 or at + COMPACT_SIZE > len(image):
            raise self._error("erofs-inode", f"inode {nid} lies outside the index", at)
        form = int.from_bytes(image[at : at + 2], "little")
        extended = bool(form & 1)
        layout = form >> 1 & 7
        if form >> 4 or layout not in (
            LAYOUT_FLAT_PLAIN,
            LAYOUT_FLAT_INLINE,
            LAYOUT_CHUNK_BASED,
        ):
            raise self._error("erofs-inode", f"inode {nid} has unknown format {form:#x}", at)
        if extended:
            if at + EXTENDED_SIZE > len(image):
                raise self._error("erofs-inode", f"inode {nid} lies outside the index", at)
            (_, count, mode, _, size, union, ino, uid, gid, mtime, nanoseconds, nlink, _) = (
                INODE_EXTENDED.unpack_from(image, at)
            )
            body = at + EXTENDED_SIZE
        else:
            (_, count, mode, nlink, size, _, union, ino, uid, gid, _) = INODE_COMPACT.unpack_from(
                image, at
            )
            mtime, nanoseconds = self.superblock.epoch, 0
            body = at + COMPACT_SIZE
        end = body + (XATTR_IBODY_HEADER_SIZE + (count - 1) * 4 if count else 0)
        if end > len(image):
            raise self._error("erofs-inode", f"the xattrs of inode {nid} leave the index", at)
        xattrs = tuple(self._xattrs(body, end)) if count else ()
        return ImageInode(
            nid, extended, layout, mode, nlink, size, uid, gid, mtime, nanoseconds, ino, union,
            xattrs, end,
        )  # fmt: skip

    def _xattrs(self, start: int, end: int) -> Iterator[tuple[bytes, bytes]]:
        image = self._image
        at = start + XATTR_IBODY_HEADER_SIZE
        prefixes = dict(XATTR_PREFIXES)
        while at + 4 <= end:
            name_length, index, value_length = XATTR_ENTRY.unpack_from(image, at)
            value_at = at + 4 + name_length
            if value_at + value_length > end or (index and index not in prefixes):
                raise self._error("erofs-xattr", "an xattr leaves its area", at)
            name = prefixes.get(index, b"") + image[at + 4 : value_at]
            yield name, image[value_at : value_at + value_length]
            at = (value_at + value_length + 3) & ~3

    def content(self, inode: ImageInode) -> bytes:
        """Data of a directory or symlink, which lies in the index itself."""
        if inode.layout == LAYOUT_CHUNK_BASED:
            raise self._error("erofs-data", "the data lies in the tar", inode.body)
        whole = inode.size
        if inode.layout == LAYOUT_FLAT_INLINE:
            whole = inode.size & ~(BLOCK - 1)
        start = inode.union * BLOCK if whole else 0
        tail = inode.size - whole
        if start + whole > len(self._image) or inode.body + tail > len(self._image):
            raise self._error("erofs-data", f"the data of inode {inode.nid} leaves the index", 0)
        return self._image[start : start + whole] + self._image[inode.body : inode.body + tail]

    def chunks(self, inode: ImageInode) -> list[ChunkRecord]:
        """Where the chunks of a file lie; empty for one without data."""
        if inode.layout != LAYOUT_CHUNK_BASED:
            return []
        if not inode.union & EROFS_CHUNK_FORMAT_INDEXES:
            raise self._error("erofs-data", "chunks without indexes", inode.body)
        bits = (inode.union & EROFS_CHUNK_FORMAT_BLKBITS_MASK) + BLOCK_BITS
        count = (inode.size + (1 << bits) - 1) >> bits
        at = (inode.body + 7) & ~7
        if count < 0 or at + count * CHUNK_INDEX_SIZE > len(self._image):
            raise self._error("erofs-data", f"the chunks of inode {inode.nid} leave the index", at)
        records: list[ChunkRecord] = []
        for _ in range(count):
            _, device, block = CHUNK_INDEX.unpack_from(self._image, at)
            records.append(ChunkRecord(at, device, block))
            at += CHUNK_INDEX_SIZE
        return records

    def entries(self, directory: ImageInode) -> list[tuple[bytes, int, int]]:
        """(name, nid, file type) of every dirent of ``directory``, ``.`` and ``..`` included."""
        if directory.kind != S_IFDIR:
            raise self._error("erofs-dirent", "not a directory", directory.body)
        data = self.content(directory)
        result: list[tuple[bytes, int, int]] = []
        for start in range(0, len(data), BLOCK):
            piece = data[start : start + BLOCK]
            if len(piece) < DIRENT_SIZE:
                raise self._error("erofs-dirent", "a directory block is too short", start)
            first = DIRENT.unpack_from(piece, 0)[1]
            if first % DIRENT_SIZE or not DIRENT_SIZE <= first <= len(piece):
                raise self._error("erofs-dirent", "a directory block is malformed", start)
            heads = [DIRENT.unpack_from(piece, at) for at in range(0, first, DIRENT_SIZE)]
            ends = [head[1] for head in heads[1:]] + [len(piece)]
            for (nid, offset, kind, _), end in zip(heads, ends, strict=True):
                if not first <= offset <= end <= len(piece):
                    raise self._error("erofs-dirent", "a name leaves its block", start)
                name = piece[offset:end]
                result.append((name.rstrip(b"\0") if end == len(piece) else name, nid, kind))
        return result

    def walk(self) -> Iterator[tuple[bytes, ImageInode]]:
        """(path, inode) of everything, the root first, then names in directory order.

        Raises FormatError ``erofs-loop`` when directories do not form a tree.
        """
        seen: set[int] = set()
        root = self.inode(self.superblock.root_nid)
        stack: list[tuple[bytes, ImageInode]] = [(b"", root)]
        budget = 2 * len(self._image) // DIRENT_SIZE
        while stack:
            path, inode = stack.pop()
            budget -= 1
            if budget < 0:
                raise self._error("erofs-loop", "more names than the index can hold", 0)
            yield path, inode
            if inode.kind != S_IFDIR:
                continue
            if inode.nid in seen:
                raise self._error("erofs-loop", "a directory is met twice", inode.nid << SLOT_BITS)
            seen.add(inode.nid)
            below = [
                (path + b"/" + name, self.inode(nid))
                for name, nid, _ in self.entries(inode)
                if name not in (b".", b"..")
            ]
            below.reverse()
            stack.extend(below)


#: Type bits -> the letter of ls(1).
KIND_LETTERS = {
    S_IFREG: "-",
    S_IFDIR: "d",
    S_IFLNK: "l",
    S_IFCHR: "c",
    S_IFBLK: "b",
    S_IFIFO: "p",
}
