"""A token server as registries know it: GET with Basic, POST with refresh tokens; signed JWTs."""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID


@lru_cache(maxsize=1)
def _issuer() -> tuple[rsa.RSAPrivateKey, bytes, str]:
    """Return key, PEM certificate and its base64 DER."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test token issuer")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    der = certificate.public_bytes(serialization.Encoding.DER)
    return key, pem, base64.b64encode(der).decode()


@dataclass
class TokenServer:
    """Answers at ``realm``; keeps what it was asked, and can be told to misbehave."""

    realm: str
    service: str = "test-registry"
    issuer: str = "test-issuer"
    username: str = "robot"
    password: str = "s3cret"
    refresh_tokens: set[str] = field(default_factory=set)
    #: Life of a token as the answer states it, and as the JWT itself does, in seconds.
    stated_life: int | None = 300
    real_life: float = 300
    anonymous_pull: bool = False
    rotate: bool = False
    requests: list[dict[str, Any]] = field(default_factory=list)

    @property
    def certificate(self) -> bytes:
        """PEM of the certificate that registries check tokens with."""
        return _issuer()[1]

    def token(self, scopes: list[str]) -> str:
        """Return a signed token for some scopes."""
        key, _, der = _issuer()
        access = []
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = time.time()
        claims = {
            "iss": self.issuer,
            "aud": self.service,
            "sub": self.username,
            "iat": int(now),
            # Registries allow a minute of clock skew.
            "nbf": int(now) - 3600,
            "exp": int(now + self.real_life - (60 if self.real_life < 60 else 0)),
            "jti": uuid.uuid4().hex,
            "access": access,
        }
        return jwt.encode(claims, key, algorithm="RS256", headers={"x5c": [der]})

    def answer(self, method: str, query: dict[str, list[str]], authorization: str) -> Any:
        """Return status and JSON document."""
        scopes = [s for value in query.get("scope", []) for s in value.split()]
        self.requests.append({"method": method, "scopes": scopes, "query": query})
        document: dict[str, Any] = {}
        if method == "POST":
            refresh = query.get("refresh_token", [""])[0]
            if refresh not in self.refresh_tokens:
                return 401, {"error": "invalid_grant"}
            if self.rotate:
                self.refresh_tokens.discard(refresh)
                document["refresh_token"] = uuid.uuid4().hex
                self.refresh_tokens.add(document["refresh_token"])
        elif authorization:
            pair = base64.b64decode(authorization.partition(" ")[2]).decode()
            if pair != f"{self.username}:{self.password}":
                return 401, {"errors": [{"code": "UNAUTHORIZED"}]}
        else:
            if not self.anonymous_pull:
                return 401, {"errors": [{"code": "UNAUTHORIZED"}]}
            scopes = [s for s in scopes if s.endswith(":pull")]
        document["access_token" if method == "POST" else "token"] = self.token(scopes)
        if self.stated_life is not None:
            document["expires_in"] = self.stated_life
        return 200, document


@contextmanager
def token_server(**fields: Any) -> Iterator[TokenServer]:
    """Serve tokens on loopback until the end."""
    holder: list[TokenServer] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._reply("GET", parse_qs(urlsplit(self.path).query))

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            self._reply("POST", parse_qs(self.rfile.read(length).decode()))

        def _reply(self, method: str, query: dict[str, list[str]]) -> None:
            authorization = self.headers.get("Authorization", "")
            status, document = holder[0].answer(method, query, authorization)
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    holder.append(TokenServer(f"http://127.0.0.1:{server.server_port}/token", **fields))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield holder[0]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
