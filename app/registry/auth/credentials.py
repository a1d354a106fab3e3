"""Docker configurations and credential helpers. The one file of the client that knows oras.

oras walks docker's configuration (``auths``, ``credHelpers``, ``credsStore``, local host aliases).
It forgets identity tokens and waits for helpers for ever, so those two parts are ours.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import oras.utils
from oras.auth.base import AuthBackend

from app.errors import ConfigurationError
from app.oci.reference import DOCKER_HUB, DOCKER_HUB_INDEX, DOCKER_HUB_REGISTRY
from app.registry.auth.accounts import Credential, decode_auth
from app.registry.responses import printable

MAX_CONFIG_BYTES = 1 << 20
HELPER_TIMEOUT = 30.0
#: Answers of helpers are asked for again after this many seconds.
HELPER_LIFETIME = 300.0
_HELPER_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")


class _OrasStore(AuthBackend):  # type: ignore[misc]
    """oras' look-up in a docker configuration that we have read, with helpers bounded."""

    hostname = ""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self._basic_auth: str | None = None
        self._auth_config = config

    def find(self, host: str) -> str | None:
        """Return base64 of ``username:secret`` for a host."""
        for name in oras.utils.iter_localhosts(host):
            if self._load_auth(name):
                return self._basic_auth
        return None

    def _get_auth_from_creds_store(self, suffix: str, hostname: str) -> str | None:
        if not _HELPER_NAME.match(suffix):
            raise ConfigurationError(f"credential helper has an impossible name: {suffix[:80]!r}")
        name = f"docker-credential-{suffix}"
        try:
            answer = subprocess.run(
                [name, "get"],
                input=hostname.encode(),
                capture_output=True,
                timeout=HELPER_TIMEOUT,
                check=False,
            )
            if answer.returncode:
                if b"credentials not found" in answer.stdout + answer.stderr:
                    return None
                reason = printable(answer.stderr.decode("utf-8", "replace"))
                raise ConfigurationError(f"{name} failed for {hostname}: {reason}")
            payload = json.loads(answer.stdout)
            pair = f"{payload['Username']}:{payload['Secret']}"
        except FileNotFoundError:
            raise ConfigurationError(f"{name} is configured but not installed") from None
        except subprocess.TimeoutExpired:
            raise ConfigurationError(f"{name} did not answer in {HELPER_TIMEOUT:.0f} s") from None
        except (ValueError, KeyError, TypeError):
            raise ConfigurationError(f"{name} answered something that is no credential") from None
        return base64.b64encode(pair.encode()).decode()


class DockerConfig:
    """A docker ``config.json``, or a mounted ``.dockerconfigjson``; read again when it changes."""

    def __init__(
        self, path: Path, host: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path, self._host, self._clock = path, host, clock
        self._guard = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._known: Credential | None = None
        self._until = 0.0

    def credential(self) -> Credential | None:
        """Look the host up; None when the configuration does not mention it."""
        with self._guard:
            stamp = self._changed()
            if stamp != self._stamp or self._clock() >= self._until:
                self._known = self._look_up()
                self._stamp, self._until = stamp, self._clock() + HELPER_LIFETIME
            return self._known

    def forget(self) -> None:
        """Ask the file and its helpers again next time."""
        with self._guard:
            self._until = 0.0

    def _changed(self) -> tuple[int, int, int]:
        try:
            status = self._path.stat()
        except OSError as error:
            raise ConfigurationError(f"docker configuration {self._path}: {error}") from None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def _look_up(self) -> Credential | None:
        config = _read_config(self._path)
        entry: dict[str, Any] = {}
        for name in (self._host, *_aliases(self._host)):
            entry = config["auths"].get(name) or {}
            if entry.get("identitytoken"):
                return Credential(identity_token=str(entry["identitytoken"]))
            if entry.get("username") and entry.get("password") and not entry.get("auth"):
                return Credential(str(entry["username"]), str(entry["password"]))
            found = _OrasStore(config).find(name)
            if found:
                return decode_auth(found, f"docker configuration {self._path}")
        return None


def _aliases(host: str) -> tuple[str, ...]:
    """Return other keys that clients have stored a host under."""
    if host in (DOCKER_HUB, DOCKER_HUB_INDEX, DOCKER_HUB_REGISTRY):
        return (f"https://{DOCKER_HUB_INDEX}/v1/", DOCKER_HUB_INDEX, DOCKER_HUB)
    return (f"https://{host}", f"http://{host}", f"https://{host}/v2/", f"https://{host}/v1/")


def _read_config(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
        value = json.loads(data) if len(data) <= MAX_CONFIG_BYTES else None
    except (OSError, ValueError, RecursionError) as error:
        # The text of the error would quote the file, which holds secrets.
        kind = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise ConfigurationError(f"docker configuration {path}: {kind}") from None
    if not isinstance(value, dict):
        raise ConfigurationError(f"docker configuration {path} is not a JSON object")
    auths, helpers = value.get("auths") or {}, value.get("credHelpers") or {}
    if not isinstance(auths, dict) or not isinstance(helpers, dict):
        raise ConfigurationError(f"docker configuration {path}: auths must be an object")
    entries = {name: entry for name, entry in auths.items() if isinstance(entry, dict)}
    return {"auths": entries, "credHelpers": helpers, "credsStore": value.get("credsStore")}


def default_docker_config() -> Path:
    """Return where docker keeps its configuration (``DOCKER_CONFIG``, else ``~/.docker``)."""
    directory = os.environ.get("DOCKER_CONFIG")
    if directory:
        return Path(directory) / "config.json"
    return Path(oras.utils.find_docker_config(exists=False))
