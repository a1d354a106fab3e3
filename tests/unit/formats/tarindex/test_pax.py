"""Pax records, version by version."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.tarmaker import record
from workers.formats.errors import FormatError
from workers.formats.tarindex.builder import builder_version
from workers.formats.tarindex.limits import TarLimits
from workers.formats.tarindex.pax import PaxParser, PaxState, decode_base64, unquote
from workers.formats.tarindex.warning import Warnings


def parse(body: bytes, version: str = "1.9.3", **limits: int) -> PaxState:
    bounds = TarLimits(**limits)
    state = PaxState()
    PaxParser(builder_version(version), bounds, Warnings(bounds)).parse(body, state, 512)
    return state


def code(body: bytes, version: str = "1.9.3", **limits: int) -> str:
    with pytest.raises(FormatError) as caught:
        parse(body, version, **limits)
    assert caught.value.offset == 512
    return caught.value.code


@pytest.mark.parametrize(
    ("value", "seconds", "nanoseconds"),
    [
        (b"17", 17, 0),
        (b"1.5", 1, 500_000_000),
        (b"1.1234567899", 1, 123_456_789),
        (b"-0.5", -1, 500_000_000),
        (b"-5.25", -6, 750_000_000),
        (b" 5 .5", 5, 500_000_000),
    ],
)
def test_mtime(value: bytes, seconds: int, nanoseconds: int) -> None:
    state = parse(record(b"mtime", value))
    assert (state.mtime, state.nanoseconds) == (seconds, nanoseconds)


@pytest.mark.parametrize("value", [b"x", b"1.", b"1.5x", b"5 x", b"-", b"1e3"])
def test_bad_mtime(value: bytes) -> None:
    assert code(record(b"mtime", value)) == "pax-malformed"


def test_old_mtime_takes_the_fraction_for_nanoseconds() -> None:
    state = parse(record(b"mtime", b"-5.25"), "1.9.1")
    assert (state.mtime, state.nanoseconds) == (-5, 25)
    assert parse(record(b"mtime", b"5 x"), "1.9.1").mtime == 5
    assert code(record(b"mtime", b""), "1.9.1") == "pax-malformed"


def test_empty_values_clear() -> None:
    body = b"".join(record(k, v) for k in (b"path", b"linkpath") for v in (b"x", b""))
    body += record(b"uid", b"7") + record(b"uid", b"") + record(b"mtime", b"")
    state = parse(body)
    assert (state.path, state.link, state.uid, state.mtime) == (None, None, None, None)
    assert parse(record(b"path", b""), "1.9.1").path == b""


@pytest.mark.parametrize(
    "body",
    [
        b"12 path=abcd",
        b"8 path=a\n",
        b"3 =\n",
        b"0 a=b\n",
        b"-5 a=b\n",
        b"6 ab\n\n\n",
        b"a=b\n",
        b"\0",
        record(b"path", b"x") + b"\0",
        record(b"uid", b"1x"),
        record(b"gid", b"x"),
        b"99999999999999999999 a=b\n",
    ],
)
def test_malformed(body: bytes) -> None:
    assert code(body) == "pax-malformed"


def test_negative_size() -> None:
    assert code(record(b"size", b"-1")) == "tar-negative-size"


def test_path_loses_trailing_slashes_and_what_follows_a_nul() -> None:
    assert parse(record(b"path", b"a/b//")).path == b"a/b"
    assert parse(record(b"path", b"a/\0b/")).path == b"a/"


def test_xattrs_replace_in_place() -> None:
    body = b"".join(
        record(b"SCHILY.xattr." + k, v) for k, v in ((b"u", b"1"), (b"t", b"2\0="), (b"u", b"3\n"))
    )
    assert list(parse(body).xattrs.items()) == [(b"u", b"3\n"), (b"t", b"2\0=")]
    assert parse(record(b"SCHILY.xattr.", b"x")).xattrs == {}


def test_libarchive_xattr() -> None:
    body = record(b"LIBARCHIVE.xattr.user.a%3Db%", base64.b64encode(b"v\0w"))
    assert parse(body).xattrs == {b"user.a=b%": b"v\0w"}
    assert code(record(b"LIBARCHIVE.xattr.u", b"!")) == "xattr-malformed"
    other = record(b"LIBARCHIVE.xattr.u", base64.b64encode(b"v"))
    assert code(other, "1.8.10") == "xattr-malformed"  # bits are taken from the wrong end
    assert parse(body, "1.8.10").xattrs == {b"user.a=b%": b"\x1d\x18\xdc"}
    assert parse(record(b"LIBARCHIVE.xattr.u", b""), "1.8.6").xattrs == {b"u": b""}


@given(st.binary(max_size=60))
def test_base64_reads_what_the_standard_writes(data: bytes) -> None:
    assert decode_base64(base64.b64encode(data)) == data
    assert decode_base64(base64.b64encode(data).rstrip(b"=")) == data


def test_unquote() -> None:
    assert unquote(b"a%41%zz%4") == b"aA%zz%4"
    assert unquote(b"a\0b") == b"a"


def test_limits() -> None:
    many = record(b"comment", b"x") * 5
    assert code(many, max_pax_records=4) == "limit-pax_records"
    big = record(b"SCHILY.xattr.user.a", b"x" * 100)
    assert code(big, max_xattr_bytes=50) == "limit-xattr_bytes"
    replaced = big * 30  # the same name over and over is held once
    assert parse(replaced, max_xattr_bytes=200).xattr_bytes == 106


@given(st.binary(max_size=200))
def test_any_body_parses_or_is_a_format_error(body: bytes) -> None:
    for version in ("1.9.3", "1.9.1", "1.8.6"):
        try:
            parse(body, version)
        except FormatError:
            continue
