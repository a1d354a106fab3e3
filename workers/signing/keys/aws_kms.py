"""A key in AWS KMS (``kms:Sign``); credentials are those that boto3 finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from workers.signing.certificates import CertificateChain, is_rsa
from workers.signing.keys.outcome import failure
from workers.signing.keys.settings import KeySettings
from workers.signing.signer import Key

_CONFIG = Config(connect_timeout=10, read_timeout=30, retries={"total_max_attempts": 3})


def open_key(settings: KeySettings) -> Key:
    """Open the key that the configuration names; raises ``ConfigurationError``."""
    return AwsKmsKey(settings.key, settings.chain(), settings.options)


class AwsKmsKey:
    """``key`` is a key id, ARN or alias. Options: ``region``, ``endpoint``."""

    def __init__(
        self, key: str, chain: Callable[[], CertificateChain], options: Mapping[str, str]
    ) -> None:
        """Nothing is contacted yet."""
        self._key, self._chain = key, chain
        self._client: Any = boto3.session.Session().client(
            "kms",
            region_name=options.get("region"),
            endpoint_url=options.get("endpoint"),
            config=_CONFIG,
        )

    @property
    def chain(self) -> CertificateChain:
        """See ``workers.signing.signer.Key``."""
        return self._chain()

    def sign(self, message: bytes) -> bytes:
        """See ``workers.signing.signer.Key``."""
        rsa = is_rsa(self.chain.leaf)
        try:
            answer = self._client.sign(
                KeyId=self._key,
                Message=message,
                MessageType="RAW",
                SigningAlgorithm="RSASSA_PKCS1_V1_5_SHA_256" if rsa else "ECDSA_SHA_256",
            )
        except ClientError as error:
            # Throttling comes as 400 too, so its code decides.
            metadata = error.response.get("ResponseMetadata", {})
            code = str(error.response.get("Error", {}).get("Code", ""))
            slow = "Throttl" in code or "Limit" in code or "Internal" in code
            status = None if slow else metadata.get("HTTPStatusCode")
            raise failure("aws kms", error, status) from None
        except BotoCoreError as error:
            raise failure("aws kms", error) from None
        return bytes(answer["Signature"])
