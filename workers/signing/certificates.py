"""Certificates of signers: loading chains, and whether one may sign now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from app.errors import ConfigurationError, SigningRefused
from workers.formats.pkcs7.acceptance import key_findings


@dataclass(frozen=True, slots=True)
class CertificateChain:
    """A signer's certificate (leaf) and the certificates between it and its root."""

    leaf: x509.Certificate
    intermediates: tuple[x509.Certificate, ...] = ()

    @classmethod
    def from_pem(cls, data: bytes, what: str) -> CertificateChain:
        """Parse PEM, leaf first; raises ``ConfigurationError`` that names ``what``."""
        try:
            leaf, *rest = x509.load_pem_x509_certificates(data)
        except ValueError as error:
            raise ConfigurationError(f"{what}: not a PEM certificate chain: {error}") from None
        return cls(leaf, tuple(rest))

    @property
    def fingerprint(self) -> str:
        """``sha256:<hex>`` of the leaf's DER."""
        return "sha256:" + self.leaf.fingerprint(hashes.SHA256()).hex()

    @property
    def der(self) -> tuple[bytes, ...]:
        """All certificates as DER, leaf first."""
        return tuple(
            each.public_bytes(serialization.Encoding.DER)
            for each in (self.leaf, *self.intermediates)
        )

    def days_left(self, now: datetime) -> float:
        """Days until the leaf expires; negative once it has."""
        return (self.leaf.not_valid_after_utc - now).total_seconds() / 86400


def utc_now() -> datetime:
    """Return the wall clock, in UTC."""
    return datetime.now(UTC)


def check_fit(chain: CertificateChain, now: datetime, *, allow_ecdsa: bool = False) -> None:
    """Raise ``SigningRefused`` with every reason why this certificate may not sign now."""
    reasons = list(unfit_reasons(chain.leaf, now))
    reasons += [finding.message for finding in key_findings(chain.leaf.public_key())]
    if not allow_ecdsa and not is_rsa(chain.leaf):
        reasons.append("the key is not RSA; the option allow_ecdsa permits it")
    for one, issuer in zip((chain.leaf, *chain.intermediates), chain.intermediates, strict=False):
        if not issued_by(one, issuer):
            reasons.append(f"{issuer.subject.rfc4514_string()} did not issue the one before it")
    if reasons:
        raise SigningRefused(
            f"certificate {chain.leaf.subject.rfc4514_string()!r} is unfit: {'; '.join(reasons)}"
        )


def unfit_reasons(leaf: x509.Certificate, now: datetime) -> Iterator[str]:
    """Reasons by validity period, extended key usage and key usage."""
    if now < leaf.not_valid_before_utc:
        yield f"not valid before {leaf.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}"
    if now > leaf.not_valid_after_utc:
        yield f"expired at {leaf.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
    try:
        extensions = leaf.extensions
    except ValueError as error:
        yield f"its extensions cannot be read: {error}"
        return
    try:
        usages: Sequence[x509.ObjectIdentifier] = list(
            extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        )
    except x509.ExtensionNotFound:
        usages = ()
    if ExtendedKeyUsageOID.CODE_SIGNING not in usages:
        yield "it lacks the extended key usage Code Signing"
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not usage.digital_signature:
        yield "its key usage excludes digital signatures"


def issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether ``issuer`` signed ``certificate``."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # noqa: BLE001 - InvalidSignature, ValueError, TypeError: all mean no
        return False
    return True


def is_rsa(certificate: x509.Certificate) -> bool:
    """Whether the certificate's key is an RSA key."""
    return isinstance(certificate.public_key(), rsa.RSAPublicKey)
