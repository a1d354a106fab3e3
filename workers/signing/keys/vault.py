"""A key in HashiCorp Vault's or OpenBao's transit engine."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from typing import Any

import hvac
import requests

from app.errors import SigningRefused
from workers.signing.certificates import CertificateChain, is_rsa
from workers.signing.keys.outcome import failure
from workers.signing.keys.settings import KeySettings
from workers.signing.signer import Key

_STATUS: Mapping[type[Exception], int] = {
    hvac.exceptions.InvalidRequest: 400,
    hvac.exceptions.Unauthorized: 401,
    hvac.exceptions.Forbidden: 403,
    hvac.exceptions.InvalidPath: 404,
}


def open_key(settings: KeySettings) -> Key:
    """Open the key that the configuration names; raises ``ConfigurationError``."""
    return VaultKey(settings.key, settings.chain(), settings.options, settings.passphrase)


class VaultKey:
    """``key`` is the name in the engine. Options: ``address``, ``mount``, ``namespace``,
    ``ca_file``, ``key_version``. The token is the signer's passphrase, else ``VAULT_TOKEN``.
    """

    def __init__(
        self,
        name: str,
        chain: Callable[[], CertificateChain],
        options: Mapping[str, str],
        token: Callable[[], str] | None,
    ) -> None:
        """Nothing is contacted yet."""
        self._name, self._chain, self._options, self._token = name, chain, options, token

    @property
    def chain(self) -> CertificateChain:
        """See ``workers.signing.signer.Key``."""
        return self._chain()

    def sign(self, message: bytes) -> bytes:
        """See ``workers.signing.signer.Key``."""
        try:
            answer = self._client().secrets.transit.sign_data(
                name=self._name,
                hash_input=base64.b64encode(message).decode(),
                hash_algorithm="sha2-256",
                signature_algorithm="pkcs1v15" if is_rsa(self.chain.leaf) else None,
                key_version=self._version(),
                mount_point=self._options.get("mount", "transit"),
            )
        except (hvac.exceptions.VaultError, requests.RequestException) as error:
            raise failure("vault", error, _STATUS.get(type(error))) from None
        return _raw(answer)

    def _client(self) -> Any:
        # A new one each time: tokens rotate, and signatures are rare against everything else.
        return hvac.Client(
            url=self._options.get("address") or os.environ.get("VAULT_ADDR"),
            token=self._token() if self._token else os.environ.get("VAULT_TOKEN"),
            namespace=self._options.get("namespace"),
            verify=self._options.get("ca_file", True),
            timeout=30,
        )

    def _version(self) -> int | None:
        text = self._options.get("key_version")
        return int(text) if text else None


def _raw(answer: Any) -> bytes:
    """Take the signature out of ``vault:v1:<base64>``."""
    try:
        text = answer["data"]["signature"]
        return base64.b64decode(text.rpartition(":")[2], validate=True)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise SigningRefused("vault: the answer holds no signature") from None
