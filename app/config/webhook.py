"""Configuration of one webhook endpoint: whose dialect it speaks and how deliveries prove it.

A combination that could never work, or that would let anyone in (``app.catalog.dialects`` has which
proofs a dialect can carry), is refused when the file is read and the error points at the line.
"""

from __future__ import annotations

import ipaddress
from typing import Self

from pydantic import Field, field_validator, model_validator

from app.catalog.dialects import DIALECTS, SECRET_AUTH, Auth
from app.config.choice import DialectChoice
from app.config.source import ConfigModel, SecretSource


class WebhookConfig(ConfigModel):
    """One webhook endpoint, ``POST /webhooks/{registry-id}``. Without a proof it does not start."""

    dialect: DialectChoice
    """What the registry speaks; never guessed from a request."""
    auth: Auth = "header"
    """How deliveries prove themselves; docs/webhooks.md tells which kinds a dialect can send."""
    header: str | None = Field(default=None, pattern=r"^[A-Za-z0-9-]{1,64}$")
    """Header that carries the secret (`header`), the signature (`hmac`) or the subject
    (`mtls-header`); absent: `Authorization`, the dialect's own, or `X-Client-Subject`."""
    secrets: tuple[SecretSource, ...] = Field(default=(), max_length=2)
    """One secret, or two while one replaces the other."""
    username: str | None = None
    """User name of `basic`; any when absent."""
    audience: str | None = None
    """`oidc`: audience the token must be for."""
    issuer: str | None = None
    """`oidc`: issuer of the token; Google's for dialect `gar` when absent."""
    jwks_url: str | None = Field(default=None, pattern=r"^https?://")
    """`oidc`: address of the issuer's keys; found by OpenID discovery when absent."""
    email: str | None = None
    """`oidc`: service account whose verified address the token must carry."""
    subject: str | None = None
    """`oidc`: value of the token's `sub` claim, where tokens carry no address."""
    topics: tuple[str, ...] = ()
    """`sns`: ARNs of the topics that are accepted."""
    subjects: tuple[str, ...] = ()
    """`mtls-header`: certificate subjects that are accepted, as the proxy writes them."""
    trusted_proxies: tuple[str, ...] = ()
    """`mtls-header`: addresses or networks the proxy connects from."""
    repository_prefix: str = Field(default="", pattern=r"^(?:[a-z0-9._/-]*/)?$")
    """Put before repository names, where payloads leave it out (Nexus, Artifactory)."""

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            ipaddress.ip_network(text)
        return value

    @model_validator(mode="after")
    def _fails_closed(self) -> Self:
        accepted = DIALECTS[self.dialect].auth
        if self.auth not in accepted:
            raise ValueError(
                f"dialect {self.dialect} cannot send auth {self.auth};"
                f" use {', '.join(sorted(accepted))}"
            )
        if missing := self._missing():
            raise ValueError(
                f"auth {self.auth} needs {missing}; without it anyone could post events"
            )
        return self

    def _missing(self) -> str | None:
        if self.auth in SECRET_AUTH:
            return None if self.secrets else "secrets"
        if self.auth == "sns":
            return None if self.topics else "topics"
        if self.auth == "mtls-header":
            return None if self.subjects and self.trusted_proxies else "subjects, trusted_proxies"
        if self.audience is None:
            return "audience"
        if self.issuer is None and DIALECTS[self.dialect].issuer is None:
            return "issuer"
        return None if self.email or self.subject else "email or subject"
