"""The single-device form of an index: chunks address the tar in the same device.

Stock containerd cannot start containers from an index with a device table; this form has the same
length and content, so all leaf hashes over the tar stay (docs/formats.md).
"""

from __future__ import annotations

from workers.formats.erofs.ondisk import (
    DEVICE_SLOT_OFFSET,
    EROFS_DEVT_SLOT_SIZE,
    EROFS_FEATURE_COMPAT_SB_CHKSUM,
    EROFS_SUPER_OFFSET,
    LAYOUT_CHUNK_BASED,
)
from workers.formats.erofs.reader import ImageReader
from workers.formats.errors import FormatError
from workers.formats.tarindex.writer import seal


def single_device_form(index: bytes) -> bytes:
    """``index`` (device-table form) rewritten; raises FormatError when it is no such index."""
    reader = ImageReader(index)
    superblock = reader.superblock
    if superblock.extra_devices != 1 or superblock.device_uniaddr != superblock.blocks:
        raise FormatError("erofs-superblock", "not an index with one device in front of its tar")
    total = superblock.blocks + superblock.device_blocks
    if total > 0xFFFF_FFFF:
        raise FormatError("erofs-superblock", "index and tar exceed 32-bit block addresses")
    image = bytearray(index)
    done: set[int] = set()
    for _, inode in reader.walk():
        if inode.layout != LAYOUT_CHUNK_BASED or inode.nid in done:
            continue
        done.add(inode.nid)
        for record in reader.chunks(inode):
            block = superblock.device_uniaddr + record.block
            if record.device != 1 or block > 0xFFFF_FFFF:
                raise FormatError(
                    "erofs-data", "a chunk lies outside the tar", offset=record.offset
                )
            image[record.offset : record.offset + 4] = bytes(4)
            image[record.offset + 4 : record.offset + 8] = block.to_bytes(4, "little")
    at = EROFS_SUPER_OFFSET
    image[at + 0x24 : at + 0x28] = total.to_bytes(4, "little")
    image[at + 0x50 : at + 0x54] = bytes(4)
    image[at + 0x56 : at + 0x5A] = bytes(4)
    image[DEVICE_SLOT_OFFSET : DEVICE_SLOT_OFFSET + EROFS_DEVT_SLOT_SIZE] = bytes(
        EROFS_DEVT_SLOT_SIZE
    )
    if superblock.feature_compat & EROFS_FEATURE_COMPAT_SB_CHKSUM:
        seal(image)
    return bytes(image)
