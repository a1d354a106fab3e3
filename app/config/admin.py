"""Configuration of the admin API: tokens and OIDC."""

from __future__ import annotations

from pydantic import Field

from app.config.choice import RoleChoice
from app.config.source import ConfigModel
from app.oci.digest import SHA256_HEX


class AdminToken(ConfigModel):
    """An API token, kept as the sha256 (hex) of its text."""

    name: str = Field(min_length=1, max_length=64)
    """Whose it is; stands in the audit log."""
    sha256: str = Field(pattern=SHA256_HEX)
    """sha256 of the token, as `printf %s TOKEN | sha256sum` prints it."""
    role: RoleChoice = "read"
    """`read` sees, `operate` also submits, retries and cancels, `admin` may do everything."""


class AdminOidcConfig(ConfigModel):
    """JWTs of an OIDC issuer accepted by the admin API."""

    issuer: str
    """Issuer the token must be of."""
    audience: str
    """Audience the token must be for."""
    jwks_url: str = Field(pattern=r"^https?://")
    """Address of the issuer's keys."""
    role_claim: str = "groups"
    """Claim that names groups or roles."""
    roles: dict[str, RoleChoice] = Field(default_factory=dict)
    """Value of that claim -> role here."""


class AdminConfig(ConfigModel):
    """Who may use the admin API and the console. Without tokens and OIDC it answers 401 to all."""

    tokens: tuple[AdminToken, ...] = ()
    """API tokens."""
    oidc: AdminOidcConfig | None = None
    """An issuer whose JWTs are accepted too."""
    requests_per_minute: int = Field(default=600, ge=1)
    """Requests a minute that one caller may make."""
