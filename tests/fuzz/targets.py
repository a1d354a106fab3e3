"""What is fuzzed, and the invariant of each in one sentence.

A target takes bytes and returns; anything but a FormatError that it lets out is a finding.
"""

from __future__ import annotations

from collections.abc import Callable

from app.catalog.builders import BUILDERS
from workers.formats.erofs.dump import dump
from workers.formats.erofs.reader import ImageReader
from workers.formats.errors import FormatError
from workers.formats.tarindex.builder import TarIndexBuilder, TarIndexOptions
from workers.formats.tarindex.limits import TarLimits
from workers.formats.tarindex.pax import PaxParser, PaxState
from workers.formats.tarindex.singledevice import single_device_form
from workers.formats.tarindex.warning import Warnings

#: Small enough that going over them is within a fuzzer's reach.
LIMITS = TarLimits(
    max_tar_bytes=1 << 20,
    max_entries=300,
    max_path_bytes=2048,
    max_path_depth=64,
    max_extension_bytes=8192,
    max_extension_headers=8,
    max_pax_records=64,
    max_xattr_bytes=8192,
    max_directory_entries=200,
    max_index_bytes=1 << 20,
    max_warnings=50,
)
_NAMES = sorted(BUILDERS)


def sealed(tar: bytes) -> bytes:
    """``tar`` with right checksums in every block that looks like a header, so that mutations
    get past the first test."""
    blocks = bytearray(tar)
    for at in range(0, len(blocks) - 511, 512):
        if blocks[at + 257 : at + 262] == b"ustar":
            blocks[at + 148 : at + 156] = b" " * 8
            total = sum(blocks[at : at + 500])
            blocks[at + 148 : at + 156] = b"%06o\0 " % total
    return bytes(blocks)


def tar_index(data: bytes) -> None:
    """A tar gives an index that our reader accepts and single-device form keeps, or FormatError;
    and the same for any chunking."""
    if len(data) < 2:
        return
    version, step, tar = _NAMES[data[0] % len(_NAMES)], data[1] * 7 + 1, sealed(data[2:])
    options = TarIndexOptions(uuid=bytes(16), version=version, limits=LIMITS)
    outcomes: list[bytes | str] = []
    for chunks in ([tar], [tar[i : i + step] for i in range(0, len(tar), step)]):
        try:
            builder = TarIndexBuilder(options)
            for chunk in chunks:
                builder.feed(chunk)
            outcomes.append(builder.finish().data)
        except FormatError as error:
            outcomes.append(error.code)
    if outcomes[0] != outcomes[1]:
        raise AssertionError(f"chunking matters: {outcomes[0][:40]!r} {outcomes[1][:40]!r}")
    index = outcomes[0]
    if isinstance(index, bytes):
        if len(index) % 512 or len(index) > LIMITS.max_index_bytes * 2:
            raise AssertionError(f"index of {len(index)} bytes")
        _read_back(index)


def _read_back(index: bytes) -> None:
    """Our reader takes what we wrote, unless a name points nowhere on purpose."""
    try:
        for _ in dump(index):
            pass
        if len(single_device_form(index)) != len(index):
            raise AssertionError("the single-device form has another length")
    except FormatError as error:
        if not error.code.startswith("erofs-"):
            raise


def pax_records(data: bytes) -> None:
    """The body of an extension header changes the pending state or is a FormatError."""
    for version in (BUILDERS["1.9.3"], BUILDERS["1.8.6"]):
        state = PaxState()
        try:
            PaxParser(version, LIMITS, Warnings(LIMITS)).parse(data, state, 0)
        except FormatError:
            continue
        if state.xattr_bytes > LIMITS.max_xattr_bytes:
            raise AssertionError("xattrs over their limit")


def image(data: bytes) -> None:
    """Bytes of an image are read, dumped and rewritten, or are a FormatError."""
    try:
        reader = ImageReader(data)
        for _ in dump(data):
            pass
        for _ in reader.walk():
            pass
        single_device_form(data)
    except FormatError:
        pass


TARGETS: dict[str, Callable[[bytes], None]] = {
    "tar_index": tar_index,
    "pax_records": pax_records,
    "image": image,
}
