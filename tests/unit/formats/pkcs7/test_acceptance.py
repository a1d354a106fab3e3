"""Each rule by itself; tests/kernel shows that the kernel agrees."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.certificates import ec_key, identity, rsa_key
from tests.support.cms_variants import CmsMaker
from workers.formats.errors import FormatError
from workers.formats.pkcs7.acceptance import kernel_findings, key_findings, names_signer, signed_by
from workers.formats.pkcs7.decode import parse
from workers.formats.pkcs7.encode import message_of

ROOT = "0dcd29977f675344645e8c907b5a86b490335e7a2657a2ba45d00e7944701eed"
SIGNER = identity()


def _codes(signature: bytes) -> set[tuple[str, str]]:
    return {(finding.code, finding.refused_by) for finding in kernel_findings(signature)}


def test_a_plain_signature_has_no_findings(tmp_path: Path) -> None:
    assert kernel_findings(CmsMaker(tmp_path).sign(ROOT, SIGNER)) == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), {("smime-capabilities", "kernel")}),
        (("-nosmimecap",), {("signed-attributes", "policy")}),
        (("-noattr", "-keyopt", "rsa_padding_mode:pss"), {("scheme", "kernel")}),
        (("-noattr", "-md", "sha1"), {("digest", "policy")}),
        (("-noattr", "-md", "md5"), {("digest", "kernel")}),
        (("-noattr", "-econtent_type", "1.2.3.4"), {("content-type", "kernel")}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_openssl_offers_and_a_kernel_refuses(
    tmp_path: Path, options: tuple[str, ...], expected: set[tuple[str, str]]
) -> None:
    assert _codes(CmsMaker(tmp_path).sign(ROOT, SIGNER, options=options)) == expected


def test_content_must_be_detached_and_the_signer_alone(tmp_path: Path) -> None:
    make = CmsMaker(tmp_path)
    assert _codes(make.sign(ROOT, SIGNER, detached=False)) == {("embedded-content", "kernel")}
    other = identity("other", key=rsa_key(number=1))
    assert _codes(make.sign(ROOT, SIGNER, other)) == {("many-signers", "policy")}


def test_bytes_around_the_message_are_refused(tmp_path: Path) -> None:
    make = CmsMaker(tmp_path)
    good = make.sign(ROOT, SIGNER)
    assert _codes(good + b"\0") == {("format", "policy")}
    for broken in (good[:-1], b"", b"\x30", make.sign(ROOT, SIGNER, form="PEM"), bytes(70_000)):
        assert _codes(broken) == {("format", "kernel")}


@given(st.data())
def test_damage_gives_a_message_or_a_format_error(data: st.DataObject) -> None:
    good = bytearray(_GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    with suppress(FormatError):
        signed_by(parse(bytes(good)), ROOT, SIGNER.certificate)


@given(st.binary(max_size=400))
def test_anything_gives_a_message_or_a_format_error(data: bytes) -> None:
    with suppress(FormatError):
        parse(data)


def _make_good() -> bytes:
    from workers.signing.certificates import CertificateChain
    from workers.signing.keys.pem import sign_with
    from workers.signing.signer import wrap

    raw = sign_with(SIGNER.key, message_of(ROOT))
    return wrap(raw, CertificateChain(SIGNER.certificate), embed=True)


_GOOD = _make_good()


def test_verification_is_about_this_root_and_this_certificate(tmp_path: Path) -> None:
    message = parse(_GOOD)
    assert signed_by(message, ROOT, SIGNER.certificate) is not None
    assert signed_by(message, "0" * 64, SIGNER.certificate) is None
    stranger = identity("other", key=rsa_key(number=1)).certificate
    assert signed_by(message, ROOT, stranger) is None
    assert not names_signer(message, stranger)
    with pytest.raises(FormatError, match="lowercase"):
        signed_by(message, ROOT.upper(), SIGNER.certificate)
    by_key = parse(CmsMaker(tmp_path).sign(ROOT, SIGNER, options=("-noattr", "-keyid")))
    assert signed_by(by_key, ROOT, SIGNER.certificate) is not None


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (rsa_key(2048), None),
        (rsa_key(1024), "key-size"),
        (ec_key("p384"), None),
        (ec_key("p521"), "curve"),
    ],
)
def test_keys(key: object, code: str | None) -> None:
    public = key.public_key()  # type: ignore[attr-defined]
    assert [finding.code for finding in key_findings(public)] == ([code] if code else [])
