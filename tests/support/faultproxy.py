"""A proxy between a client and a real registry that misbehaves on demand, over real sockets."""

from __future__ import annotations

import http.client
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAULTS = (
    "reset", "reset-midway", "truncate", "stall", "stall-midway", "429", "429-date", "500", "503",
    "wrong-content", "short-body", "long-body", "401", "redirect", "login-page",
)  # fmt: skip
#: Faults where the registry never sees the request.
_BEFORE = frozenset({"stall", "429", "429-date", "500", "503", "401", "redirect", "login-page"})
_CHUNK = 1 << 18


@dataclass
class Proxy:
    """What to do to which requests; ``url`` is what clients talk to."""

    url: str
    upstream: tuple[str, int]
    fault: str | None = None
    #: Requests that suffer: a pattern over ``METHOD /path``, after ``skip`` of them, ``times``.
    match: re.Pattern[str] = field(default_factory=lambda: re.compile(""))
    skip: int = 0
    times: int = 1
    #: Where redirects lead.
    elsewhere: str = "http://127.0.0.2:9"
    #: Reset the link whenever this many more bytes have passed.
    reset_every: int | None = None
    #: Challenge that a 401 carries.
    challenge: str = 'Basic realm="proxy"'
    hits: int = 0
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    _passed: int = 0
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def arm(self, fault: str | None, match: str = "", *, skip: int = 0, times: int = 1) -> None:
        """Misbehave from now on."""
        with self._guard:
            self.fault, self.match = fault, re.compile(match)
            self.skip, self.times, self.hits = skip, times, 0

    def choose(self, request: str, headers: dict[str, str]) -> str | None:
        """Return the fault of a request."""
        with self._guard:
            self.seen.append((request, headers))
            if self.fault is None or not self.match.search(request):
                return None
            if self.skip:
                self.skip -= 1
                return None
            if self.hits >= self.times:
                return None
            self.hits += 1
            return self.fault

    def breaks(self, count: int) -> bool:
        """Whether the flaky link breaks with these bytes."""
        with self._guard:
            if self.reset_every is None:
                return False
            self._passed += count
            if self._passed < self.reset_every:
                return False
            self._passed = 0
            self.hits += 1
            return True


@contextmanager
def fault_proxy(upstream: str) -> Iterator[Proxy]:
    """Proxy to ``host:port`` until the end."""
    host, _, port = upstream.partition(":")
    holder: list[Proxy] = []

    class Handler(_Handler):
        @property
        def proxy(self) -> Proxy:
            return holder[0]

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    holder.append(Proxy(f"http://127.0.0.1:{server.server_port}", (host, int(port))))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield holder[0]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Broken(Exception):
    """The link was cut on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def proxy(self) -> Proxy:
        raise NotImplementedError

    def handle_one_request(self) -> None:
        with suppress(_Broken, ConnectionError, BrokenPipeError, ValueError):
            super().handle_one_request()
            return
        self.close_connection = True

    def _serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        fault = self.proxy.choose(f"{self.command} {self.path}", headers)
        if fault in _BEFORE and fault is not None:
            self._drain(int(headers.get("content-length", "0")))
            self._answer_ourselves(fault)
            return
        if fault == "reset" and not headers.get("content-length", "0").strip("0"):
            self._cut()
        upstream = http.client.HTTPConnection(*self.proxy.upstream, timeout=60)
        try:
            self._forward(upstream, headers, cut=fault == "reset")
            self._reply(upstream.getresponse(), fault)
        finally:
            upstream.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

    def _drain(self, left: int) -> None:
        while left:
            left -= len(self._read(min(_CHUNK, left)))

    def _read(self, size: int) -> bytes:
        data = self.rfile.read1(size)
        if not data:
            raise _Broken
        return bytes(data)

    def _forward(
        self, upstream: http.client.HTTPConnection, headers: dict[str, str], *, cut: bool
    ) -> None:
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            if name not in ("connection", "expect"):
                upstream.putheader(name, value)
        upstream.endheaders()
        length = left = int(headers.get("content-length", "0"))
        while left:
            data = self._read(min(_CHUNK, left))
            left -= len(data)
            upstream.send(data)
            if (cut and left <= length // 2) or self.proxy.breaks(len(data)):
                self._cut()

    def _reply(self, answer: http.client.HTTPResponse, fault: str | None) -> None:
        length = int(answer.headers.get("content-length") or 0)
        body = self.command != "HEAD"
        headers = [(n, v) for n, v in answer.getheaders() if n.lower() != "connection"]
        if fault == "reset-midway" and not (body and length):
            self._cut()
        claimed = length
        if fault == "short-body":
            claimed = max(0, length - 1)
        if fault == "long-body":
            claimed = length + 7
        if fault == "wrong-content":
            headers = [
                (n, "sha256:" + "0" * 64 if n.lower() == "docker-content-digest" else v)
                for n, v in headers
            ]
        lines = [f"HTTP/1.1 {answer.status} {answer.reason}"]
        lines += [f"{n}: {claimed if n.lower() == 'content-length' else v}" for n, v in headers]
        chunked = answer.headers.get("transfer-encoding") == "chunked"
        self.wfile.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        if body:
            self._body(answer, fault, (length, claimed), chunked=chunked)

    def _body(
        self,
        answer: http.client.HTTPResponse,
        fault: str | None,
        sizes: tuple[int, int],
        *,
        chunked: bool,
    ) -> None:
        length, claimed = sizes
        sent = 0
        while data := answer.read(min(_CHUNK, max(1, length // 2) if fault else _CHUNK)):
            if fault == "wrong-content" and not sent:
                data = bytes([data[0] ^ 1]) + data[1:]
            if fault == "short-body" and not chunked:
                data = data[: claimed - sent]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
            sent += len(data)
            if fault in ("reset-midway", "truncate", "stall-midway") and sent >= length // 2:
                self._break_midway(fault)
            if self.proxy.breaks(len(data)):
                self._cut()
        if fault == "long-body" and not chunked:
            self.wfile.write(b"garbage")
        if fault in ("reset-midway", "truncate", "stall-midway"):
            self._break_midway(fault)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _break_midway(self, fault: str) -> None:
        if fault == "truncate":
            self.close_connection = True
            raise _Broken
        if fault == "stall-midway":
            self._stall()
        self._cut()

    def _answer_ourselves(self, fault: str) -> None:
        if fault == "stall":
            self._stall()
        status, headers = 503, {}
        if fault in ("429", "429-date"):
            status = 429
            headers["Retry-After"] = "0" if fault == "429" else formatdate(time.time(), usegmt=True)
        elif fault == "500":
            status = 500
        elif fault == "401":
            status, headers["WWW-Authenticate"] = 401, self.proxy.challenge
        elif fault == "redirect":
            status, headers["Location"] = 307, self.proxy.elsewhere + self.path
        elif fault == "login-page":
            status, headers["Content-Type"] = 200, "text/html"
        body = b"<html>sign in</html>" if fault == "login-page" else b""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _stall(self) -> None:
        """Say nothing until the client gives up."""
        self.connection.settimeout(20)
        with suppress(OSError):
            while self.connection.recv(_CHUNK):
                pass
        raise _Broken

    def _cut(self) -> None:
        """Reset the connection: no more data, and what is under way is lost."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        raise _Broken

    def finish(self) -> None:
        with suppress(OSError, ValueError):
            super().finish()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
