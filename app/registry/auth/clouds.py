"""Accounts that clouds issue for ECR, ACR and GAR, through the vendors' libraries (extras).

The libraries find the ambient identity (role, workload identity, service account) and renew it;
what registries accept in exchange is asked for here, and kept until shortly before it expires.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.config.model import RegistryConfig
from app.errors import ConfigurationError, ResponseInvalid, Unauthorized
from app.registry.auth.accounts import Credential, CredentialProvider, Expiring, decode_auth
from app.registry.auth.tokens import type_exchange

_ECR_HOST = re.compile(r"(\d{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.")
ACR_SCOPE = "https://containerregistry.azure.net/.default"
GAR_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
GAR_USER = "oauth2accesstoken"
#: Azure's refresh tokens live three hours and do not say so.
ACR_LIFE = 3 * 3600.0


def cloud_provider(config: RegistryConfig, exchange: type_exchange) -> CredentialProvider:
    """Return the provider of a cloud registry. Raises ``ConfigurationError``."""
    kind = config.credentials.kind
    clouds: dict[str, Callable[[], Callable[[], tuple[Credential, float]]]] = {
        "ecr": lambda: Ecr(config),
        "acr": lambda: Acr(config, exchange),
        "gar": lambda: Gar(config),
    }
    if kind not in clouds:
        raise ConfigurationError(
            f"registry {config.id}: no provider for credentials of kind {kind}"
        )
    return Expiring(clouds[kind]())


class Ecr:
    """``GetAuthorizationToken``: user AWS, valid for twelve hours."""

    def __init__(self, config: RegistryConfig) -> None:
        """Region and account come from the configuration, else from the host.

        Raises ``ConfigurationError`` when neither names a region.
        """
        given, host = config.credentials, httpx.URL(config.url).host
        match = _ECR_HOST.match(host)
        self._region = given.region or (match[2] if match else None)
        self._account = given.account or (match[1] if match else None)
        if self._region is None:
            raise ConfigurationError(f"registry {config.id}: {host} names no region; set it")
        self._what = f"registry {config.id}: ECR"
        self._boto3 = _library("boto3", "ecr", config)

    def __call__(self) -> tuple[Credential, float]:
        """Return the credential and its life in seconds.

        Raises ``Unauthorized``, or ``ResponseInvalid`` for an answer without a credential.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        # The module's default session is shared between threads and keeps old credentials.
        client = self._boto3.session.Session().client("ecr", region_name=self._region)
        arguments = {"registryIds": [self._account]} if self._account else {}
        try:
            answer = client.get_authorization_token(**arguments)["authorizationData"][0]
            credential = decode_auth(answer["authorizationToken"], self._what)
            expires: datetime = answer["expiresAt"]
        except (BotoCoreError, ClientError) as error:
            raise Unauthorized(f"{self._what}: {error}") from error
        except (KeyError, IndexError, TypeError):
            raise ResponseInvalid(f"{self._what}: the answer has no authorization data") from None
        return credential, (expires - datetime.now(UTC)).total_seconds()


class Acr:
    """An Entra token exchanged for a refresh token of the registry (``/oauth2/exchange``)."""

    def __init__(self, config: RegistryConfig, exchange: type_exchange) -> None:
        """The exchange happens at the registry itself."""
        self._url = httpx.URL(config.url.rstrip("/") + "/oauth2/exchange")
        self._what, self._exchange = f"registry {config.id}: ACR", exchange
        self._identity = _library("azure.identity", "acr", config)
        self._errors = _library("azure.core.exceptions", "acr", config)

    def __call__(self) -> tuple[Credential, float]:
        """Return the credential and its life in seconds.

        Raises ``Unauthorized``, or ``ResponseInvalid`` for an answer without a credential.
        """
        try:
            token = self._identity.DefaultAzureCredential().get_token(ACR_SCOPE).token
        except self._errors.AzureError as error:
            raise Unauthorized(f"{self._what}: {error}") from error
        form = {
            "grant_type": "access_token",
            "service": self._url.host,
            "access_token": token,
        }
        status, _, body = self._exchange("POST", self._url, {}, form)
        if status != 200:
            raise Unauthorized(f"{self._what}: the exchange answered {status}")
        try:
            answer = _Refresh.model_validate_json(body)
        except ValidationError:
            raise ResponseInvalid(f"{self._what}: the exchange gave no refresh token") from None
        return Credential(identity_token=answer.refresh_token), ACR_LIFE


class _Refresh(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    refresh_token: str = Field(min_length=1)


class Gar:
    """Application default credentials: an access token, valid for about an hour."""

    def __init__(self, config: RegistryConfig) -> None:
        """A service account key needs none of this: it is the basic account ``_json_key``."""
        self._what = f"registry {config.id}: GAR"
        self._auth = _library("google.auth", "gar", config)
        self._errors = _library("google.auth.exceptions", "gar", config)
        self._requests = _library("google.auth.transport.requests", "gar", config)

    def __call__(self) -> tuple[Credential, float]:
        """Return the credential and its life in seconds. Raises ``Unauthorized``."""
        try:
            identity, _ = self._auth.default(scopes=[GAR_SCOPE])
            identity.refresh(self._requests.Request())
        except self._errors.GoogleAuthError as error:
            raise Unauthorized(f"{self._what}: {error}") from error
        expiry: datetime | None = identity.expiry
        # google-auth's times are UTC without saying so.
        life = (expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds() if expiry else 300.0
        return Credential(GAR_USER, str(identity.token)), life


def _library(name: str, extra: str, config: RegistryConfig) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ConfigurationError(
            f"registry {config.id}: credentials of kind {extra} need {name}",
            advice=f"install verilayer[{extra}]",
        ) from None
