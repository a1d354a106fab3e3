"""Real registries on loopback, started by tests: Debian's 2.8 and distribution 3.x.

::

    with docker_registry(tmp_path, notify="http://127.0.0.1:1234/webhooks/main") as server:
        config = server.config("main")

Nothing is shared: each has its own port and directory. A missing server skips the test locally and
fails it where the environment says ``CI``.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
import yaml

from app.config.model import RegistryConfig
from app.registry.coordination import LocalCoordination
from app.registry.factory import open_registry
from app.registry.http.retrying import RetryPolicy
from app.registry.protocols import Coordination, Registry
from tests.support.ports import free_port
from tests.support.tokenserver import TokenServer
from tests.support.tools import require

Flavour = Literal["debian", "v3"]
FLAVOURS: tuple[Flavour, ...] = ("debian", "v3")

USER, PASSWORD = "robot", "s3cret"
#: bcrypt of PASSWORD, the only hash that registries accept.
_HTPASSWD = f"{USER}:$2b$04$o4wrduJdG4ZAq2QWxBoguO2226.3YMrN7dy5RB8/X451Wi9yMCQN2\n"


@dataclass(frozen=True, slots=True)
class RunningRegistry:
    """A server that answers; ``config`` gives what a client of it is configured with."""

    url: str
    flavour: Flavour
    root: Path
    auth: Literal["none", "htpasswd", "token"] = "none"
    debug: str | None = None

    def undelivered(self) -> int:
        """Return how many notifications wait for an answer, as the server itself counts them."""
        if self.debug is None:
            return 0
        found = httpx.get(f"{self.debug}/debug/vars", timeout=5, trust_env=False).json()
        endpoints: list[dict[str, Any]] = found["registry"]["notifications"]["endpoints"] or []
        return sum(int(one["Metrics"]["Pending"]) for one in endpoints)

    @property
    def host(self) -> str:
        """``127.0.0.1:port``."""
        return self.url.partition("://")[2]

    def config(self, registry_id: str = "main", **fields: Any) -> RegistryConfig:
        """Return the configuration of a client that may use this server."""
        values: dict[str, Any] = {
            "id": registry_id,
            "url": self.url,
            "allow_private_addresses": True,
            "limits": {"requests_per_second": 10_000, "burst": 10_000},
        }
        if self.auth != "none":
            values["credentials"] = {
                "kind": "basic",
                "username": USER,
                "password": {"value": PASSWORD},
            }
        return RegistryConfig.model_validate(values | fields)

    def open(
        self,
        registry_id: str = "main",
        coordination: Coordination | None = None,
        *,
        retry: RetryPolicy | None = None,
        **fields: Any,
    ) -> Registry:
        """Return a client."""
        return open_registry(
            self.config(registry_id, **fields), coordination or LocalCoordination(), retry=retry
        )


@contextmanager
def docker_registry(
    root: Path,
    flavour: Flavour = "debian",
    *,
    auth: Literal["none", "htpasswd"] | TokenServer = "none",
    notify: str | None = None,
    notify_headers: Mapping[str, str] | None = None,
    delete: bool = True,
    access_log: bool = False,
    tls: tuple[Path, Path] | None = None,
) -> Iterator[RunningRegistry]:
    """Start a registry that stores below ``root`` and notifies ``notify``; stop it at the end.

    With ``access_log`` each request is a line of ``<its root>/log``.
    """
    root = root / f"registry-{flavour}-{free_port()}"
    root.mkdir(parents=True)
    port = free_port()
    document = _document(root, port, auth, delete=delete)
    document["log"]["accesslog"]["disabled"] = not access_log
    scheme = "http" if tls is None else "https"
    if tls is not None:
        document["http"]["tls"] = {"certificate": str(tls[0]), "key": str(tls[1])}
    debug = None
    if notify:
        if flavour == "debian":
            debug = f"127.0.0.1:{free_port()}"
            document["http"]["debug"] = {"addr": debug}
        headers = {name: [value] for name, value in (notify_headers or {}).items()}
        document["notifications"] = {
            "endpoints": [
                {
                    "name": "test",
                    "url": notify,
                    "headers": headers,
                    "timeout": "5s",
                    "threshold": 100,
                    "backoff": "200ms",
                    "ignore": {"actions": ["pull", "mount", "delete"]},
                }
            ]
        }
    config = root / "config.yml"
    config.write_text(yaml.safe_dump(document))
    binary = require("docker-registry" if flavour == "debian" else "registry")
    with (root / "log").open("wb") as log:
        environ = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
        process = subprocess.Popen(
            [binary, "serve", str(config)], stdout=log, stderr=log, env=environ
        )
    kind = auth if isinstance(auth, str) else "token"
    try:
        _wait(process, f"{scheme}://127.0.0.1:{port}/v2/", root / "log")
        yield RunningRegistry(
            f"{scheme}://127.0.0.1:{port}", flavour, root, kind, debug and f"http://{debug}"
        )
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _document(
    root: Path, port: int, auth: Literal["none", "htpasswd"] | TokenServer, *, delete: bool
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(root / "data")},
            "delete": {"enabled": delete},
        },
        "http": {"addr": f"127.0.0.1:{port}", "secret": "only-for-tests"},
    }
    if isinstance(auth, TokenServer):
        certificate = root / "issuer.pem"
        certificate.write_bytes(auth.certificate)
        document["auth"] = {
            "token": {
                "realm": auth.realm,
                "service": auth.service,
                "issuer": auth.issuer,
                "rootcertbundle": str(certificate),
            }
        }
    elif auth == "htpasswd":
        (root / "htpasswd").write_text(_HTPASSWD)
        document["auth"] = {"htpasswd": {"realm": "test", "path": str(root / "htpasswd")}}
    return document


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            httpx.get(url, timeout=2, trust_env=False, verify=False)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"the registry did not start: {log.read_text()[-2000:]}")
