"""The single-device form of an index: chunks address the tar in the same device.

Stock containerd cannot start containers from an index with a device table; this form has the same
length and content, so all leaf hashes over the tar stay (docs/formats.md).
"""

from __future__ import annotations

from workers.formats.erofs.ondisk import (
    DEVICE_SLOT_OFFSET,
    EROFS_FEATURE_COMPAT_SB_CHKSUM,
    EROFS_INODE_CHUNK_BASED,
    EROFS_SUPER_OFFSET,
    ChunkIndex,
    DeviceSlot,
    SuperBlock,
)
from workers.formats.erofs.reader import ImageReader
from workers.formats.errors import FormatError
from workers.formats.tarindex.superblock import seal
from workers.formats.words import WordArray


def single_device_form(index: bytes) -> bytes:
    """``index`` (device-table form) rewritten; raises FormatError when it is no such index."""
    reader = ImageReader(index)
    superblock = reader.superblock
    if superblock.extra_devices != 1 or superblock.device_uniaddr != superblock.blocks:
        raise FormatError("erofs-superblock", "not an index with one device in front of its tar")
    total = superblock.blocks + superblock.device_blocks
    if total > 0xFFFF_FFFF:
        raise FormatError("erofs-superblock", "index and tar exceed 32-bit block addresses")
    image = WordArray(len(index))
    image.put_bytes(0, index)
    done: set[int] = set()
    for _, inode in reader.walk():
        if inode.layout != EROFS_INODE_CHUNK_BASED or inode.nid in done:
            continue
        done.add(inode.nid)
        for record in reader.chunks(inode):
            block = superblock.device_uniaddr + record.block
            if record.device != 1 or block > 0xFFFF_FFFF:
                raise FormatError(
                    "erofs-data", "a chunk lies outside the tar", offset=record.offset
                )
            ChunkIndex.STARTBLK_HI.put(image, record.offset, 0)
            ChunkIndex.DEVICE_ID.put(image, record.offset, 0)
            ChunkIndex.STARTBLK_LO.put(image, record.offset, block)
    SuperBlock.BLOCKS_LO.put(image, EROFS_SUPER_OFFSET, total)
    SuperBlock.FEATURE_INCOMPAT.put(image, EROFS_SUPER_OFFSET, 0)
    SuperBlock.EXTRA_DEVICES.put(image, EROFS_SUPER_OFFSET, 0)
    SuperBlock.DEVT_SLOTOFF.put(image, EROFS_SUPER_OFFSET, 0)
    image.put_bytes(DEVICE_SLOT_OFFSET, bytes(DeviceSlot.SIZE))
    if superblock.feature_compat & EROFS_FEATURE_COMPAT_SB_CHKSUM:
        seal(image)
    return image.data()
