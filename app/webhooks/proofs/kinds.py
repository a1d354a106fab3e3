"""Does a delivery prove where it comes from? One small class for each kind of proof.

Every check fails closed: what is absent, doubled or odd is ``Unauthenticated``. Secrets are
compared as bytes in constant time, all active ones each time. The message to the sender never says
what was expected, nor how close a guess came.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.config.secrets import Secret
from app.errors import Unauthenticated
from app.webhooks.delivery import Delivery


@dataclass(frozen=True, slots=True)
class Origin:
    """What the connection tells: the peer's address, and the token at the end of the path."""

    address: str | None = None
    path_token: str | None = None


class Proof(Protocol):
    """One way to prove a delivery's origin."""

    def check(self, delivery: Delivery, origin: Origin) -> None:
        """Return when the delivery is genuine; raises ``Unauthenticated``."""
        ...

    def readable(self) -> None:
        """Raise ``ConfigurationError`` when a secret cannot be read; called before serving."""
        ...


def _matches(given: str, secrets: Sequence[Secret]) -> bool:
    offered = given.encode(errors="surrogateescape")
    found = False
    for secret in secrets:
        found |= hmac.compare_digest(offered, secret.value().encode())
    return found


@dataclass(frozen=True, slots=True)
class _SharedSecret:
    secrets: tuple[Secret, ...]

    def readable(self) -> None:
        for secret in self.secrets:
            secret.value()


@dataclass(frozen=True, slots=True)
class HeaderSecret(_SharedSecret):
    """A header holds exactly the secret; ``Bearer`` may precede it when ``scheme`` says so."""

    header: str
    scheme: str = ""

    def check(self, delivery: Delivery, origin: Origin) -> None:
        """See ``Proof``."""
        given = delivery.header(self.header.lower())
        if self.scheme:
            scheme, _, given = given.partition(" ")
            if scheme.lower() != self.scheme.lower():
                given = ""  # pragma: no mutate: refused like any wrong value
        if not given or not _matches(given, self.secrets):
            raise Unauthenticated(f"header {self.header} does not hold a valid secret")


@dataclass(frozen=True, slots=True)
class BasicSecret(_SharedSecret):
    """HTTP Basic (RFC 7617): the password is the secret; the user name counts when configured."""

    username: str | None = None

    def check(self, delivery: Delivery, origin: Origin) -> None:
        """See ``Proof``."""
        scheme, _, encoded = delivery.header("authorization").partition(" ")
        try:
            pair = base64.b64decode(encoded.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError, ValueError):
            pair = ""  # pragma: no mutate: whatever has no colon
        user, _, password = pair.partition(":")
        valid = bool(password) and _matches(password, self.secrets)
        if self.username is not None:
            valid &= hmac.compare_digest(user.encode(), self.username.encode())
        if scheme.lower() != "basic" or not valid:
            raise Unauthenticated("Basic credentials are missing or wrong")


@dataclass(frozen=True, slots=True)
class PathSecret(_SharedSecret):
    """The last segment of the path is the secret, for senders that cannot set headers."""

    def check(self, delivery: Delivery, origin: Origin) -> None:
        """See ``Proof``."""
        if not origin.path_token or not _matches(origin.path_token, self.secrets):
            raise Unauthenticated("the path does not end with a valid token")


@dataclass(frozen=True, slots=True)
class BodySignature(_SharedSecret):
    """A header holds the hex HMAC of the raw body, after an optional ``sha256=``."""

    headers: tuple[str, ...]
    algorithm: str = "sha256"

    def check(self, delivery: Delivery, origin: Origin) -> None:
        """See ``Proof``."""
        given = next(
            (value for name in self.headers if (value := delivery.header(name.lower()))), ""
        )
        name, equals, digest = given.rpartition("=")
        if equals and name.lower() != self.algorithm:
            digest = ""  # pragma: no mutate: whatever is no digest
        offered = digest.strip().lower().encode(errors="surrogateescape")
        valid = False
        for secret in self.secrets:
            expected = hmac.new(secret.value().encode(), delivery.body, self.algorithm).hexdigest()
            valid |= hmac.compare_digest(offered, expected.encode())
        if not valid:
            raise Unauthenticated(f"{self.headers[0]} is missing or not the body's signature")


@dataclass(frozen=True, slots=True)
class ProxySubject:
    """A trusted proxy verified a client certificate and reports its subject in a header."""

    header: str
    subjects: tuple[str, ...]
    proxies: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

    def check(self, delivery: Delivery, origin: Origin) -> None:
        """See ``Proof``."""
        try:
            peer = ipaddress.ip_address(origin.address or "")
        except ValueError:
            raise Unauthenticated("the peer has no address") from None
        if isinstance(peer, ipaddress.IPv6Address) and peer.ipv4_mapped:
            peer = peer.ipv4_mapped
        if not any(peer in network for network in self.proxies):
            raise Unauthenticated("the delivery did not come through a trusted proxy")
        if delivery.header(self.header.lower()) not in self.subjects:
            raise Unauthenticated(f"header {self.header} names no accepted certificate subject")

    def readable(self) -> None:
        """No secret is involved."""
