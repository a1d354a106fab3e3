"""Who may call the admin API: hashed API tokens and OIDC JWTs, mapped to three roles.

``read`` sees, ``operate`` submits, retries, cancels and pauses, ``admin`` also drops dead letters.
Tokens are configured as sha256 hex of the token, so the configuration holds no secret. JWTs are
checked by PyJWT against the issuer's keys.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any, Protocol

import jwt

from app.catalog.vocabulary import Role
from app.config.model import AdminConfig, AdminOidcConfig
from app.problems import Problem

_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller; ``name`` goes into the audit log."""

    name: str
    role: Role


class SigningKeys(Protocol):
    """Finds the public key that a JWT claims to be signed with (``jwt.PyJWKClient``)."""

    def get_signing_key_from_jwt(self, token: str | bytes) -> Any:
        """Return an object whose ``key`` verifies the token."""
        ...


class Authenticator:
    """Checks the ``Authorization`` header of admin calls."""

    def __init__(self, config: AdminConfig, keys: SigningKeys | None = None) -> None:
        """``keys`` overrides fetching the issuer's JWKS; without OIDC it is not used."""
        self._tokens = [
            (token.sha256, Principal(token.name, Role[token.role])) for token in config.tokens
        ]
        self._oidc = config.oidc
        if keys is None and config.oidc is not None:
            keys = jwt.PyJWKClient(config.oidc.jwks_url, cache_keys=True, timeout=5)
        self._keys = keys

    def authenticate(self, authorization: str | None) -> Principal:
        """Return the caller; raises ``Problem`` 401 with a ``WWW-Authenticate`` challenge."""
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise _challenge("send Authorization: Bearer <API token or JWT>")
        digest = hashlib.sha256(token.encode()).hexdigest()
        found: Principal | None = None
        # Every entry is compared, so that timing tells nothing about which one matched.
        for known, principal in self._tokens:
            if hmac.compare_digest(known, digest):
                found = principal
        if found is None and self._oidc is not None and token.count(".") == 2:
            found = self._from_jwt(token, self._oidc)
        if found is None:
            raise _challenge("the token is not known")
        return found

    def _from_jwt(self, token: str, oidc: AdminOidcConfig) -> Principal | None:
        assert self._keys is not None
        try:
            key = self._keys.get_signing_key_from_jwt(token)
            claims = jwt.decode(
                token,
                key.key,
                algorithms=_ALGORITHMS,
                audience=oidc.audience,
                issuer=oidc.issuer,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWKClientConnectionError as error:
            raise Problem(
                503, "oidc-unavailable", f"the issuer's keys cannot be read: {error}"
            ) from None
        except jwt.PyJWTError as error:
            raise _challenge(f"the JWT is not valid: {error}") from None
        values = claims.get(oidc.role_claim, [])
        names = [values] if isinstance(values, str) else [str(value) for value in values]
        roles = [Role[oidc.roles[name]] for name in names if name in oidc.roles]
        if not roles:
            raise Problem(403, "role-missing", f"claim {oidc.role_claim} maps to no role")
        return Principal(f"oidc:{claims['sub']}", max(roles))


def _challenge(detail: str) -> Problem:
    return Problem(
        401, "unauthenticated", detail, headers={"WWW-Authenticate": 'Bearer realm="verilayer"'}
    )
