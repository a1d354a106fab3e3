"""The superblock of an index: what it says, its checksum, and changing its UUID."""

from __future__ import annotations

from dataclasses import dataclass

from app.catalog.builders import BuilderVersion
from workers.formats.erofs.checksums import superblock_checksum
from workers.formats.erofs.ondisk import (
    BLOCK,
    BLOCK_BITS,
    DEVICE_SLOT_OFFSET,
    EROFS_FEATURE_COMPAT_MTIME,
    EROFS_FEATURE_COMPAT_SB_CHKSUM,
    EROFS_FEATURE_COMPAT_XATTR_FILTER,
    EROFS_FEATURE_INCOMPAT_DEVICE_TABLE,
    EROFS_ISLOTBITS,
    EROFS_SUPER_MAGIC_V1,
    EROFS_SUPER_OFFSET,
    DeviceSlot,
    SuperBlock,
)
from workers.formats.errors import FormatError
from workers.formats.tarindex.layout import Layout
from workers.formats.words import WordArray


@dataclass(frozen=True, slots=True)
class SuperblockFacts:
    """What the superblock says beside the layout."""

    version: BuilderVersion
    #: 16 bytes.
    uuid: bytes
    #: Seconds.
    epoch: int
    #: 16 bytes, or none.
    label: bytes
    #: Blocks of the tar that the parser reached: the size of device 1.
    tar_blocks: int


def put_superblock(image: WordArray, layout: Layout, facts: SuperblockFacts, filters: bool) -> None:
    """Write superblock and device slot, the checksum zero; ``filters``: some xattrs have one."""
    compat = EROFS_FEATURE_COMPAT_MTIME
    if facts.version.checksum:
        compat |= EROFS_FEATURE_COMPAT_SB_CHKSUM
    if filters:
        compat |= EROFS_FEATURE_COMPAT_XATTR_FILTER
    incompat = EROFS_FEATURE_INCOMPAT_DEVICE_TABLE | facts.version.extra_incompat
    at = EROFS_SUPER_OFFSET
    SuperBlock.MAGIC.put(image, at, EROFS_SUPER_MAGIC_V1)
    SuperBlock.FEATURE_COMPAT.put(image, at, compat)
    SuperBlock.BLKSZBITS.put(image, at, BLOCK_BITS)
    SuperBlock.ROOTNID_2B.put(image, at, layout.address(layout.root) >> EROFS_ISLOTBITS)
    SuperBlock.INOS.put(image, at, len(layout.inodes))
    SuperBlock.EPOCH.put(image, at, facts.epoch)
    SuperBlock.BLOCKS_LO.put(image, at, layout.blocks)
    SuperBlock.UUID.put_octets(image, at, facts.uuid)
    SuperBlock.VOLUME_NAME.put_octets(image, at, facts.label.ljust(16, b"\0"))
    SuperBlock.FEATURE_INCOMPAT.put(image, at, incompat)
    SuperBlock.EXTRA_DEVICES.put(image, at, 1)
    SuperBlock.DEVT_SLOTOFF.put(image, at, DEVICE_SLOT_OFFSET // DeviceSlot.SIZE)
    DeviceSlot.BLOCKS_LO.put(image, DEVICE_SLOT_OFFSET, facts.tar_blocks)
    DeviceSlot.UNIADDR_LO.put(image, DEVICE_SLOT_OFFSET, layout.blocks)


def seal(image: WordArray) -> None:
    """Write the superblock's checksum, which covers the rest of its block."""
    block = image.piece(EROFS_SUPER_OFFSET, BLOCK)
    SuperBlock.CHECKSUM.put(image, EROFS_SUPER_OFFSET, superblock_checksum(block))


def with_uuid(index: bytes, uuid: bytes) -> bytes:
    """``index`` under another UUID of 16 bytes; the checksum follows where the index carries one.

    Raises FormatError ``erofs-superblock`` for what is no index, ValueError for another length.
    """
    at = EROFS_SUPER_OFFSET
    if len(index) % BLOCK or len(index) < at + BLOCK:
        raise FormatError("erofs-superblock", "no EROFS superblock", offset=at)
    if SuperBlock.MAGIC.get(index, at) != EROFS_SUPER_MAGIC_V1:
        raise FormatError("erofs-superblock", "no EROFS superblock", offset=at)
    image = WordArray(len(index))
    image.put_bytes(0, index)
    SuperBlock.UUID.put_octets(image, at, uuid)
    if SuperBlock.FEATURE_COMPAT.get(index, at) & EROFS_FEATURE_COMPAT_SB_CHKSUM:
        seal(image)
    return image.data()
