"""The only way this package contacts anybody: small GETs to addresses that were checked before.

Used for an issuer's keys, for SNS certificates and for confirming SNS subscriptions; never for a
registry, and never for an address that merely stands in a payload.
"""

from __future__ import annotations

from collections.abc import Callable

import httpx

from app.errors import Unavailable

#: Answers a URL with the body; raises ``Unavailable``. Tests pass their own.
Fetch = Callable[[str], bytes]

#: Seconds; senders give up after 3 to 30.
TIMEOUT = 2.5
MAX_BYTES = 256 << 10


def fetch(url: str) -> bytes:
    """GET a small document; redirects, errors and large answers are ``Unavailable``."""
    try:
        with httpx.stream("GET", url, timeout=TIMEOUT, follow_redirects=False) as response:
            if response.status_code != httpx.codes.OK:
                raise Unavailable(f"{url} answered {response.status_code}")
            body = b""
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise Unavailable(f"{url} answered more than {MAX_BYTES} bytes")
            return body
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable(f"{url} cannot be read: {error}") from error
