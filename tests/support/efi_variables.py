"""Writes UEFI's signature database ``db`` into OVMF's variable store: a kernel trusts its keys.

The kernel loads ``db`` into its ``.platform`` keyring. Structures: UEFI 2.10 section 32.4.1
(EFI_SIGNATURE_LIST) and EDK2's ``VariableFormat.h`` (authenticated variables).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from uuid import UUID

_STORE = UUID("aaf32c78-947b-439a-a180-2e144ec37792").bytes_le
_IMAGE_SECURITY = UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f").bytes_le
_X509 = UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072").bytes_le
_OWNER = UUID("6f1d4b6e-7a41-4f3c-9a66-1e1f0c2d9b11").bytes_le

_START, _ADDED = 0x55AA, 0x3F
#: NON_VOLATILE | BOOTSERVICE_ACCESS | RUNTIME_ACCESS | TIME_BASED_AUTHENTICATED_WRITE_ACCESS
_ATTRIBUTES = 0x27
_VARIABLE = struct.Struct("<HBBIQ16sIII16s")
_STORE_HEADER = struct.Struct("<16sIBBHI")
#: EFI_TIME of the write: 2025-01-01.
_TIME = struct.pack("<HBBBBBBIhBB", 2025, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0)


def with_trusted(store: bytes, certificates: Sequence[bytes]) -> bytes:
    """Return a copy of an OVMF variable store whose ``db`` holds these certificates (DER)."""
    at = store.index(_STORE)
    header = _STORE_HEADER.unpack_from(store, at)
    end = at + header[1]
    free = at + _STORE_HEADER.size
    while store[free : free + 2] == struct.pack("<H", _START):
        fields = _VARIABLE.unpack_from(store, free)
        free = _aligned(free + _VARIABLE.size + fields[7] + fields[8])
    variable = _variable("db", b"".join(_signature_list(each) for each in certificates))
    assert store[free : free + len(variable)].strip(b"\xff") == b"", "the store is not free there"
    assert free + len(variable) < end, "the certificates do not fit into the variable store"
    return store[:free] + variable + store[free + len(variable) :]


def _signature_list(certificate: bytes) -> bytes:
    size = 16 + len(certificate)
    return struct.pack("<16sIII", _X509, 28 + size, 0, size) + _OWNER + certificate


def _variable(name: str, data: bytes) -> bytes:
    encoded = name.encode("utf-16-le") + b"\0\0"
    header = _VARIABLE.pack(
        _START, _ADDED, 0, _ATTRIBUTES, 0, _TIME, 0, len(encoded), len(data), _IMAGE_SECURITY
    )
    variable = header + encoded + data
    return variable.ljust(_aligned(len(variable)), b"\xff")


def _aligned(offset: int) -> int:
    return -(-offset // 4) * 4
