"""Cloud accounts: the vendors' real libraries against services on loopback that speak their wire.

ECR's JSON protocol, App Service's managed identity and ACR's exchange, Google's OAuth2 endpoint.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from app.config.model import RegistryConfig
from app.errors import ConfigurationError, Unauthorized
from app.registry.auth.accounts import Credential
from app.registry.coordination import LocalCoordination
from app.registry.factory import open_registry

type_answer = Callable[[str, dict[str, str], bytes], tuple[int, dict[str, str], object]]


@contextmanager
def service(answer: type_answer) -> Iterator[str]:
    """Serve JSON on loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", "0")))
            status, extra, document = answer(f"{self.command} {self.path}", headers, body)
            data = json.dumps(document).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **extra}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_HEAD = do_POST = _serve  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def resolve(url: str, **credentials: Any) -> str:
    """Resolve a tag with a cloud account and return the digest."""
    config = RegistryConfig.model_validate(
        {"id": "cloud", "url": url, "allow_private_addresses": True, "credentials": credentials}
    )
    registry = open_registry(config, LocalCoordination())
    try:
        return registry.resolve("team/app", "v1").digest
    finally:
        registry.close()


def manifest_head() -> dict[str, str]:
    return {
        "Content-Type": "application/vnd.oci.image.manifest.v1+json",
        "Docker-Content-Digest": "sha256:" + "a" * 64,
        "Content-Length": "2",
    }


def basic_registry(credential: Credential) -> type_answer:
    def answer(request: str, headers: dict[str, str], body: bytes) -> Any:
        if headers.get("authorization") != credential.basic:
            return 401, {"WWW-Authenticate": 'Basic realm="cloud"'}, {}
        return 200, {k: v for k, v in manifest_head().items() if k != "Content-Length"}, {}

    return answer


@pytest.fixture(autouse=True)
def _no_ambient_identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_ecr(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def ecr(request: str, headers: dict[str, str], body: bytes) -> Any:
        target = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
        assert headers["x-amz-target"] == target
        assert "Credential=test-key/" in headers["authorization"]
        asked.append(json.loads(body))
        token = base64.b64encode(b"AWS:issued").decode()
        data = {"authorizationToken": token, "expiresAt": time.time() + 43200}
        return 200, {"Content-Type": "application/x-amz-json-1.1"}, {"authorizationData": [data]}

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
    with service(ecr) as api, service(basic_registry(Credential("AWS", "issued"))) as registry:
        monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", api)
        digest = resolve(registry, kind="ecr", region="eu-west-1", account="111122223333")
    assert digest == "sha256:" + "a" * 64
    assert asked == [{"registryIds": ["111122223333"]}]


def test_ecr_refusal_is_unauthorized(monkeypatch: pytest.MonkeyPatch) -> None:
    def ecr(request: str, headers: dict[str, str], body: bytes) -> Any:
        kind = {"__type": "AccessDeniedException", "message": "no"}
        return 400, {"Content-Type": "application/x-amz-json-1.1"}, kind

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
    with service(ecr) as api, service(basic_registry(Credential("AWS", "issued"))) as registry:
        monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", api)
        with pytest.raises(Unauthorized, match="AccessDenied"):
            resolve(registry, kind="ecr", region="eu-west-1")


def test_ecr_needs_a_region() -> None:
    with pytest.raises(ConfigurationError, match="region"):
        resolve("http://127.0.0.1:1", kind="ecr")


def test_acr(monkeypatch: pytest.MonkeyPatch) -> None:
    def identity(request: str, headers: dict[str, str], body: bytes) -> Any:
        assert headers["x-identity-header"] == "proof"
        query = parse_qs(urlsplit(request.partition(" ")[2]).query)
        assert query["resource"] == ["https://containerregistry.azure.net"]
        expires = str(int(time.time()) + 3600)
        return 200, {}, {"access_token": "entra", "expires_on": expires, "token_type": "Bearer"}

    def registry(request: str, headers: dict[str, str], body: bytes) -> Any:
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if request == "POST /oauth2/exchange":
            assert (form["grant_type"], form["access_token"]) == ("access_token", "entra")
            return 200, {}, {"refresh_token": "refresh"}
        if request == "POST /oauth2/token":
            assert (form["grant_type"], form["refresh_token"]) == ("refresh_token", "refresh")
            assert form["scope"] == "repository:team/app:pull"
            return 200, {}, {"access_token": "access"}
        if headers.get("authorization") != "Bearer access":
            realm = f'Bearer realm="http://{headers["host"]}/oauth2/token",service="acr"'
            return 401, {"WWW-Authenticate": realm}, {}
        return 200, {k: v for k, v in manifest_head().items() if k != "Content-Length"}, {}

    with service(identity) as endpoint, service(registry) as url:
        monkeypatch.setenv("IDENTITY_ENDPOINT", endpoint + "/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "proof")
        assert resolve(url, kind="acr") == "sha256:" + "a" * 64


def test_gar(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def oauth(request: str, headers: dict[str, str], body: bytes) -> Any:
        form = parse_qs(body.decode())
        claims = jwt.decode(
            form["assertion"][0],
            key.public_key(),
            algorithms=["RS256"],
            options={"verify_aud": False},
        )
        assert claims["iss"] == "robot@project.example"
        assert "cloud-platform" in claims["scope"]
        return 200, {}, {"access_token": "ya29.issued", "expires_in": 3600}

    account = Credential("oauth2accesstoken", "ya29.issued")
    with service(oauth) as endpoint, service(basic_registry(account)) as registry:
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        document = {
            "type": "service_account",
            "project_id": "project",
            "private_key_id": "1",
            "private_key": private.decode(),
            "client_email": "robot@project.example",
            "token_uri": endpoint + "/token",
        }
        path = tmp_path / "key.json"
        path.write_text(json.dumps(document))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        assert resolve(registry, kind="gar") == "sha256:" + "a" * 64
