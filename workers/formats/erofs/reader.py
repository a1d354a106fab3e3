"""Reads a tar index back: superblock, device slot, inodes, names. Trusts nothing in it.

It is a reader for what ``tarindex`` and mkfs.erofs write: 512-byte blocks, flat or chunk-based
inodes, at most one device. Compressed or larger-block images are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, final

from workers.formats.erofs.checksums import superblock_checksum
from workers.formats.erofs.ondisk import (
    BLOCK,
    BLOCK_BITS,
    DEVICE_SLOT_OFFSET,
    EROFS_CHUNK_FORMAT_BLKBITS_MASK,
    EROFS_CHUNK_FORMAT_INDEXES,
    EROFS_FEATURE_COMPAT_SB_CHKSUM,
    EROFS_FEATURE_INCOMPAT_DEVICE_TABLE,
    EROFS_FEATURE_INCOMPAT_LZ4_0PADDING,
    EROFS_I_DATALAYOUT_BIT,
    EROFS_I_VERSION_MASK,
    EROFS_INODE_CHUNK_BASED,
    EROFS_INODE_FLAT_INLINE,
    EROFS_INODE_FLAT_PLAIN,
    EROFS_ISLOTBITS,
    EROFS_SUPER_MAGIC_V1,
    EROFS_SUPER_OFFSET,
    S_IFDIR,
    S_IFMT,
    XATTR_PREFIXES,
    ChunkIndex,
    DeviceSlot,
    Dirent,
    Field,
    InodeCompact,
    InodeExtended,
    SuperBlock,
    XattrEntry,
    XattrIbodyHeader,
)
from workers.formats.erofs.xattrs import aligned, area_size
from workers.formats.errors import FormatError
from workers.formats.words import signed64

#: (name, value) in order.
Xattrs = tuple[tuple[bytes, bytes], ...]


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


@final
class ImageInode:
    """One inode, read where it stands; times in seconds and nanoseconds, sizes in bytes."""

    def __init__(
        self, image: bytes, nid: int, layout: int, epoch: int, xattrs: Xattrs, body: int
    ) -> None:
        """All of it must be in ``image``: ``ImageReader.inode`` sees to that."""
        self._image = image
        self._at = nid << EROFS_ISLOTBITS
        self._epoch = epoch
        self.nid: int = nid
        self.layout: int = layout
        self.extended: bool = is_extended(image, self._at)
        self.xattrs: Xattrs = xattrs
        #: Byte offset behind inode and xattrs: an inline tail or chunk records (rounded up to 8).
        self.body: int = body

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ImageInode) and self._all() == other._all()

    def __hash__(self) -> int:
        return hash(self._all())

    def _all(self) -> tuple[int, int, Xattrs, bytes]:
        size = InodeExtended.SIZE if self.extended else InodeCompact.SIZE
        return self.nid, self._epoch, self.xattrs, self._image[self._at : self._at + size]

    def _read(self, extended: Field, compact: Field) -> int:
        return (extended if self.extended else compact).get(self._image, self._at)

    @property
    def mode(self) -> int:
        """Type and permission bits."""
        return self._read(InodeExtended.I_MODE, InodeCompact.I_MODE)

    @property
    def kind(self) -> int:
        """The type bits of the mode."""
        return self.mode & S_IFMT

    @property
    def nlink(self) -> int:
        """Link count."""
        return self._read(InodeExtended.I_NLINK, InodeCompact.I_NB)

    @property
    def size(self) -> int:
        """Size of the data."""
        return self._read(InodeExtended.I_SIZE, InodeCompact.I_SIZE)

    @property
    def uid(self) -> int:
        """Owner."""
        return self._read(InodeExtended.I_UID, InodeCompact.I_UID)

    @property
    def gid(self) -> int:
        """Group."""
        return self._read(InodeExtended.I_GID, InodeCompact.I_GID)

    @property
    def mtime(self) -> int:
        """Seconds, signed; the epoch of the image where the form has none of its own."""
        if not self.extended:
            return self._epoch
        return signed64(InodeExtended.I_MTIME.get(self._image, self._at))

    @property
    def nanoseconds(self) -> int:
        """The fraction of ``mtime``."""
        return InodeExtended.I_MTIME_NSEC.get(self._image, self._at) if self.extended else 0

    @property
    def ino(self) -> int:
        """Number for 32-bit stat(2)."""
        return self._read(InodeExtended.I_INO, InodeCompact.I_INO)

    @property
    def union(self) -> int:
        """``i_u``: block address, device number or chunk format."""
        return self._read(InodeExtended.I_U, InodeCompact.I_U)


def is_extended(image: bytes, at: int) -> bool:
    """True for an inode ``at`` of the extended form."""
    return InodeCompact.I_FORMAT.get(image, at) & EROFS_I_VERSION_MASK != 0


class ChunkRecord(NamedTuple):
    """``struct erofs_inode_chunk_index``: where a chunk lies, and where the record stands."""

    #: Byte offset of the record.
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
        at = EROFS_SUPER_OFFSET
        if len(image) < at + BLOCK or len(image) % BLOCK:
            raise self._error("erofs-superblock", "not a whole number of 512-byte blocks", 0)
        if SuperBlock.MAGIC.get(image, at) != EROFS_SUPER_MAGIC_V1:
            raise self._error("erofs-superblock", "no EROFS magic", at)
        if SuperBlock.BLKSZBITS.get(image, at) != BLOCK_BITS:
            raise self._error("erofs-superblock", "block size is not 512", at)
        incompat = SuperBlock.FEATURE_INCOMPAT.get(image, at)
        devices = SuperBlock.EXTRA_DEVICES.get(image, at)
        # 1.9 sets the first of these for nothing.
        known = EROFS_FEATURE_INCOMPAT_LZ4_0PADDING | EROFS_FEATURE_INCOMPAT_DEVICE_TABLE
        if incompat & ~known or devices > 1:
            raise self._error("erofs-superblock", "features of no tar index", at)
        checksum = SuperBlock.CHECKSUM.get(image, at)
        compat = SuperBlock.FEATURE_COMPAT.get(image, at)
        slot = DEVICE_SLOT_OFFSET
        return Superblock(
            checksum=checksum,
            checksum_valid=not compat & EROFS_FEATURE_COMPAT_SB_CHKSUM
            or superblock_checksum(image[at : at + BLOCK]) == checksum,
            feature_compat=compat,
            feature_incompat=incompat,
            root_nid=SuperBlock.ROOTNID_2B.get(image, at),
            inos=SuperBlock.INOS.get(image, at),
            epoch=SuperBlock.EPOCH.get(image, at),
            blocks=SuperBlock.BLOCKS_LO.get(image, at),
            uuid=SuperBlock.UUID.octets(image, at),
            volume_name=SuperBlock.VOLUME_NAME.octets(image, at),
            extra_devices=devices,
            device_blocks=DeviceSlot.BLOCKS_LO.get(image, slot) if devices else 0,
            device_uniaddr=DeviceSlot.UNIADDR_LO.get(image, slot) if devices else 0,
        )

    def inode(self, nid: int) -> ImageInode:
        """The inode with number ``nid``."""
        image = self._image
        at = nid << EROFS_ISLOTBITS
        if nid < 0 or at + InodeCompact.SIZE > len(image):
            raise self._error("erofs-inode", f"inode {nid} lies outside the index", at)
        form = InodeCompact.I_FORMAT.get(image, at)
        layout = form >> EROFS_I_DATALAYOUT_BIT
        if layout not in (
            EROFS_INODE_FLAT_PLAIN,
            EROFS_INODE_FLAT_INLINE,
            EROFS_INODE_CHUNK_BASED,
        ):
            raise self._error("erofs-inode", f"inode {nid} has unknown format {form:#x}", at)
        body = at + (InodeExtended.SIZE if is_extended(image, at) else InodeCompact.SIZE)
        if body > len(image):
            raise self._error("erofs-inode", f"inode {nid} lies outside the index", at)
        xattr_size = area_size(InodeCompact.I_XATTR_ICOUNT.get(image, at))
        if body + xattr_size > len(image):
            raise self._error("erofs-inode", f"the xattrs of inode {nid} leave the index", at)
        xattrs = tuple(self._xattrs(body, body + xattr_size)) if xattr_size else ()
        epoch = self.superblock.epoch
        return ImageInode(image, nid, layout, epoch, xattrs, body + xattr_size)

    def _xattrs(self, start: int, end: int) -> Iterator[tuple[bytes, bytes]]:
        image = self._image
        at = start + XattrIbodyHeader.SIZE
        prefixes = dict(XATTR_PREFIXES)
        while at + XattrEntry.SIZE <= end:
            index = XattrEntry.E_NAME_INDEX.get(image, at)
            name_at = at + XattrEntry.SIZE
            value_at = name_at + XattrEntry.E_NAME_LEN.get(image, at)
            value_end = value_at + XattrEntry.E_VALUE_SIZE.get(image, at)
            if value_end > end or (index and index not in prefixes):
                raise self._error("erofs-xattr", "an xattr leaves its area", at)
            yield prefixes.get(index, b"") + image[name_at:value_at], image[value_at:value_end]
            at = aligned(value_end)

    def content(self, inode: ImageInode) -> bytes:
        """Data of a directory or symlink, which lies in the index itself."""
        if inode.layout == EROFS_INODE_CHUNK_BASED:
            raise self._error("erofs-data", "the data lies in the tar", inode.body)
        whole = inode.size
        if inode.layout == EROFS_INODE_FLAT_INLINE:
            whole = inode.size & ~(BLOCK - 1)
        start = inode.union * BLOCK if whole else 0
        tail = inode.size - whole
        if start + whole > len(self._image) or inode.body + tail > len(self._image):
            raise self._error("erofs-data", f"the data of inode {inode.nid} leaves the index", 0)
        return self._image[start : start + whole] + self._image[inode.body : inode.body + tail]

    def chunks(self, inode: ImageInode) -> list[ChunkRecord]:
        """Where the chunks of a file lie; empty for one without data."""
        if inode.layout != EROFS_INODE_CHUNK_BASED:
            return []
        if not inode.union & EROFS_CHUNK_FORMAT_INDEXES:
            raise self._error("erofs-data", "chunks without indexes", inode.body)
        bits = (inode.union & EROFS_CHUNK_FORMAT_BLKBITS_MASK) + BLOCK_BITS
        count = (inode.size + (1 << bits) - 1) >> bits
        at = -(-inode.body // ChunkIndex.SIZE) * ChunkIndex.SIZE
        if at + count * ChunkIndex.SIZE > len(self._image):
            raise self._error("erofs-data", f"the chunks of inode {inode.nid} leave the index", at)
        records: list[ChunkRecord] = []
        for _ in range(count):
            device = ChunkIndex.DEVICE_ID.get(self._image, at)
            records.append(ChunkRecord(at, device, ChunkIndex.STARTBLK_LO.get(self._image, at)))
            at += ChunkIndex.SIZE
        return records

    def entries(self, directory: ImageInode) -> list[tuple[bytes, int, int]]:
        """(name, nid, file type) of every dirent of ``directory``, ``.`` and ``..`` included."""
        if directory.kind != S_IFDIR:
            raise self._error("erofs-dirent", "not a directory", directory.body)
        data = self.content(directory)
        result: list[tuple[bytes, int, int]] = []
        for start in range(0, len(data), BLOCK):
            piece = data[start : start + BLOCK]
            if len(piece) < Dirent.SIZE:
                raise self._error("erofs-dirent", "a directory block is too short", start)
            first = Dirent.NAMEOFF.get(piece, 0)
            if first % Dirent.SIZE or not Dirent.SIZE <= first <= len(piece):
                raise self._error("erofs-dirent", "a directory block is malformed", start)
            for at in range(0, first, Dirent.SIZE):
                after = at + Dirent.SIZE
                begin = Dirent.NAMEOFF.get(piece, at)
                end = Dirent.NAMEOFF.get(piece, after) if after < first else len(piece)
                if not first <= begin <= end <= len(piece):
                    raise self._error("erofs-dirent", "a name leaves its block", start)
                name = piece[begin:end]
                if end == len(piece):
                    name = name.rstrip(b"\0")
                kind = Dirent.FILE_TYPE.get(piece, at)
                result.append((name, Dirent.NID.get(piece, at), kind))
        return result

    def walk(self) -> Iterator[tuple[bytes, ImageInode]]:
        """(path, inode) of everything, the root first, then names in directory order.

        Raises FormatError ``erofs-loop`` when directories do not form a tree.
        """
        seen: set[int] = set()
        root = self.inode(self.superblock.root_nid)
        stack: list[tuple[bytes, ImageInode]] = [(b"", root)]
        budget = 2 * len(self._image) // Dirent.SIZE
        while stack:
            path, inode = stack.pop()
            budget -= 1
            if budget < 0:
                raise self._error("erofs-loop", "more names than the index can hold", 0)
            yield path, inode
            if inode.kind != S_IFDIR:
                continue
            if inode.nid in seen:
                raise self._error(
                    "erofs-loop", "a directory is met twice", inode.nid << EROFS_ISLOTBITS
                )
            seen.add(inode.nid)
            below = [
                (path + b"/" + name, self.inode(nid))
                for name, nid, _ in self.entries(inode)
                if name not in (b".", b"..")
            ]
            below.reverse()
            stack.extend(below)
