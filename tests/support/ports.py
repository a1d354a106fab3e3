"""Free TCP ports on loopback for servers that a test starts."""

from __future__ import annotations

import secrets
import socket

#: Below the range that the kernel gives to outgoing connections: a port from there may be taken by
#: one before the server binds it. Not ``random``, whose seed parallel test processes share.
_FIRST, _COUNT = 15_000, 15_000


def free_port() -> int:
    """A port that was free a moment ago and that nobody but a server asks for."""
    while True:
        port = _FIRST + secrets.randbelow(_COUNT)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
