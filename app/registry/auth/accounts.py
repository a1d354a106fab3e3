"""Whose account a registry is used with: values, and providers that need nothing but a secret.

Docker configurations and their helpers are in ``app.registry.auth.credentials``, clouds in
``app.registry.auth.clouds``.
"""

from __future__ import annotations

import base64
import binascii
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from app.errors import ConfigurationError, Unauthorized

#: Username that marks an identity token (docker's credential helper protocol).
IDENTITY_USER = "<token>"


@dataclass(frozen=True, slots=True)
class Credential:
    """A username and password, or an identity (refresh) token; never shown by ``repr``."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """Value of a Basic Authorization header."""
        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode()


class CredentialProvider(Protocol):
    """Yields the current credential, as often as it is asked."""

    def credential(self) -> Credential | None:
        """Return it, or None to be anonymous. Raises ``ConfigurationError``, ``Unauthorized``."""
        ...

    def forget(self) -> None:
        """Drop what is cached: the registry refused it."""
        ...


class Anonymous:
    """No account."""

    def credential(self) -> Credential | None:
        """Return None."""
        return None

    def forget(self) -> None:
        """Keep nothing."""


class StaticCredential:
    """A username and password, or identity token, read anew each time it is needed."""

    def __init__(self, username: str | None, secret: Callable[[], str]) -> None:
        """``username`` None means that the secret is an identity token."""
        self._username, self._secret = username, secret

    def credential(self) -> Credential | None:
        """Read the secret."""
        if self._username is None:
            return Credential(identity_token=self._secret())
        return Credential(self._username, self._secret())

    def forget(self) -> None:
        """Keep nothing: the secret is read again anyway."""


class Expiring:
    """A credential that a cloud issues for a while; renewed before it ends."""

    #: Renewed when less than this share of its life is left.
    MARGIN = 0.1

    def __init__(
        self,
        exchange: Callable[[], tuple[Credential, float]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``exchange`` returns a credential and its remaining life in seconds."""
        self._exchange, self._clock = exchange, clock
        self._guard = threading.Lock()
        self._known: Credential | None = None
        self._until = 0.0

    def credential(self) -> Credential | None:
        """Return it, exchanged anew when it is about to expire. Raises ``Unauthorized``."""
        with self._guard:
            if self._known is None or self._clock() >= self._until:
                self._known, life = self._exchange()
                if life <= 0:
                    raise Unauthorized("the cloud issued a credential that has already expired")
                self._until = self._clock() + life * (1 - self.MARGIN)
            return self._known

    def forget(self) -> None:
        """Exchange anew next time."""
        with self._guard:
            self._known = None


def decode_auth(auth: str, what: str) -> Credential:
    """Decode base64 of ``user:secret``; raises ``ConfigurationError``, which names ``what``."""
    try:
        user, colon, secret = base64.b64decode(auth, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        user, colon, secret = "", "", ""
    if not colon:
        raise ConfigurationError(f"{what}: an auth is not base64 of user:secret")
    secret = secret.rstrip("\0")
    if user == IDENTITY_USER:
        return Credential(identity_token=secret)
    return Credential(user, secret)
