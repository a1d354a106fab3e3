"""Signatures over a root hash as OpenSSL makes them: good ones and each kind that is refused."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.support.certificates import Identity

#: The root hash's text must be signed exactly; these change it.
_CONTENT: dict[str, Callable[[str], bytes]] = {
    "newline": lambda root: root.encode() + b"\n",
    "raw": bytes.fromhex,
    "upper": lambda root: root.upper().encode(),
}


class CmsMaker:
    """Runs ``openssl cms -sign`` with keys written into a folder."""

    def __init__(self, folder: Path) -> None:
        """Keys and inputs are written to ``folder``."""
        self._folder = folder

    def sign(
        self,
        root_hash: str,
        *signers: Identity,
        options: tuple[str, ...] = ("-noattr", "-nocerts"),
        content: str | None = None,
        form: str = "DER",
        detached: bool = True,
    ) -> bytes:
        """One message by all ``signers``; options are OpenSSL's."""
        source = self._folder / "content"
        source.write_bytes(_CONTENT[content](root_hash) if content else root_hash.encode())
        command = ["openssl", "cms", "-sign", "-binary", "-in", str(source), "-outform", form]
        for number, each in enumerate(signers):
            key, certificate = each.write(self._folder, name=f"cms-{number}")
            command += ["-signer", str(certificate), "-inkey", str(key)]
        if not any(option == "-md" for option in options):
            command += ["-md", "sha256"]
        command += [*options, *([] if detached else ["-nodetach"])]
        return subprocess.run(command, check=True, capture_output=True).stdout
