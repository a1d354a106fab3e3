"""A key in Google Cloud KMS; credentials are the application default ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.cloud import kms

from workers.signing.certificates import CertificateChain
from workers.signing.keys.outcome import failure
from workers.signing.keys.settings import KeySettings
from workers.signing.signer import Key


def open_key(settings: KeySettings) -> Key:
    """Open the key that the configuration names; raises ``ConfigurationError``."""
    return GcpKmsKey(settings.key, settings.chain(), settings.options)


class GcpKmsKey:
    """``key`` is ``projects/…/cryptoKeyVersions/N`` with algorithm ``RSA_SIGN_PKCS1_*_SHA256``."""

    def __init__(
        self,
        key: str,
        chain: Callable[[], CertificateChain],
        options: Mapping[str, str],
        client: Any = None,
    ) -> None:
        """Nothing is contacted yet; ``client`` replaces the ambient one. Option: ``endpoint``."""
        self._key, self._chain = key, chain
        endpoint = options.get("endpoint")
        self._client = client or kms.KeyManagementServiceClient(
            transport="rest", client_options={"api_endpoint": endpoint} if endpoint else None
        )

    @property
    def chain(self) -> CertificateChain:
        """See ``workers.signing.signer.Key``."""
        return self._chain()

    def sign(self, message: bytes) -> bytes:
        """See ``workers.signing.signer.Key``."""
        request = {"name": self._key, "digest": {"sha256": hashlib.sha256(message).digest()}}
        try:
            answer = self._client.asymmetric_sign(request=request, timeout=30)
        except GoogleAPICallError as error:
            raise failure("google kms", error.message, error.code) from None
        except (GoogleAPIError, GoogleAuthError) as error:
            raise failure("google kms", error) from None
        return bytes(answer.signature)
