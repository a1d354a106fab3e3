"""Ways to damage or decorate an archive so that readers may disagree about it.

Every mutation takes the archive and a source of choices, and keeps headers' checksums right where
it changes them: a reader that only checks sums must not notice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.differential.paxrecords import ODD_NAMES, odd_records, pax_record, some_records
from tests.differential.picker import Picker
from tests.support.tarmaker import header, long_name, number, padded, pax, record

Mutation = Callable[[Picker, bytes], bytes]
_BLOCK: Final = 512


def headers(tar: bytes) -> list[int]:
    """Offsets of headers, found as a plain reader finds them; stops where it would be lost."""
    found = []
    at = 0
    while at + _BLOCK <= len(tar) and tar[at : at + _BLOCK].strip(b"\0"):
        found.append(at)
        size = _size(tar, at)
        if size is None:
            break
        bodies = tar[at + 156 : at + 157] in (b"0", b"7", b"\0", b"x", b"g", b"L", b"K", b"S")
        at += _BLOCK + (-(-size // _BLOCK) * _BLOCK if bodies else 0)
    return found


def _size(tar: bytes, at: int) -> int | None:
    """The size field of the header at ``at``; None where it is not octal."""
    digits = tar[at + 124 : at + 135].strip(b" \0")
    return int(digits or b"0", 8) if all(48 <= digit <= 55 for digit in digits) else None


def summed(block: bytes) -> bytes:
    """``block`` with its checksum set right."""
    total = sum(block[:148]) + 256 + sum(block[156:])
    return block[:148] + b"%06o\0 " % total + block[156:]


def _with_block(tar: bytes, at: int, block: bytes) -> bytes:
    return tar[:at] + block + tar[at + _BLOCK :]


def _with_field(tar: bytes, at: int, start: int, value: bytes) -> bytes:
    block = tar[at : at + _BLOCK]
    return _with_block(tar, at, summed(block[:start] + value + block[start + len(value) :]))


def _any_header(pick: Picker, tar: bytes) -> int | None:
    found = headers(tar)
    return pick.of(found) if found else None


#: Number fields of a header: offset and width.
_NUMBERS: Final = ((100, 8), (108, 8), (116, 8), (124, 12), (136, 12), (329, 8), (337, 8))
_ODD_NUMBERS: Final = (
    b"", b" ", b"0", b"17", b"+17", b"-17", b"17 ", b" 17", b"\t17", b"17 5", b"17\0005",
    b" \00017", b"\00017", b"8", b"0x1", b"17x", b"7777777", b"77777777", b"\x80", b"\xff",
    b"\xc0\1", b"\x81\1", b"777777777777", b"\x80\0\0\0\0\0\0\5",
    b"\x80\x7f\xff\xff\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\xff", b"\xff\xff\xff\xff\xff\xff\xff\xfe",
    b"\x80\0\0\1\0\0\0\0", b"\x80\0\0\0\xff\xff\xff\xff", b"\xff" * 12, b"\xff" * 11 + b"\xf0",
    b"\x80" + b"\xff" * 11, b"\x80\0\0\0\x7f" + b"\xff" * 7, b"\x80\0\0\0\x80" + b"\0" * 7,
)  # fmt: skip
_MAGICS: Final = (
    b"ustar\00000", b"ustar  \0", b"ustar\0\0\0", b"ustar 00", b"ustar   ", b"ustarX00",
    b"ustar\0 \0", b"USTAR\00000", b"\0" * 8,
)  # fmt: skip
_PREFIXES: Final = (
    b"p", b"p/", b"/p", b"d", b"00000000017\00000000000017", b"17", b"p\xff", b"\0" * 12 + b"1",
    b"\0" * 12 + b"x", b"123456789012", b"prefix" * 20, b"..", b"./.",
)  # fmt: skip


def set_number(pick: Picker, tar: bytes) -> bytes:
    """One number field of one header is written in another way, or is another number."""
    at = _any_header(pick, tar)
    if at is None:
        return tar
    start, width = pick.of(_NUMBERS)
    return _with_field(tar, at, start, pick.of(_ODD_NUMBERS).ljust(width, b"\0")[:width])


def set_text(pick: Picker, tar: bytes) -> bytes:
    """Name, link target, magic, prefix, type or unused bytes of one header."""
    at = _any_header(pick, tar)
    if at is None:
        return tar
    start, width, values = pick.of(
        (
            (0, 100, ODD_NAMES),
            (157, 100, ODD_NAMES),
            (257, 8, _MAGICS),
            (345, 155, _PREFIXES),
            (156, 1, [bytes([kind]) for kind in b"\x0001234567SVDMNAXxgLK89 \xff"]),
            (500, 12, (b"\1", b"tar\0" * 3, b"\0" * 8 + b"tar\0", b"x" * 12, b"\xff" * 12)),
            (265, 64, (b"root\xff", b"u" * 64)),
        )
    )
    value: bytes = pick.of(values)
    return _with_field(tar, at, start, value.ljust(width, b"\0")[:width])


def set_gnu_times(pick: Picker, tar: bytes) -> bytes:
    """A GNU header with access and change times, or with what stands in their place."""
    at = _any_header(pick, tar)
    if at is None:
        return tar
    tar = _with_field(tar, at, 257, pick.of((b"ustar  \0", b"ustar  \0", b"ustar   ")))
    return _with_field(tar, at, 345, pick.of(_PREFIXES).ljust(24, b"\0")[:24])


def flip_bit(pick: Picker, tar: bytes) -> bytes:
    """Any bit of a header but its checksum's."""
    at = _any_header(pick, tar)
    if at is None:
        return tar
    byte = pick.below(_BLOCK - 8)
    byte += 8 if byte >= 148 else 0
    return _with_field(tar, at, byte, bytes([tar[at + byte] ^ 1 << pick.below(8)]))


def odd_checksum(pick: Picker, tar: bytes) -> bytes:
    """The right sum, or the sum of signed bytes, in another form."""
    at = _any_header(pick, tar)
    if at is None:
        return tar
    block = tar[at : at + _BLOCK]
    signed = sum(b - 256 if b > 127 else b for b in block[:148] + block[156:]) + 256
    total = pick.of((sum(block[:148]) + 256 + sum(block[156:]), signed))
    form = pick.of(
        (b"%07o\0", b"%o ", b" %o", b"\t%o", b"+%o", b"%08o", b"%o \0005", b"\0%o", b"%o x")
    )
    field = (form % (total % 8**6)).ljust(8, b"\0")[:8]
    return _with_block(tar, at, block[:148] + field + block[156:])


def move_blocks(pick: Picker, tar: bytes) -> bytes:
    """Swap, double or remove blocks."""
    blocks = [tar[at : at + _BLOCK] for at in range(0, len(tar), _BLOCK)]
    if not blocks:
        return tar
    first, second = pick.below(len(blocks)), pick.below(len(blocks))
    what = pick.below(4)
    if what == 0:
        blocks[first], blocks[second] = blocks[second], blocks[first]
    elif what == 1:
        blocks.insert(second, blocks[first])
    elif what == 2:
        del blocks[first]
    else:
        blocks.insert(first, bytes(_BLOCK))
    return b"".join(blocks)


def move_members(pick: Picker, tar: bytes) -> bytes:
    """Swap, double or remove headers with what follows them."""
    starts = headers(tar)
    if not starts:
        return tar
    ends = [*starts[1:], starts[-1] + _BLOCK]
    parts = [tar[start:end] for start, end in zip(starts, ends, strict=True)]
    rest = tar[ends[-1] :]
    first, second = pick.below(len(parts)), pick.below(len(parts))
    what = pick.below(3)
    if what == 0:
        parts[first], parts[second] = parts[second], parts[first]
    elif what == 1:
        parts.insert(second, parts[first])
    else:
        del parts[first]
    return b"".join(parts) + rest


def cut_or_extend(pick: Picker, tar: bytes) -> bytes:
    """The end moves."""
    what = pick.below(4)
    if what == 0:
        return tar[: pick.below(len(tar) + 1)]
    if what == 1:
        return tar[: pick.below(len(tar) // _BLOCK + 1) * _BLOCK]
    if what == 2:
        return tar.rstrip(b"\0") + bytes(-len(tar.rstrip(b"\0")) % _BLOCK + _BLOCK * pick.below(3))
    return tar + pick.of((bytes(40_000), b"behind the end" * 50, tar[:_BLOCK]))


def _extension(pick: Picker) -> bytes:
    """One extension header."""
    what = pick.below(9)
    if what == 0:
        return long_name(pick.of(ODD_NAMES), pick.of((b"L", b"K")))
    if what == 1:
        return pax([(pick.of((b"path", b"linkpath")), pick.of(ODD_NAMES))])
    if what == 2:
        return _named(pick, pax([pax_record(pick)], b"g"))
    body = odd_records(pick) if what == 3 else some_records(pick)
    return header(b"PaxHeaders/x", b"x", size=len(body)) + padded(body)


def _named(pick: Picker, extension: bytes) -> bytes:
    name = pick.of(
        (b"pax_global_header", b"PaxHeaders/g", b"a", b"d", b"d/a", b".wh.a", b"././@PaxHeader")
    )
    return _with_field(extension, 0, 0, name.ljust(100, b"\0"))


def add_extensions(pick: Picker, tar: bytes) -> bytes:
    """One to three extension headers in front of a header."""
    at = _any_header(pick, tar) or 0
    front = b"".join(_extension(pick) for _ in range(pick.of((1, 1, 1, 2, 3))))
    return tar[:at] + front + tar[at:]


def edit_pax(pick: Picker, tar: bytes) -> bytes:
    """A pax header that is there gets more records, or odd ones.

    Not a global one: with a path and a number that it refuses, Go's reader names it by chance.
    """
    found = [at for at in headers(tar) if tar[at + 156 : at + 157] == b"x"]
    if not found:
        return add_extensions(pick, tar)
    at = pick.of(found)
    size = _size(tar, at) or 0
    body = tar[at + _BLOCK : at + _BLOCK + size]
    end = at + _BLOCK + -(-size // _BLOCK) * _BLOCK
    more = record(*pax_record(pick)) if pick.below(3) else odd_records(pick)
    body = pick.of((more + body, body + more))
    tar = tar[: at + _BLOCK] + padded(body) + tar[end:]
    return _with_field(tar, at, 124, number(len(body), 12))


def declare_size(pick: Picker, tar: bytes) -> bytes:
    """A size on a header whose kind has no body, with or without one."""
    found = [at for at in headers(tar) if tar[at + 156] in b"123456"]
    if not found:
        return tar
    at = pick.of(found)
    size = pick.of((1, 512, 700, 1 << 33))
    tar = _with_field(tar, at, 124, number(size, 12))
    body = pick.of((b"", bytes(512), b"b" * 1024))
    return tar[: at + _BLOCK] + body + tar[at + _BLOCK :]


MUTATIONS: Final[tuple[Mutation, ...]] = (
    *(set_number, set_text, set_text, set_gnu_times, flip_bit, odd_checksum, move_blocks),
    *(move_members, cut_or_extend, add_extensions, add_extensions, add_extensions, edit_pax),
    declare_size,
)
