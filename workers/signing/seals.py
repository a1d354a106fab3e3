"""Seals of what workers read: a record of a layer that no worker wrote is not signed.

Facts of a layer wait in Redis between the worker that read it and the one that signs. Whoever can
write to Redis could exchange them, so each record carries an HMAC (RFC 2104, SHA-256) with a key
that only workers have.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from app.errors import ConfigurationError
from app.facts import LayerFacts

#: Characters of a line in a key file, at least: 128 bits, were it hexadecimal.
_SHORTEST = 32
#: Binds a seal to this use of the key and to the fields that it covers.
_CONTEXT = b"verilayer layer facts 1\n"


class EvidenceSeals:
    """Seals with the first key; takes what any of the keys sealed, so that keys can be changed."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """``keys`` are secrets of at least 32 bytes, the one to seal with first."""
        self._keys = tuple(keys)

    @classmethod
    def of_this_process(cls) -> EvidenceSeals:
        """Return seals that nobody else can make or check, for a build that is signed here."""
        return cls([secrets.token_bytes(32)])

    @classmethod
    def from_file(cls, path: Path) -> EvidenceSeals:
        """Read a key file: a key a line, of 32 characters or more; ``#`` begins a comment.

        Raises ``ConfigurationError``.
        """
        try:
            lines = [line.strip() for line in path.read_text("ascii").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"the evidence key cannot be read from {path}: {error}",
                advice="make one with: openssl rand -hex 32",
            ) from None
        keys = [line.encode() for line in lines if line and not line.startswith("#")]
        if not keys or min(map(len, keys)) < _SHORTEST:
            raise ConfigurationError(
                f"{path} must hold a key of at least {_SHORTEST} characters on each line",
                advice="make one with: openssl rand -hex 32",
            )
        return cls(keys)

    def sealed(self, facts: LayerFacts) -> LayerFacts:
        """Return the facts with a seal. For what this process read itself, and nothing else."""
        return replace(facts, seal=_seal(self._keys[0], facts))

    def hold(self, facts: LayerFacts) -> bool:
        """Whether a worker with one of the keys sealed exactly these facts."""
        return any(hmac.compare_digest(_seal(key, facts), facts.seal) for key in self._keys)


def open_seals(given: Path | None, state_dir: Path) -> EvidenceSeals:
    """Read the key file that is configured, else that of the state folder, made when missing.

    Raises ``ConfigurationError``.
    """
    if given is not None:
        return EvidenceSeals.from_file(given)
    path = state_dir / "evidence.key"
    if not path.exists():
        _make(path)
    return EvidenceSeals.from_file(path)


def _make(path: Path) -> None:
    """Write a new key, whole or not at all: several workers may start at once."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".evidence-", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # Another worker was first: its key is the key.
            os.link(name, path)
    finally:
        os.unlink(name)


def _seal(key: bytes, facts: LayerFacts) -> str:
    fields = asdict(facts)
    del fields["seal"]
    text = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    return hmac.new(key, _CONTEXT + text, hashlib.sha256).hexdigest()
