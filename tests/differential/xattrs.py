"""What a kernel does with an xattr that the runtime sets: takes, changes, ignores or refuses it.

Rules of setxattr(2), xattr(7) and acl(5) for root on a Linux file system with POSIX ACLs and
without a security module's own rules (SELinux, IMA), which differ from node to node.
"""

from __future__ import annotations

import struct
from typing import Final

from tests.differential.tree import Node, Refused

ACL_ACCESS: Final = b"system.posix_acl_access"
ACL_DEFAULT: Final = b"system.posix_acl_default"
CAPABILITY: Final = b"security.capability"

_NAME_MAX: Final = 255
_SIZE_MAX: Final = 65536
_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 1, 2, 4, 8, 16, 32
_ACL_VERSION: Final = 2

Acl = list[tuple[int, int, int]]


def set_xattr(node: Node, name: bytes, value: bytes) -> None:
    """lsetxattr(2) as containerd uses it: what is not supported is left out. Raises Refused."""
    if not 0 < len(name) <= _NAME_MAX or len(value) > _SIZE_MAX:
        raise Refused(f"the kernel takes no xattr {name!r} of {len(value)} bytes")
    if name in (ACL_ACCESS, ACL_DEFAULT):
        _set_acl(node, name, value)
        return
    space, dot, rest = name.partition(b".")
    if not dot or space not in (b"user", b"security"):
        return
    if space == b"user" and not (node.is_directory or node.kind == 0o100000):
        return
    if not rest or (name == CAPABILITY and value and not _is_capability(value)):
        raise Refused(f"the kernel refuses xattr {name!r}")
    node.xattrs[name] = shown_xattr(name, value)


def shown_xattr(name: bytes, value: bytes) -> bytes:
    """What getxattr(2) gives back: a capability for the user name space itself is of revision 2."""
    if name == CAPABILITY and value[20:] == bytes(4) and _is_capability(value):
        return (0x0200_0000 | value[0] & 1).to_bytes(4, "little") + value[4:20]
    return value


def _is_capability(value: bytes) -> bool:
    """A struct vfs_cap_data of revision 2, or vfs_ns_cap_data of revision 3."""
    if len(value) not in (20, 24):
        return False
    revision = int.from_bytes(value[:4], "little") & ~1
    return revision == (0x0200_0000 if len(value) == 20 else 0x0300_0000)


def _set_acl(node: Node, name: bytes, value: bytes) -> None:
    acl = _parse_acl(value) if value else []
    if acl is None or node.is_symlink:
        return
    if name == ACL_DEFAULT and not node.is_directory:
        if acl:
            raise Refused("a default ACL of what is no directory")
        return
    if not acl:
        node.xattrs.pop(name, None)
        return
    if not _is_valid(acl):
        raise Refused("an ACL that is not valid")
    if name == ACL_ACCESS and len(acl) == 3:
        node.xattrs.pop(name, None)  # the mode says the same
        return
    node.xattrs[name] = _dump_acl(acl)


def _parse_acl(value: bytes) -> Acl | None:
    """The entries (tag, permissions, id); None for another version, which is not supported."""
    if len(value) < 4:
        raise Refused("an ACL without a header")
    if int.from_bytes(value[:4], "little") != _ACL_VERSION:
        return None
    if len(value) % 8 != 4:
        raise Refused("an ACL with a broken entry")
    acl: Acl = list(struct.iter_unpack("<HHI", value[4:]))
    if any(tag not in (1, 2, 4, 8, 16, 32) for tag, _, _ in acl):
        raise Refused("an ACL entry of unknown kind")
    # Entries that name nobody carry no id.
    return [(tag, bits, who if tag in (_USER, _GROUP) else 0xFFFF_FFFF) for tag, bits, who in acl]


def _dump_acl(acl: Acl) -> bytes:
    return struct.pack("<I", _ACL_VERSION) + b"".join(struct.pack("<HHI", *entry) for entry in acl)


def _is_valid(acl: Acl) -> bool:
    """In the kernel's order: owner, users, group, groups, a mask if any is named, others."""
    tags = [tag for tag, _, _ in acl]
    named = [tag for tag in tags if tag in (_USER, _GROUP)]
    wanted = [_USER_OBJ, *[_USER] * tags.count(_USER), _GROUP_OBJ, *[_GROUP] * tags.count(_GROUP)]
    wanted += [_MASK] if named or _MASK in tags else []
    return (
        tags == [*wanted, _OTHER]
        and all(bits <= 7 for _, bits, _ in acl)
        and all(who != 0xFFFF_FFFF for tag, _, who in acl if tag in (_USER, _GROUP))
    )


def chmod(node: Node, mode: int) -> None:
    """chmod(2), which also changes an access ACL."""
    node.mode = mode
    value = node.xattrs.get(ACL_ACCESS)
    if value is None:
        return
    acl = _parse_acl(value)
    assert acl is not None
    shifts = {_USER_OBJ: 6, _OTHER: 0, _MASK: 3}
    if not any(tag == _MASK for tag, _, _ in acl):
        shifts[_GROUP_OBJ] = 3
    node.xattrs[ACL_ACCESS] = _dump_acl(
        [(tag, mode >> shifts[tag] & 7 if tag in shifts else bits, who) for tag, bits, who in acl]
    )
