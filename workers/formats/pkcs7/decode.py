"""Reads a detached PKCS#7 signature, strictly; what it means is ``acceptance``'s business.

Any bytes give a ``SignedRootHash`` or a ``FormatError`` (code ``pkcs7``), nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from asn1crypto import cms

from workers.formats.errors import FormatError

#: Signatures of interest have about 0.4 to 5 KiB.
MAX_SIGNATURE_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class SignerId:
    """Whom a signer info names: issuer and serial number, or subject key identifier."""

    issuer: bytes | None
    serial_number: int | None
    key_identifier: bytes | None = None


@dataclass(frozen=True, slots=True)
class SignerInfo:
    """One signer of the message; algorithm names are those of asn1crypto or dotted OIDs."""

    version: str
    signer: SignerId
    digest_algorithm: str
    signature_algorithm: str
    signature: bytes
    #: OIDs (or known names) of signed attributes.
    signed_attributes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SignedMessage:
    """A parsed SignedData."""

    version: str
    digest_algorithms: tuple[str, ...]
    content_type: str
    content: bytes | None
    certificates: tuple[bytes, ...]
    signers: tuple[SignerInfo, ...]


def parse(data: bytes) -> SignedMessage:
    """Parse DER; raises ``FormatError`` for anything that is not one whole SignedData."""
    if len(data) > MAX_SIGNATURE_BYTES:
        raise FormatError("pkcs7", f"a signature of {len(data)} bytes is no signature")
    if data[:11] == b"-----BEGIN ":
        raise FormatError("pkcs7", "the signature is PEM, the kernel reads DER")
    _check_length(data)
    try:
        return _read(cms.ContentInfo.load(data, strict=True))
    except FormatError:
        raise
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        RecursionError,
        OverflowError,
    ) as error:
        raise FormatError("pkcs7", f"not a PKCS#7 message: {error}"[:300]) from None


def _check_length(data: bytes) -> None:
    """Compare the outermost length with what is there, for a message that says what is wrong."""
    if len(data) < 2 or data[0] != 0x30:
        raise FormatError("pkcs7", "not DER: it does not start with a SEQUENCE")
    if data[1] == 0x80:
        raise FormatError("pkcs7", "not DER: indefinite length", offset=1)
    wide = data[1] & 0x7F if data[1] & 0x80 else 0
    length = int.from_bytes(data[2 : 2 + wide], "big") if wide else data[1]
    end = 2 + wide + length
    if end > len(data):
        raise FormatError("pkcs7", f"truncated: {len(data)} of {end} bytes", offset=len(data))
    if end < len(data):
        raise FormatError("pkcs7", f"{len(data) - end} bytes follow the signature", offset=end)


def _read(message: cms.ContentInfo) -> SignedMessage:
    if message["content_type"].native != "signed_data":
        raise FormatError("pkcs7", f"content type {message['content_type'].native}, not SignedData")
    signed = message["content"]
    encapsulated = signed["encap_content_info"]
    content = encapsulated["content"]
    certificates = signed["certificates"]
    return SignedMessage(
        version=str(signed["version"].native),
        digest_algorithms=tuple(
            str(each["algorithm"].native) for each in signed["digest_algorithms"]
        ),
        content_type=str(encapsulated["content_type"].native),
        content=None if content.native is None else bytes(content.contents),
        certificates=tuple(
            each.chosen.dump() for each in (certificates if certificates.native else ())
        ),
        signers=tuple(_signer(info) for info in signed["signer_infos"]),
    )


def _signer(info: cms.SignerInfo) -> SignerInfo:
    sid = info["sid"]
    if sid.name == "issuer_and_serial_number":
        signer = SignerId(sid.chosen["issuer"].dump(), int(sid.chosen["serial_number"].native))
    else:
        signer = SignerId(None, None, bytes(sid.chosen.native))
    attributes = info["signed_attrs"]
    return SignerInfo(
        version=str(info["version"].native),
        signer=signer,
        digest_algorithm=str(info["digest_algorithm"]["algorithm"].native),
        signature_algorithm=str(info["signature_algorithm"]["algorithm"].native),
        signature=bytes(info["signature"].native),
        signed_attributes=tuple(
            str(each["type"].native) for each in (attributes if attributes.native else ())
        ),
    )
