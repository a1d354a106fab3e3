"""Detached PKCS#7 SignedData over a root hash, byte for byte as OpenSSL writes it.

Equals ``openssl smime -sign -noattr -binary -outform der`` (RFC 2315 section 9): version 1,
SHA-256, no content, no attributes, one signer named by issuer and serial number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from asn1crypto import algos, cms, core, x509

from workers.formats.errors import FormatError

_ROOT_HASH = re.compile(r"[0-9a-f]{64}\Z")


def message_of(root_hash: str) -> bytes:
    """Return what is signed for a root hash: its 64 lowercase hex characters, no newline.

    Raises ``FormatError`` (``root-hash``) for anything else.
    """
    if not _ROOT_HASH.match(root_hash):
        raise FormatError(
            "root-hash", f"not 64 lowercase hexadecimal characters: {root_hash[:80]!r}"
        )
    return root_hash.encode("ascii")


def detached_signature(
    raw: bytes,
    certificate: bytes,
    *,
    embed: Sequence[bytes] = (),
    signature_algorithm: str = "rsassa_pkcs1v15",
    digest_algorithm: str = "sha256",
) -> bytes:
    """Wrap a raw signature; ``certificate`` (DER) names the signer, ``embed`` (DER) is carried.

    ``signature_algorithm`` is ``rsassa_pkcs1v15`` or ``sha256_ecdsa``. Returns DER.
    """
    signer = x509.Certificate.load(certificate)
    digest = algos.DigestAlgorithm({"algorithm": digest_algorithm, "parameters": core.Null()})
    algorithm: dict[str, object] = {"algorithm": signature_algorithm}
    if signature_algorithm == "rsassa_pkcs1v15":
        algorithm["parameters"] = core.Null()
    info = cms.SignerInfo(
        {
            "version": "v1",
            "sid": cms.SignerIdentifier(
                "issuer_and_serial_number",
                {"issuer": signer.issuer, "serial_number": signer.serial_number},
            ),
            "digest_algorithm": digest,
            "signature_algorithm": algos.SignedDigestAlgorithm(algorithm),
            "signature": raw,
        }
    )
    fields: dict[str, object] = {
        "version": "v1",
        "digest_algorithms": [digest],
        "encap_content_info": {"content_type": "data"},
        "signer_infos": [info],
    }
    if embed:
        fields["certificates"] = [x509.Certificate.load(each) for each in embed]
    content = cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(fields)})
    encoded: bytes = content.dump()
    return encoded
