"""Whom signatures are believed from: anchors given by the operator, chains built to them.

The rule is the kernel's: the signer's own certificate is an anchor, or the message carries the
signer's certificate and it leads to one. A message without certificates is never completed from
elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509

from app.errors import ConfigurationError
from workers.formats.errors import FormatError
from workers.formats.pkcs7.acceptance import (
    kernel_findings,
    key_findings,
    names_signer,
    signed_by,
)
from workers.formats.pkcs7.decode import SignedMessage, parse
from workers.signing.certificates import issued_by, unfit_reasons, utc_now

#: Certificates between signer and anchor that are followed.
MAX_CHAIN = 8


@dataclass(frozen=True, slots=True)
class Trust:
    """Anchors (CA or signer certificates); without any, only consistency can be checked."""

    anchors: tuple[x509.Certificate, ...] = ()
    now: datetime = field(default_factory=utc_now)

    @classmethod
    def from_files(cls, files: Sequence[Path]) -> Trust:
        """Read PEM bundles; raises ``ConfigurationError``."""
        anchors: list[x509.Certificate] = []
        for path in files:
            try:
                anchors += x509.load_pem_x509_certificates(path.read_bytes())
            except (OSError, ValueError) as error:
                raise ConfigurationError(f"cannot read certificates from {path}: {error}") from None
        return cls(tuple(anchors))


@dataclass(frozen=True, slots=True)
class SignatureVerdict:
    """Who signed, and every reason against the signature."""

    signer: x509.Certificate | None
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()


def judge(signature: bytes, root_hash: str, trust: Trust) -> SignatureVerdict:
    """Check form, signature, certificate and chain of a signature over ``root_hash``."""
    problems = [finding.message for finding in kernel_findings(signature)]
    try:
        message = parse(signature)
        carried = tuple(_certificates(message))
        signer = _signer(message, root_hash, (*carried, *trust.anchors))
    except FormatError as error:
        return SignatureVerdict(None, tuple(problems or [str(error)]))
    except (ValueError, x509.InvalidVersion) as error:
        return SignatureVerdict(None, (*problems, f"a certificate cannot be read: {error}"))
    problems += _stray_problems(carried, trust)
    if signer is None:
        return SignatureVerdict(None, (*problems, _why_nobody(message, carried, trust)))
    problems += [finding.message for finding in key_findings(signer.public_key())]
    problems += list(unfit_reasons(signer, trust.now))
    if not trust.anchors:
        note = "no CA was given: it is consistent, but nobody vouches for the signer"
        return SignatureVerdict(signer, tuple(problems), (note,))
    if not any(anchor == signer for anchor in trust.anchors) and not _leads_to_anchor(
        signer, carried, trust
    ):
        problems.append("the signer's certificate does not lead to a trusted one")
    return SignatureVerdict(signer, tuple(problems))


def _stray_problems(carried: Sequence[x509.Certificate], trust: Trust) -> list[str]:
    """Find carried certificates that belong to nothing: a kernel reads them too, and may refuse.

    Each must be an anchor, or have been issued by, or have issued, one of the others. Without
    anchors the root is missing, so only those whose issuer is there are judged.
    """
    known = (*carried, *trust.anchors)
    subjects = {each.subject for each in known}
    return [
        f"the carried certificate {each.subject.rfc4514_string()!r} is damaged or a stranger's"
        for each in carried
        if (trust.anchors or each.issuer in subjects)
        and each not in trust.anchors
        and not any(
            issued_by(each, other) or (issued_by(other, each) and _may_issue(each, 0, trust.now))
            for other in known
        )
    ]


def _certificates(message: SignedMessage) -> Iterator[x509.Certificate]:
    for each in message.certificates[: 2 * MAX_CHAIN]:
        yield x509.load_der_x509_certificate(each)


def _signer(
    message: SignedMessage, root_hash: str, candidates: Sequence[x509.Certificate]
) -> x509.Certificate | None:
    return next((each for each in candidates if signed_by(message, root_hash, each)), None)


def _why_nobody(message: SignedMessage, carried: Sequence[x509.Certificate], trust: Trust) -> str:
    if any(names_signer(message, each) for each in (*carried, *trust.anchors)):
        return "it does not verify over the root hash"
    if not carried and not trust.anchors:
        return "it carries no certificate and no CA was given, so it cannot be checked"
    return "the signer's certificate is neither in the message nor trusted"


def _leads_to_anchor(
    signer: x509.Certificate, carried: Sequence[x509.Certificate], trust: Trust
) -> bool:
    """Follow issuers depth first; each must be a CA that is valid now."""
    frontier = [(signer, 0)]
    seen: set[bytes] = set()
    while frontier:
        certificate, depth = frontier.pop()
        if depth >= MAX_CHAIN:
            continue
        if any(issued_by(certificate, anchor) and _may_issue(anchor, depth, trust.now)
               for anchor in trust.anchors):  # fmt: skip
            return True
        for issuer in carried:
            key = issuer.tbs_certificate_bytes
            if key not in seen and issued_by(certificate, issuer):
                seen.add(key)
                if _may_issue(issuer, depth, trust.now):
                    frontier.append((issuer, depth + 1))
    return False


def _may_issue(issuer: x509.Certificate, below: int, now: datetime) -> bool:
    """Whether a certificate is a CA, valid, with room for ``below`` CAs under it."""
    if not issuer.not_valid_before_utc <= now <= issuer.not_valid_after_utc:
        return False
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        if not constraints.ca or (
            constraints.path_length is not None and constraints.path_length < below
        ):
            return False
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound as missing:
        return missing.oid == x509.KeyUsage.oid
    except ValueError:
        return False
    return usage.key_cert_sign
