"""A key in Azure Key Vault or Managed HSM; credentials are those of ``azure-identity``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from azure.core.exceptions import AzureError, HttpResponseError
from azure.keyvault.keys.crypto import CryptographyClient, SignatureAlgorithm

from workers.signing.certificates import CertificateChain, is_rsa
from workers.signing.keys.outcome import dss_der, failure
from workers.signing.keys.settings import KeySettings
from workers.signing.signer import Key


def open_key(settings: KeySettings) -> Key:
    """Open the key that the configuration names; raises ``ConfigurationError``."""
    return AzureKmsKey(settings.key, settings.chain(), settings.options)


class AzureKmsKey:
    """``key`` is the key's identifier ``https://VAULT.vault.azure.net/keys/NAME/VERSION``.

    Options: ``ca_file`` for a vault behind a private CA, ``verify_resource`` set to ``false`` where
    its host is no subdomain of the resource that it names.
    """

    def __init__(
        self,
        key: str,
        chain: Callable[[], CertificateChain],
        options: Mapping[str, str],
        credential: Any = None,
    ) -> None:
        """Nothing is contacted yet; ``credential`` replaces the ambient one."""
        if credential is None:
            from azure.identity import DefaultAzureCredential

            credential = DefaultAzureCredential()
        self._chain = chain
        self._client = CryptographyClient(
            key,
            credential,
            verify_challenge_resource=options.get("verify_resource", "true") != "false",
            connection_verify=options.get("ca_file", True),
            retry_total=2,
        )

    @property
    def chain(self) -> CertificateChain:
        """See ``workers.signing.signer.Key``."""
        return self._chain()

    def sign(self, message: bytes) -> bytes:
        """See ``workers.signing.signer.Key``."""
        rsa = is_rsa(self.chain.leaf)
        algorithm = SignatureAlgorithm.rs256 if rsa else SignatureAlgorithm.es256
        try:
            result = self._client.sign(algorithm, hashlib.sha256(message).digest())
        except HttpResponseError as error:
            raise failure("azure key vault", error.message, error.status_code) from None
        except AzureError as error:
            raise failure("azure key vault", error) from None
        return result.signature if rsa else dss_der(result.signature)
