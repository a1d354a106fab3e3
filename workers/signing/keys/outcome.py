"""What all remote keys share: failures by who must act, and the form of ECDSA signatures."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from app.errors import SignerUnavailable, SigningError, SigningRefused

#: The keeper answered, and will answer the same again: wrong request, no right, no such key.
_FINAL = frozenset({400, 401, 403, 404, 405, 409})


def failure(keeper: str, error: object, status: int | None = None) -> SigningError:
    """Return the error to raise: refused for answers that a retry cannot change."""
    message = f"{keeper}: {error}"[:500]
    if status in _FINAL:
        return SigningRefused(message, advice="check the key's name and our rights to use it")
    return SignerUnavailable(message)


def dss_der(raw: bytes) -> bytes:
    """Turn ``r || s`` into the DER sequence that PKCS#7 carries."""
    half = len(raw) // 2
    return encode_dss_signature(
        int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
    )
