"""Pax records that readers may take differently: odd keys, values, numbers and forms."""

from __future__ import annotations

import base64
from typing import Final

from tests.differential.picker import Picker
from tests.support.tarmaker import record

#: Paths and link targets.
ODD_NAMES: Final = (
    b"", b".", b"..", b"/", b"./", b"../x", b"/abs", b"a/", b"a//", b"a/.", b"a/./", b"d/../x",
    b"a\0b", b"d/.wh.x", b".wh.x/", b".wh.x/.", b".wh.", b".wh..wh..opq", b"d/.wh..wh..opq",
    b".wh...", b"n" * 100, b".wh.d", b".wh.a", b"./.wh.a", b"d/./a", b"\xff", b"a ", b"d", b"a",
)  # fmt: skip
_XATTRS: Final = (
    b"user.a", b"user.", b"user", b"security.capability", b"security.ima", b"security.",
    b"trusted.x",
    b"trusted.overlay.opaque", b"trusted.overlay.redirect", b"trusted.overlay.metacopy",
    b"trusted.overlay.origin", b"trusted.", b"system.posix_acl_access", b"system.posix_acl_default",
    b"system.posix_acl_accessX", b"system.x", b"other.x", b"plain", b"", b"user.a\0b", b"user.%61",
    b"user." + b"n" * 250, b"user." + b"n" * 251, b"user." + b"n" * 300,
)  # fmt: skip
_ACL_BASE: Final = bytes.fromhex("02000000 01000600ffffffff 04000400ffffffff 20000400ffffffff")
_ACL_NAMED: Final = bytes.fromhex(
    "02000000 01000600ffffffff 02000700e8030000 04000400ffffffff 10000400ffffffff 20000400ffffffff"
)
_VALUES: Final = (
    b"", b"v", b"y", b"\0", b"a=b\nc", bytes.fromhex("0100000200040000") + bytes(12),
    bytes.fromhex("0100000300040000") + bytes(16), _ACL_BASE, _ACL_NAMED, _ACL_NAMED[:-8],
    b"\2\0\0\0", b"v" * 70_000,
)  # fmt: skip


def _xattr_record(pick: Picker) -> tuple[bytes, bytes]:
    name, value = pick.of(_XATTRS), pick.of(_VALUES)
    if pick.below(4):
        return b"SCHILY.xattr." + name, value
    return b"LIBARCHIVE.xattr." + name, pick.of(
        (base64.b64encode(value), base64.b64encode(value), b"*")
    )


_PAX_NUMBERS: Final = (
    b"", b"0", b"5", b" 5", b"5 ", b"+5", b"-1", b"-5", b"5x", b"5\0x", b"05", b"4294967295",
    b"4294967296",
    b"9223372036854775807", b"9223372036854775808", b"1_0", b"0x5",
)  # fmt: skip
_PAX_TIMES: Final = (
    b"", b"5", b"5.", b"5.5", b".5", b"-5", b"-0.5", b"-5.25", b"+5.5", b" 5", b"5 ", b"5 .5",
    b"5.5 ",
    b"5.123456789", b"5.1234567891", b"5.5x", b"5.5\0x", b"5\0x", b"9223372036", b"9223372037",
    b"99999999999999999999", b"1e5",
)  # fmt: skip
_PLAIN_KEYS: Final = (
    b"comment", b"uname", b"gname", b"charset", b"hdrcharset", b"SCHILY.acl.access", b"VENDOR.key",
    b"GNU.sparse.major", b"GNU.sparse.minor", b"GNU.sparse.name", b"GNU.sparse.realsize",
    b"GNU.sparse.map", b"GNU.sparse.numblocks", b"GNU.sparse.offset", b"key\0", b"",
    b"RHT.security.selinux",
)  # fmt: skip


def pax_record(pick: Picker) -> tuple[bytes, bytes]:
    """A record that readers may take differently."""
    what = pick.below(7)
    if what == 0:
        return pick.of((b"path", b"linkpath")), pick.of(ODD_NAMES)
    if what == 1:
        return pick.of((b"uid", b"gid", b"size")), pick.of(_PAX_NUMBERS)
    if what == 2:
        return pick.of((b"mtime", b"atime", b"ctime")), pick.of(_PAX_TIMES)
    if what in (3, 4):
        return _xattr_record(pick)
    return pick.of(_PLAIN_KEYS), pick.of((b"", b"1", b"0", b"x\0y", b"a=b", b"0,1", b"new"))


def _pax_body(pick: Picker) -> bytes:
    return b"".join(record(*pax_record(pick)) for _ in range(1 + pick.below(3)))


def some_records(pick: Picker) -> bytes:
    """The body of a pax header: up to three records."""
    return b"".join(record(*pax_record(pick)) for _ in range(1 + pick.below(3)))


def odd_records(pick: Picker) -> bytes:
    """A record whose length, spaces or end are written in another way."""
    body = record(*pax_record(pick))
    rest = body.partition(b" ")[2]
    form = pick.of((b"%d\t", b"0%d ", b"+%d ", b" %d ", b"%d  ", b"%d\n"))
    text = form % (len(body) + len(form) - 3)
    return pick.of(
        (text + rest, text + rest, body[:-1] + b"x", body + b"\0", body + b"4 =\n", body[1:])
    )
