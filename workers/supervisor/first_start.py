"""Makes what a first start lacks: state folder, webhook secret, admin token, configuration file."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from app.config.model import ServiceConfig
from app.errors import ConfigurationError
from app.filelocks import StillHeld, held

SECRET_HEADER = "X-Verilayer-Secret"  # noqa: S105 - the header's name, not its value

_CONFIGURATION = """\
# Written by the first `verilayer up`. Reference: docs/configuration.md
version: 1

registries:
  - id: local
    url: {registry_url}
    # A registry on this machine; leave this out for one elsewhere.
    allow_private_addresses: true
    webhook:
      dialect: distribution
      auth: header
      header: {header}
      secrets:
        - file: {secret_file}

# The first rule that matches a push decides.
rules:
  - name: everything
    registry: local
    repositories: ["*"]

# Who may use the admin API and the console. The token is in
# {token_file}
admin:
  tokens:
    - name: first-start
      role: admin
      sha256: {token_sha256}

# An ephemeral key proves nothing to anybody: it is made on this machine, for trying things out.
# For real use see docs/keys.md.
signers:
  - name: ephemeral
    kind: ephemeral

defaults:
  profiles: [containerd-erofs]
  signer: ephemeral
"""


@contextmanager
def exclusive(state: Path) -> Iterator[None]:
    """Make the state folder and hold it: one service at a time.

    Raises ``ConfigurationError`` when another process holds it or it cannot be made.
    """
    with ExitStack() as stack:
        try:
            state.mkdir(mode=0o700, parents=True, exist_ok=True)
            stack.enter_context(held(state / "up.lock", wait=0))
        except StillHeld as error:
            raise ConfigurationError(
                f"another verilayer up uses {state}",
                advice="stop it, or give another --state folder",
            ) from error
        except OSError as error:
            raise ConfigurationError(f"cannot use the state folder {state}: {error}") from error
        yield


def webhook_secret(state: Path) -> Path:
    """Return the file of the webhook secret, made on first use, readable by its owner only."""
    return _secret(state, "webhook-secret")


def admin_token(state: Path) -> Path:
    """Return the file of the first admin token, made on first use, readable by its owner only."""
    return _secret(state, "admin-token")


def _secret(state: Path, name: str) -> Path:
    file = state / name
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists():
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as out:
            out.write(secrets.token_urlsafe(32))
    return file.resolve()


def configured_token(config: ServiceConfig, state: Path) -> Path | None:
    """Return the file of the first admin token while the configuration still accepts it."""
    file = state / "admin-token"
    if not file.exists():
        return None
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return file.resolve() if digest in {one.sha256 for one in config.admin.tokens} else None


def write_configuration(file: Path, state: Path, registry_url: str) -> bool:
    """Write a first configuration file unless there is one; tells whether it wrote.

    Raises ``ConfigurationError`` where it cannot be written.
    """
    secret_file = webhook_secret(state)
    if file.exists():
        return False
    token_file = admin_token(state)
    text = _CONFIGURATION.format(
        registry_url=registry_url,
        header=SECRET_HEADER,
        secret_file=secret_file,
        token_file=token_file,
        token_sha256=hashlib.sha256(token_file.read_bytes()).hexdigest(),
    )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x") as out:
            out.write(text)
    except OSError as error:
        raise ConfigurationError(f"cannot write {file}: {error}") from error
    return True
