"""What signs root hashes: one protocol for callers, one for places that keep keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.errors import SigningRefused
from workers.formats.errors import FormatError
from workers.formats.pkcs7.acceptance import kernel_findings, signed_by
from workers.formats.pkcs7.decode import parse
from workers.formats.pkcs7.encode import detached_signature, message_of
from workers.signing.certificates import CertificateChain, check_fit, utc_now


class RootHashSigner(Protocol):
    """Signs root hashes with one key. Safe to share between threads."""

    @property
    def name(self) -> str:
        """The name under which the signer is configured."""
        ...

    @property
    def chain(self) -> CertificateChain:
        """The current certificate and its chain."""
        ...

    def sign(self, root_hash: str) -> bytes:
        """Sign 64 lowercase hex characters; returns detached PKCS#7 (DER).

        Raises ``SigningRefused`` when certificate or key are unfit, ``SignerUnavailable`` when the
        key's keeper does not answer.
        """
        ...


class Key(Protocol):
    """A private key, wherever it is kept."""

    @property
    def chain(self) -> CertificateChain:
        """Certificate chain of this key, reloaded when it was rotated."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Sign ``message`` over its SHA-256: RSA PKCS#1 v1.5, or ECDSA as a DER sequence.

        Raises ``SignerUnavailable`` (try again) or ``SigningRefused``.
        """
        ...


@dataclass(frozen=True, slots=True)
class Pkcs7Signer:
    """A ``RootHashSigner`` over a ``Key``; nothing leaves it that does not verify."""

    name: str
    key: Key
    embed_certificate: bool = True
    allow_ecdsa: bool = False
    now: Callable[[], datetime] = utc_now

    @property
    def chain(self) -> CertificateChain:
        """The current certificate and its chain."""
        return self.key.chain

    def check(self) -> None:
        """Raise ``SigningRefused`` when the certificate may not sign now."""
        check_fit(self.chain, self.now(), allow_ecdsa=self.allow_ecdsa)

    def sign(self, root_hash: str) -> bytes:
        """See ``RootHashSigner.sign``."""
        try:
            message = message_of(root_hash)
        except FormatError as error:
            raise SigningRefused(f"signer {self.name}: {error}") from None
        self.check()
        chain = self.chain
        signature = wrap(self.key.sign(message), chain, embed=self.embed_certificate)
        problems = signature_problems(signature, root_hash, chain)
        if problems:
            raise SigningRefused(
                f"signer {self.name} made a signature that will not be accepted: {problems[0]}",
                advice="check that key and certificate belong together",
            )
        return signature


def wrap(raw: bytes, chain: CertificateChain, *, embed: bool) -> bytes:
    """Wrap a raw signature over a root hash in PKCS#7."""
    return detached_signature(
        raw,
        chain.der[0],
        embed=chain.der if embed else (),
        signature_algorithm=_scheme(chain),
    )


def signature_problems(signature: bytes, root_hash: str, chain: CertificateChain) -> list[str]:
    """Reasons why ``signature`` is not one by ``chain``'s leaf that a kernel accepts."""
    problems = [finding.message for finding in kernel_findings(signature)]
    if problems:
        return problems
    if signed_by(parse(signature), root_hash, chain.leaf) is None:
        return ["it does not verify with the certificate's public key"]
    return []


def _scheme(chain: CertificateChain) -> str:
    key = chain.leaf.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return "rsassa_pkcs1v15"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "sha256_ecdsa"
    raise SigningRefused(f"keys of type {type(key).__name__} cannot sign root hashes")
