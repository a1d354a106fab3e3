"""Local HTTP services that keep keys, with the wire forms of Vault, AWS KMS, Key Vault, Cloud KMS.

They hold one key, sign what the real ones would sign, and refuse what those refuse.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from tests.support.certificates import Identity

Answer = tuple[int, dict[str, Any], dict[str, str]]


@dataclass(slots=True)
class Keeper:
    """A running service; ``fail_with`` makes it answer that status instead."""

    url: str
    requests: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    fail_with: int | None = None


Reply = Callable[[str, str, dict[str, str], dict[str, Any]], Answer]


@contextmanager
def serving(reply: Reply, tls: tuple[Path, Path] | None = None) -> Iterator[Keeper]:
    """Serve ``reply(method, path, headers, body)`` on loopback; TLS with (certificate, key)."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            keeper.requests.append((self.command, self.path, body))
            if keeper.fail_with is not None:
                result: Answer = keeper.fail_with, {"errors": ["as told"]}, {}
            else:
                result = reply(
                    self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body
                )
            status, answer, headers = result
            data = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = _serve  # noqa: N815 - names that http.server calls

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: tests look at ``requests``."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    scheme = "http"
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*map(str, tls))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    keeper = Keeper(f"{scheme}://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield keeper
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _rsa(identity: Identity) -> rsa.RSAPrivateKey:
    assert isinstance(identity.key, rsa.RSAPrivateKey)
    return identity.key


def _sign(identity: Identity, message: bytes, *, hashed: bool) -> bytes:
    algorithm = Prehashed(hashes.SHA256()) if hashed else hashes.SHA256()
    return _rsa(identity).sign(message, padding.PKCS1v15(), algorithm)


def vault(identity: Identity, name: str, token: str) -> Reply:
    """``POST /v1/transit/sign/NAME``."""

    def reply(method: str, path: str, headers: dict[str, str], body: dict[str, Any]) -> Answer:
        if headers.get("x-vault-token") != token:
            return 403, {"errors": ["permission denied"]}, {}
        if path != f"/v1/transit/sign/{name}" or method not in ("POST", "PUT"):
            return 404, {"errors": []}, {}
        wanted = (body.get("hash_algorithm"), body.get("signature_algorithm"))
        if wanted != ("sha2-256", "pkcs1v15") or body.get("prehashed"):
            return 400, {"errors": ["unexpected parameters"]}, {}
        raw = _sign(identity, base64.b64decode(body["input"]), hashed=False)
        return 200, {"data": {"signature": "vault:v1:" + base64.b64encode(raw).decode()}}, {}

    return reply


def aws(identity: Identity, key: str) -> Reply:
    """``TrentService.Sign`` in the JSON 1.1 protocol."""

    def reply(method: str, path: str, headers: dict[str, str], body: dict[str, Any]) -> Answer:
        if headers.get("x-amz-target") != "TrentService.Sign" or "authorization" not in headers:
            return 400, {"__type": "UnknownOperationException"}, {}
        if body["KeyId"] != key:
            return 400, {"__type": "NotFoundException", "message": "no such key"}, {}
        assert body["MessageType"] == "RAW"
        assert body["SigningAlgorithm"] == "RSASSA_PKCS1_V1_5_SHA_256"
        raw = _sign(identity, base64.b64decode(body["Message"]), hashed=False)
        signature = base64.b64encode(raw).decode()
        return 200, {"KeyId": key, "Signature": signature}, {}

    return reply


def azure(identity: Identity, token: str) -> Reply:
    """Key Vault's ``GET /keys/k/1`` and ``POST /keys/k/1/sign``, with its challenge."""

    def reply(method: str, path: str, headers: dict[str, str], body: dict[str, Any]) -> Answer:
        where = path.partition("?")[0]
        if headers.get("authorization") != f"Bearer {token}":
            challenge = (
                'Bearer authorization="https://login.example/tenant", '
                'resource="https://vault.azure.net"'
            )
            return 401, {}, {"WWW-Authenticate": challenge}
        host = headers["host"]
        identifier = f"https://{host}/keys/k/1"
        if where == "/keys/k/1":
            numbers = _rsa(identity).public_key().public_numbers()
            jwk = {
                "kid": identifier, "kty": "RSA-HSM", "key_ops": ["sign"],
                "n": _b64(numbers.n.to_bytes(256, "big")), "e": _b64(b"\1\0\1"),
            }  # fmt: skip
            return 200, {"key": jwk, "attributes": {"enabled": True}}, {}
        if where == "/keys/k/1/sign" and body.get("alg") == "RS256":
            digest = base64.urlsafe_b64decode(body["value"] + "==")
            raw = _sign(identity, digest, hashed=True)
            return 200, {"kid": identifier, "value": _b64(raw)}, {}
        return 404, {"error": {"code": "KeyNotFound", "message": "no such key"}}, {}

    return reply


def gcp(identity: Identity, name: str) -> Reply:
    """``POST /v1/NAME:asymmetricSign``."""

    def reply(method: str, path: str, headers: dict[str, str], body: dict[str, Any]) -> Answer:
        if path.partition("?")[0] != f"/v1/{name}:asymmetricSign":
            return 404, {"error": {"code": 404, "message": "not found", "status": "NOT_FOUND"}}, {}
        raw = _sign(identity, base64.b64decode(body["digest"]["sha256"]), hashed=True)
        return 200, {"name": name, "signature": base64.b64encode(raw).decode()}, {}

    return reply


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
