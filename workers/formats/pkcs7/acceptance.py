"""What the kernel's dm-verity accepts as a root hash signature, and what we insist on beyond it.

The rules were found by offering signatures to Linux 6.12 (tests/kernel repeats it). ``openssl cms
-verify`` passes several that the kernel refuses, so it is no substitute.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from workers.formats.errors import FormatError
from workers.formats.pkcs7.decode import SignedMessage, SignerInfo, parse
from workers.formats.pkcs7.encode import message_of

Severity = Literal["kernel", "policy"]

HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
#: Key lengths that the kernel's RSA implementation takes (not 2560) and that are strong enough.
RSA_BITS = (2048, 3072, 4096)
#: P-521 needs Linux 6.10.
CURVES = ("secp256r1", "secp384r1")


@dataclass(frozen=True, slots=True)
class Finding:
    """A reason against a signature: the ``kernel`` refuses it, or our ``policy`` does."""

    code: str
    message: str
    refused_by: Severity


def kernel_findings(signature: bytes) -> list[Finding]:
    """All reasons why a detached signature would not be accepted, whoever signed it."""
    try:
        message = parse(signature)
    except FormatError as error:
        by: Severity = "policy" if "follow the signature" in error.message else "kernel"
        return [Finding("format", str(error), by)]
    return [*_message_findings(message), *(f for s in message.signers for f in _signer_findings(s))]


def _message_findings(message: SignedMessage) -> Iterator[Finding]:
    if message.content is not None:
        yield Finding("embedded-content", "the content is embedded, not detached", "kernel")
    if message.content_type != "data":
        yield Finding("content-type", f"content type {message.content_type}, not data", "kernel")
    if not message.signers:
        yield Finding("no-signer", "nobody signed the message", "kernel")
    if len(message.signers) > 1:
        yield Finding("many-signers", f"{len(message.signers)} signers, one is expected", "policy")

    # RFC 5652, 5.1 and 5.3: a key identifier asks for version 3, issuer and serial number for 1.
    expected = {
        "v3" if each.signer.key_identifier is not None else "v1" for each in message.signers
    }
    versions = {message.version, *(each.version for each in message.signers)}
    if message.signers and message.content_type == "data" and versions != expected:
        yield Finding("version", f"versions {', '.join(sorted(versions))} do not fit", "policy")
    if set(message.digest_algorithms) != {each.digest_algorithm for each in message.signers}:
        yield Finding("digests", "it does not list exactly the digests in use", "policy")


def _signer_findings(signer: SignerInfo) -> Iterator[Finding]:
    if signer.digest_algorithm not in HASHES:
        # Whether SHA-1 passes depends on how the kernel was built; Debian's takes it.
        by: Severity = "policy" if signer.digest_algorithm == "sha1" else "kernel"
        yield Finding("digest", f"digest {signer.digest_algorithm} is not accepted", by)
    scheme = signer.signature_algorithm
    if scheme != "rsassa_pkcs1v15" and not scheme.endswith(("_rsa", "_ecdsa")):
        yield Finding("scheme", f"signature scheme {scheme} is not accepted", "kernel")
    if any(
        name in ("smime_capabilities", "1.2.840.113549.1.9.15") for name in signer.signed_attributes
    ):
        yield Finding("smime-capabilities", "the S/MIME capabilities attribute is set", "kernel")
    elif signer.signed_attributes:
        yield Finding("signed-attributes", "the message has signed attributes", "policy")


def key_findings(key: object) -> list[Finding]:
    """Reasons against a signer's public key."""
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size in RSA_BITS:
            return []
        by: Severity = "policy" if key.key_size < RSA_BITS[0] else "kernel"
        return [Finding("key-size", f"RSA with {key.key_size} bits; use {RSA_BITS}", by)]
    if isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.name in CURVES:
            return []
        return [Finding("curve", f"curve {key.curve.name}; use one of {CURVES}", "policy")]
    return [Finding("key-type", f"{type(key).__name__} is neither RSA nor ECDSA", "kernel")]


def signed_by(
    message: SignedMessage, root_hash: str, certificate: x509.Certificate
) -> SignerInfo | None:
    """Return the signer info that ``certificate`` made over ``root_hash``, or None."""
    content = message_of(root_hash)
    for signer in message.signers:
        if _names(signer, certificate) and _verifies(signer, content, certificate):
            return signer
    return None


def names_signer(message: SignedMessage, certificate: x509.Certificate) -> bool:
    """Whether a signer info of the message names this certificate."""
    return any(_names(signer, certificate) for signer in message.signers)


def _names(signer: SignerInfo, certificate: x509.Certificate) -> bool:
    if signer.signer.key_identifier is None:
        return (
            signer.signer.serial_number == certificate.serial_number
            and signer.signer.issuer == certificate.issuer.public_bytes()
        )
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return extension.value.digest == signer.signer.key_identifier


def _verifies(signer: SignerInfo, content: bytes, certificate: x509.Certificate) -> bool:
    digest = HASHES.get(signer.digest_algorithm)
    if digest is None or signer.signed_attributes:
        return False
    try:
        key = certificate.public_key()
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signer.signature, content, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signer.signature, content, ec.ECDSA(digest))
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True
