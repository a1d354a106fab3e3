"""One HTTP exchange with a registry: throttled, authenticated, redirected by rule, bounded.

httpx carries bytes through its transport layer only: no cookies, no environment, no automatic
redirects, and no log lines with the signed URLs that registries redirect to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from app.errors import AccessRefused, RateLimited, RegistryError, ResponseInvalid, Unavailable
from app.observability import calls, metrics
from app.registry.auth.tokens import Authenticator
from app.registry.http.retrying import RetryPolicy
from app.registry.http.slots import Slots
from app.registry.protocols import Coordination, RateLimit
from app.registry.responses import MAX_ERROR_BYTES, error_for

USER_AGENT = "verilayer"
MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SAFE = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Call:
    """One request; ``target`` is a path below the registry, or an admitted absolute URL."""

    method: str
    target: str
    what: str
    scopes: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Opens the body anew for each try; ``length`` is its size in bytes.
    body: Callable[[], Iterable[bytes]] | None = None
    length: int = 0
    #: Statuses that are an answer; all others are raised as errors.
    ok: frozenset[int] = frozenset({200})
    repository: str = ""
    #: The answer is content that its digest proves, whatever its Content-Type.
    any_type: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A response whose body has been read whole."""

    status: int
    headers: httpx.Headers
    data: bytes


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds for a connection, and for each wait for the peer."""

    connect: float
    read: float

    @property
    def extension(self) -> dict[str, float]:
        """As httpcore wants them."""
        return {
            "connect": self.connect,
            "read": self.read,
            "write": self.read,
            "pool": self.connect + self.read,
        }


class RegistryClient:
    """Requests to one registry. Safe to share between threads."""

    def __init__(
        self,
        base: httpx.URL,
        transport: httpx.BaseTransport,
        coordination: Coordination,
        *,
        limit: RateLimit,
        timeouts: Timeouts,
        slots: Slots,
        retry: RetryPolicy,
        hosts: frozenset[str] = frozenset(),
    ) -> None:
        """``hosts`` are those besides the registry's that uploads may be sent to."""
        self.base, self._transport, self._coordination = base, transport, coordination
        self._limit, self._timeouts, self._slots, self.retry = limit, timeouts, slots, retry
        self._hosts = hosts
        self.auth: Authenticator | None = None

    def close(self) -> None:
        """Release connections."""
        self._transport.close()

    def request(self, call: Call, *, max_bytes: int = 1 << 20, retry: bool = True) -> Answer:
        """Send and read the body whole, trying again when that is safe and can help."""

        def once() -> Answer:
            with self.stream(call) as response:
                headers, status = response.headers, response.status_code
                limit = 0 if call.method == "HEAD" else max_bytes
                return Answer(status, headers, read_bounded(response, limit, call.what))

        return self.retry.call(once) if retry else once()

    @contextmanager
    def stream(self, call: Call) -> Iterator[httpx.Response]:
        """Send once and yield the response, its body unread.

        Raises the errors of the protocols, and ``ResponseInvalid`` for a web page.
        """
        with self._slots.hold(call.repository):
            response = self._follow(call)
            try:
                if response.status_code not in call.ok:
                    raise self._error(call, response)
                if not call.any_type and _is_page(response):
                    raise ResponseInvalid(
                        f"{call.what}: a web page came instead of a registry's answer",
                        status=response.status_code,
                        page=True,
                    )
                yield response
            finally:
                response.close()

    def forget_token(self, scopes: tuple[str, ...]) -> None:
        """Fetch a new token next time: a long transfer broke, perhaps because its token expired."""
        if self.auth is not None:
            self.auth.forget(scopes)

    def own(self, url: httpx.URL) -> bool:
        """Whether a URL belongs to the registry itself, so that it may see credentials."""
        return (url.scheme, url.host, url.port) == (
            self.base.scheme,
            self.base.host,
            self.base.port,
        )

    def upload_target(self, location: str | None, current: str) -> str:
        """Judge an upload Location; raises ``AccessRefused`` and ``ResponseInvalid``."""
        if not location:
            raise ResponseInvalid("the registry started an upload without a Location")
        url = self._join(self.base.join(current), location)
        if url.netloc == self.base.netloc:
            # A proxy that ends TLS often makes registries answer with their inner scheme.
            return str(url.copy_with(scheme=self.base.scheme))
        if not {url.host, url.netloc.decode()} & self._hosts:
            raise AccessRefused(
                f"{self.base.host} sends the upload to {url.host}",
                advice="if that is where its uploads belong, add it to quirks.upload_hosts",
            )
        self._check_scheme(url)
        return str(url)

    def _follow(self, call: Call) -> httpx.Response:
        url = self.base.join(call.target)
        for _ in range(MAX_REDIRECTS + 1):
            response = self._send(call, url)
            if response.status_code not in _REDIRECTS or call.method not in _SAFE:
                return response
            location = response.headers.get("location", "")
            response.close()
            url = self._join(url, location)
            self._check_scheme(url)
        raise ResponseInvalid(f"{call.what}: more than {MAX_REDIRECTS} redirects")

    def _send(self, call: Call, url: httpx.URL) -> httpx.Response:
        """Send, with credentials only to the registry itself, answering its challenge once."""
        if not self.own(url):
            return self._foreign(call, url)
        if self.auth is None:
            return self._transmit(call, url, None)
        header = self.auth.header(call.scopes)
        response = self._transmit(call, url, header)
        if response.status_code != 401:
            return response
        challenges = response.headers.get_list("www-authenticate")
        answer = self.auth.answer(challenges, call.scopes, header)
        if answer is None:
            return response
        response.close()
        return self._transmit(call, url, answer)

    def _foreign(self, call: Call, url: httpx.URL) -> httpx.Response:
        response = self._transmit(call, url, None)
        if response.status_code in (400, 401, 403, 405) and call.method == "HEAD":
            response.close()
            message = f"{call.what}: {url.host} refuses HEAD"
            raise RegistryError(message, foreign=True, status=response.status_code)
        if response.status_code in (401, 403):
            # A signed URL that has expired: the registry will make a new one.
            response.close()
            raise Unavailable(f"{call.what}: {url.host} refused the redirect of {self.base.host}")
        return response

    def _transmit(self, call: Call, url: httpx.URL, authorization: str | None) -> httpx.Response:
        host = self.base.netloc.decode()
        with calls.waiting(host):
            self._coordination.throttle(host, limit=self._limit)
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **call.headers}
        if authorization:
            headers["Authorization"] = authorization
        if call.body is not None or call.method in ("POST", "PUT", "PATCH"):
            headers["Content-Length"] = str(call.length)
        request = httpx.Request(
            call.method,
            url,
            headers=headers,
            content=call.body() if call.body else None,
            extensions={"timeout": self._timeouts.extension},
        )
        with transport_errors(call.what), calls.registry_call(host, call.method) as answered:
            response = self._transport.handle_request(request)
            answered(response.status_code)
            return response

    def _error(self, call: Call, response: httpx.Response) -> RegistryError:
        body = b""
        if call.method != "HEAD":
            with transport_errors(call.what):
                for chunk in response.iter_raw():
                    body += chunk[: MAX_ERROR_BYTES - len(body)]
                    if len(body) >= MAX_ERROR_BYTES:
                        break
        error = error_for(response.status_code, response.headers, body, call.what)
        if isinstance(error, RateLimited):
            host, asked = (
                self.base.netloc.decode(),
                min(1.0 if error.retry_after is None else error.retry_after, 600.0),
            )
            metrics.REGISTRY_WAIT_SECONDS.labels(host=host, reason="retry-after").inc(asked)
            self._coordination.penalise(host, asked)
        return error

    def _join(self, url: httpx.URL, location: str) -> httpx.URL:
        try:
            joined = url.join(location)
        except (httpx.InvalidURL, ValueError):
            raise ResponseInvalid(f"{url.host} redirects to something that is no URL") from None
        if joined.scheme not in ("http", "https") or not joined.host or joined.userinfo:
            raise AccessRefused(f"{url.host} redirects to a URL that is not plain http or https")
        return joined

    def _check_scheme(self, url: httpx.URL) -> None:
        if self.base.scheme == "https" and url.scheme != "https":
            raise AccessRefused(f"{self.base.host} redirects to {url.host} without TLS")


def _is_page(response: httpx.Response) -> bool:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in ("text/html", "application/xhtml+xml")


def read_bounded(response: httpx.Response, limit: int, what: str) -> bytes:
    """Read a body of at most ``limit`` bytes; raises ``ResponseInvalid`` for more."""
    data = bytearray()
    with transport_errors(what):
        for chunk in response.iter_raw():
            data += chunk
            if len(data) > limit:
                raise ResponseInvalid(f"{what}: the answer exceeds {limit} bytes")
    return bytes(data)


@contextmanager
def transport_errors(what: str) -> Iterator[None]:
    """Translate httpx's errors into ``Unavailable``."""
    try:
        yield
    except httpx.TransportError as error:
        kind = type(error).__name__
        raise Unavailable(f"{what}: {kind}: {error}") from error
