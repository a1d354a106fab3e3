"""Which xattrs the container runtime, or the kernel that it asks, does not take as they are.

containerd leaves out ``trusted.*`` and whatever the kernel does not support; where the kernel finds
an xattr invalid, the layer is refused. Rules of setxattr(2), capabilities(7) and acl(5).
"""

from __future__ import annotations

from typing import Final

from workers.formats.erofs.ondisk import S_IFDIR, S_IFLNK, S_IFMT, S_IFREG
from workers.formats.erofs.xattrs import split_name

CAPABILITY: Final = b"security.capability"
_ACL_ACCESS: Final = b"system.posix_acl_access"

_INDEX_USER: Final = 1
_INDEX_ACL_ACCESS: Final = 2
_INDEX_ACL_DEFAULT: Final = 3
_INDEX_TRUSTED: Final = 4
_INDEX_SECURITY: Final = 6
_NAME_MAX: Final = 255
_VALUE_MAX: Final = 65536

#: Tags of ACL entries (linux/posix_acl.h) in the order that they must stand in.
_USER_OBJ: Final = 1
_USER: Final = 2
_GROUP_OBJ: Final = 4
_GROUP: Final = 8
_MASK: Final = 16
_OTHER: Final = 32
_NOBODY: Final = 0xFFFF_FFFF


def is_set(name: bytes, value: bytes) -> bool:
    """True if the runtime sets such an xattr, or fails to; what it leaves out is all the same."""
    index, _ = split_name(name)
    if index == 0:
        return len(name) > _NAME_MAX or len(value) > _VALUE_MAX
    return index != _INDEX_TRUSTED


def xattr_remark(name: bytes, value: bytes, index: int, prefix: int, mode: int) -> str:
    """The kind of warning that an xattr of an inode with ``mode`` gives rise to, or nothing.

    ``index`` and ``prefix`` are those of ``split_name``; no kernel shows what has no index, and
    containerd passes over it.
    """
    kind = mode & S_IFMT
    size = len(value)
    if index == _INDEX_USER:
        kept = kind in (S_IFREG, S_IFDIR)
    elif index == _INDEX_SECURITY:
        kept = name != CAPABILITY or size == 0 or _is_capability(value)
    elif index == _INDEX_TRUSTED:
        return "xattr-trusted"
    else:
        stands = name == _ACL_ACCESS and kind != S_IFLNK and _acl_stands(value, mode)
        return "" if stands else "xattr-acl"
    fits = prefix < len(name) <= _NAME_MAX and size <= _VALUE_MAX
    return "" if kept and fits else "xattr-refused"


def _is_capability(value: bytes) -> bool:
    """struct vfs_cap_data of revision 2, or vfs_ns_cap_data of revision 3."""
    if len(value) == 20:
        return value[0] & 0xFE == 0 and value[1:4] == b"\0\0\2"
    return (
        len(value) == 24
        and value[0] & 0xFE == 0
        and value[1:4] == b"\0\0\3"
        and value[20:] != b"\xff\xff\xff\xff"
    )


def _acl_stands(value: bytes, mode: int) -> bool:
    """True for an access ACL that setting it, and then ``mode``, leaves as it is."""
    if len(value) % 8 != 4 or value[:4] != b"\2\0\0\0":
        return False
    shifts = {_USER_OBJ: 6, _OTHER: 0, _MASK: 3}
    tags: list[int] = []
    for at in range(4, len(value), 8):
        tag = int.from_bytes(value[at : at + 2], "little")
        bits = int.from_bytes(value[at + 2 : at + 4], "little")
        who = int.from_bytes(value[at + 4 : at + 8], "little")
        named = tag in (_USER, _GROUP)
        if bits > 7 or named == (who == _NOBODY) or (tags and tag < tags[-1]):
            return False
        if tag in shifts and bits != mode >> shifts[tag] & 7:
            return False
        tags.append(tag)
    # Without named entries the mode says the same, and the kernel keeps nothing.
    single = [tag for tag in tags if tag not in (_USER, _GROUP)]
    return len(tags) > 3 and single == [_USER_OBJ, _GROUP_OBJ, _MASK, _OTHER]
