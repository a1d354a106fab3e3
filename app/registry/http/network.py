"""Connections that only reach addresses the operator meant, checked at the moment of dialling.

A name is resolved once, every address is judged, and the socket is connected to the address that
was judged: a name that resolves differently the second time gains nothing. TLS still verifies the
name. Reads and writes have a floor of speed, so a peer that trickles cannot hold a worker.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from app.errors import AccessRefused

type_address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Instance metadata and platform agents that are not link-local: AWS over IPv6, Alibaba, Azure.
_METADATA = frozenset(
    ipaddress.ip_address(text) for text in ("fd00:ec2::254", "100.100.100.200", "168.63.129.16")
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

#: Slowest peer, in bytes per second, over any stretch as long as the timeout.
SLOWEST = 256


def _embedded(address: type_address) -> type_address:
    """Return the IPv4 address that an IPv6 address stands for, else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else address)


def refusal(text: str, *, private_allowed: bool) -> str | None:
    """Say why an IP address may not be contacted, or None when it may."""
    address = _embedded(ipaddress.ip_address(text.partition("%")[0]))
    if address in _METADATA:
        return "a cloud metadata address"
    if address.is_link_local:
        return "a link-local address"
    if address.is_multicast or address.is_unspecified:
        return "not the address of a host"
    if address.is_loopback or address.is_private or not address.is_global:
        return None if private_allowed else "a loopback or private address"
    return None


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """``private_hosts`` are the names (without port) that may resolve to private addresses."""

    private_hosts: frozenset[str] = frozenset()

    def admitted(self, host: str, addresses: Iterable[str]) -> list[str]:
        """Return the addresses that may be contacted; raises ``AccessRefused`` if none may."""
        allowed, reasons = [], []
        for address in addresses:
            why = refusal(address, private_allowed=host.lower() in self.private_hosts)
            if why is None:
                allowed.append(address)
            else:
                reasons.append(f"{address} is {why}")
        if not allowed:
            raise AccessRefused(
                f"{host} may not be contacted: {'; '.join(reasons) or 'it has no address'}",
                advice="if it is meant, set allow_private_addresses on the registry; a storage or "
                "token host must also be listed in quirks.upload_hosts or quirks.auth_hosts",
            )
        return allowed


def _resolve(host: str, port: int) -> list[str]:
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in infos))


class GuardedBackend(httpcore.NetworkBackend):
    """Dials what the policy admits, by address."""

    def __init__(
        self, policy: AddressPolicy, resolve: Callable[[str, int], list[str]] = _resolve
    ) -> None:
        self._policy, self._resolve = policy, resolve

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Resolve, judge, connect. Raises ``AccessRefused`` and httpcore's connect errors."""
        try:
            addresses = self._resolve(host, port)
        except OSError as error:
            raise httpcore.ConnectError(f"{host} cannot be resolved: {error}") from error
        failure: OSError | None = None
        for address in self._policy.admitted(host, addresses):
            try:
                connection = socket.create_connection((address, port), timeout)
            except OSError as error:
                failure = error
                continue
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            return PacedStream(connection)
        if isinstance(failure, TimeoutError):
            raise httpcore.ConnectTimeout(f"{host} did not answer: {failure}") from failure
        raise httpcore.ConnectError(f"{host} cannot be reached: {failure}") from failure


class PacedStream(httpcore.NetworkStream):
    """A socket whose peer must move ``SLOWEST`` bytes per second, besides the usual timeouts.

    Only time spent waiting for the peer counts, from the last change of direction.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._reading = False
        self._waited = 0.0
        self._moved = 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Receive up to ``max_bytes``. Raises httpcore's read errors."""
        started = self._start(reading=True)
        try:
            self._socket.settimeout(timeout)
            data = self._socket.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout("the peer sent nothing for too long") from error
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error
        if self._too_slow(started, len(data), timeout):
            raise httpcore.ReadTimeout("the peer sends too slowly")
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send everything. Raises httpcore's write errors."""
        view = memoryview(buffer)
        while view:
            started = self._start(reading=False)
            try:
                self._socket.settimeout(timeout)
                sent = self._socket.send(view)
            except TimeoutError as error:
                raise httpcore.WriteTimeout("the peer took nothing for too long") from error
            except OSError as error:
                raise httpcore.WriteError(str(error)) from error
            if self._too_slow(started, sent, timeout):
                raise httpcore.WriteTimeout("the peer takes data too slowly")
            view = view[sent:]

    def _start(self, *, reading: bool) -> float:
        if self._reading is not reading:
            self._reading, self._waited, self._moved = reading, 0.0, 0
        return time.monotonic()

    def _too_slow(self, started: float, moved: int, timeout: float | None) -> bool:
        self._waited += time.monotonic() - started
        self._moved += moved
        if timeout is None or self._waited < timeout:
            return False
        slow = self._moved < SLOWEST * self._waited
        self._waited, self._moved = 0.0, 0
        return slow

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Wrap the socket; the certificate must fit the name. Raises ``ConnectError``."""
        try:
            self._socket.settimeout(timeout)
            wrapped = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname)
        except TimeoutError as error:
            self.close()
            raise httpcore.ConnectTimeout("TLS handshake took too long") from error
        except OSError as error:
            self.close()
            raise httpcore.ConnectError(f"TLS handshake failed: {error}") from error
        return PacedStream(wrapped)

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore asks of a stream: whether a kept connection has gone stale."""
        if info == "is_readable":
            return _readable(self._socket)
        if info == "socket":
            return self._socket
        if info == "ssl_object" and isinstance(self._socket, ssl.SSLSocket):
            return self._socket
        return None


def _readable(connection: socket.socket) -> bool:
    import select

    if connection.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


class GuardedTransport(httpx.HTTPTransport):
    """httpx over guarded connections. Proxies of the environment are ignored on purpose."""

    def __init__(self, policy: AddressPolicy, context: ssl.SSLContext, connections: int) -> None:
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=20.0,
            network_backend=GuardedBackend(policy),
        )
