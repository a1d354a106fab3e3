"""TLS, secrets in logs, and answers without end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.config.model import RegistryConfig
from app.errors import AccessRefused, ConfigurationError, ResponseInvalid, Unavailable
from app.oci.digest import Digest
from app.registry.coordination import LocalCoordination
from app.registry.factory import open_registry
from app.registry.protocols import Registry
from tests.support.artifacts import artifact, push_image
from tests.support.quirkyregistry import quirky_registry
from tests.support.registries import PASSWORD, docker_registry
from tests.support.tokenserver import token_server

pytestmark = pytest.mark.real


def certificate(directory: Path, address: str) -> tuple[Path, Path]:
    """Write a self-signed certificate for an address; return it and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test registry")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "tls.crt", directory / "tls.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    paths[1].write_bytes(private)
    return paths


def test_tls_by_the_configured_authority_only(tmp_path: Path, repository: str) -> None:
    pair = certificate(tmp_path, "127.0.0.1")
    with docker_registry(tmp_path, tls=pair) as server:
        with closing(server.open(ca_file=str(pair[0]))) as registry:
            image = push_image(registry, repository, "v1", b"x")
            registry.attach(repository, artifact(image, "application/a"))
        limits = {"attempts": 1}
        with (
            closing(server.open(limits=limits)) as stranger,
            pytest.raises(Unavailable, match="certificate verify failed"),
        ):
            stranger.resolve(repository, "v1")


def test_tls_for_another_name_is_refused(tmp_path: Path, repository: str) -> None:
    pair = certificate(tmp_path, "127.0.0.9")
    with docker_registry(tmp_path, tls=pair) as server:
        limits = {"attempts": 1}
        with (
            closing(server.open(ca_file=str(pair[0]), limits=limits)) as registry,
            pytest.raises(Unavailable, match="certificate verify failed"),
        ):
            registry.resolve(repository, "v1")


def test_a_ca_file_that_is_none_is_a_configuration_error(tmp_path: Path) -> None:
    config = {"id": "x", "url": "https://r.example", "ca_file": str(tmp_path / "absent")}
    with pytest.raises(ConfigurationError, match="ca_file"):
        open_registry(RegistryConfig.model_validate(config), LocalCoordination())


def test_secrets_and_tokens_are_not_logged(
    tmp_path: Path, repository: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    issued: list[str] = []
    with token_server() as tokens, docker_registry(tmp_path, auth=tokens) as server:
        sign = tokens.token
        tokens.token = lambda scopes: (issued.append(sign(scopes)), issued[-1])[1]  # type: ignore[method-assign, func-returns-value]
        with closing(server.open()) as registry:
            push_image(registry, repository, "v1", b"x")
    assert issued
    for secret in (PASSWORD, *issued):
        assert secret not in caplog.text


def test_signed_urls_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with quirky_registry() as storage, quirky_registry(blobs_at=storage.url) as server:
        config = {"id": "x", "url": server.url, "allow_private_addresses": True}
        with closing(
            open_registry(RegistryConfig.model_validate(config), LocalCoordination())
        ) as registry:
            storage.blobs[Digest.of(b"x")] = server.blobs[Digest.of(b"x")] = b"x"
            assert registry.blob_exists("a/b", Digest.of(b"x"))
    assert "X-Signature" in storage.requests[0][1]
    assert "X-Signature" not in caplog.text


@contextmanager
def endless(headers: dict[str, str], loop: str | None = None) -> Iterator[Registry]:
    """A registry that answers everything with the same page, or with a body that never ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if loop is not None:
                self.wfile.write(loop.encode())
                return
            try:
                while True:
                    self.wfile.write(b" " * 65536)
            except ConnectionError:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    config = {"id": "x", "url": url, "allow_private_addresses": True}
    registry = open_registry(RegistryConfig.model_validate(config), LocalCoordination())
    try:
        yield registry
    finally:
        registry.close()
        server.shutdown()
        thread.join()
        server.server_close()


def test_answers_without_end_are_cut() -> None:
    index = {"Content-Type": "application/vnd.oci.image.index.v1+json"}
    with endless(index) as registry:
        for ask in (
            lambda: registry.fetch_manifest("a/b", "v1"),
            lambda: registry.list_referrers("a/b", Digest.of(b"x")),
            lambda: list(registry.list_tags("a/b")),
        ):
            with pytest.raises(ResponseInvalid, match="exceeds"):
                ask()


def test_pages_in_a_circle_are_noticed() -> None:
    link = {"Link": '</v2/a/b/tags/list?n=100>; rel="next"'}
    with (
        endless(link, '{"tags": ["a"]}') as registry,
        pytest.raises(ResponseInvalid, match="circle"),
    ):
        list(registry.list_tags("a/b"))


def test_a_page_at_another_host_is_not_fetched() -> None:
    link = {"Link": '<http://169.254.169.254/v2/a/b/tags/list>; rel="next"'}
    with (
        endless(link, '{"tags": ["a"]}') as registry,
        pytest.raises(AccessRefused, match=r"169\.254"),
    ):
        list(registry.list_tags("a/b"))
