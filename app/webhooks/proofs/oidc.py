"""Deliveries that carry an OIDC token of their sender, as Google Pub/Sub push does.

https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions. PyJWT checks the token; here
are the keys (fetched once, again when a new key id shows up, at most every half minute, so that
invented key ids cannot make us hammer the issuer) and the claims that say *which* account sent it.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import jwt
from pydantic import BaseModel, ValidationError

from app.errors import Unauthenticated, Unavailable
from app.webhooks.delivery import Delivery
from app.webhooks.fetch import Fetch
from app.webhooks.proofs.kinds import Origin

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]

#: Seconds: keys are read again after the first, and never more often than the second.
KEYS_LIFETIME = 3600.0
KEYS_INTERVAL = 30.0
#: Clocks may differ by this many seconds.
LEEWAY = 60


class _Discovery(BaseModel):
    jwks_uri: str


class IssuerKeys:
    """Public keys of one issuer, by key id. Safe to share between threads."""

    def __init__(
        self,
        issuer: str,
        jwks_url: str | None,
        fetch: Fetch,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._url = jwks_url
        self._fetch = fetch
        self._now = now
        self._lock = threading.Lock()
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._read: float | None = None

    def find(self, key_id: str | None) -> jwt.PyJWK:
        """Return the key; raises ``Unauthenticated`` or, without any keys, ``Unavailable``."""
        with self._lock:
            age = None if self._read is None else self._now() - self._read
            unknown = key_id not in self._keys
            if age is None or age > KEYS_LIFETIME or (unknown and age > KEYS_INTERVAL):
                self._refresh()
            found = self._keys.get(key_id)
        if found is None:
            raise Unauthenticated("the token is signed with a key its issuer does not publish")
        return found

    def _refresh(self) -> None:
        try:
            keys = jwt.PyJWKSet.from_json(self._fetch(self._address()).decode()).keys
            self._keys = {key.key_id: key for key in keys}
        except (Unavailable, jwt.PyJWTError, ValueError) as error:
            # Old keys stay good while the issuer is away; without any the sender must retry.
            if not self._keys:
                raise Unavailable(f"keys of {self._issuer} cannot be read: {error}") from error
        self._read = self._now()

    def _address(self) -> str:
        if self._url is None:
            url = self._issuer.rstrip("/") + "/.well-known/openid-configuration"
            try:
                self._url = _Discovery.model_validate_json(self._fetch(url)).jwks_uri
            except ValidationError as error:
                raise ValueError(f"{url} is not an OpenID configuration") from error
        return self._url


@dataclass(frozen=True, slots=True)
class OidcToken:
    """``Authorization: Bearer`` holds a JWT of ``issuer`` for ``audience`` and one account."""

    issuers: tuple[str, ...]
    audience: str
    email: str | None
    subject: str | None
    keys: IssuerKeys

    def readable(self) -> None:
        """No secret is involved; keys are fetched with the first delivery."""

    def check(self, delivery: Delivery, origin: Origin) -> None:
        """See ``Proof``; ``Unavailable`` when the issuer's keys cannot be had."""
        scheme, _, token = delivery.header("authorization").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("Authorization holds no bearer token")
        try:
            key = self.keys.find(jwt.get_unverified_header(token).get("kid"))
            claims = jwt.decode(
                token,
                key.key,
                algorithms=ALGORITHMS,
                audience=self.audience,
                issuer=list(self.issuers),
                leeway=LEEWAY,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.PyJWTError as error:
            raise Unauthenticated(f"the token is not valid: {error}") from None
        if self.email is not None and not (
            claims.get("email_verified") is True and _same(claims.get("email"), self.email)
        ):
            raise Unauthenticated("the token is not of the configured account")
        if self.subject is not None and not _same(claims.get("sub"), self.subject):
            raise Unauthenticated("the token is not of the configured subject")


def _same(given: object, expected: str) -> bool:
    return isinstance(given, str) and hmac.compare_digest(given.encode(), expected.encode())
