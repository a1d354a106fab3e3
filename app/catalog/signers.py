"""Where a signing key can be kept: one row a kind.

A new kind is a row here and a module of ``workers.signing.keys`` that it names. The table of
docs/keys.md is written from this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

#: A key of ``SIGNERS``; what configuration accepts is ``app.config.choice.SignerChoice``.
SignerName: TypeAlias = str


@dataclass(frozen=True, slots=True)
class SignerKind:
    """One kind of place that keeps private keys."""

    name: SignerName
    #: Module of ``workers.signing.keys`` whose ``open_key`` opens one.
    module: str
    #: What ``key`` of the configuration names, in Markdown; "" where it is not needed.
    key: str = ""
    #: Which other fields and options it reads, in Markdown.
    also: str = ""
    #: The configuration must name the certificate's file.
    certificate: bool = True
    #: Optional dependencies it needs, as in ``pip install 'verilayer[EXTRA]'``.
    extra: str | None = None
    #: The key is made by whoever opens it first: nobody else has a reason to trust it.
    ephemeral: bool = False


SIGNERS: Final[Mapping[SignerName, SignerKind]] = {
    row.name: row
    for row in (
        SignerKind("pem", "pem", key="key file", also="`passphrase`"),
        SignerKind(
            "pkcs11", "pkcs11", key="RFC 7512 URI: `pkcs11:token=signing;object=key-1`",
            also="`passphrase` (the PIN), option `module`", extra="pkcs11",
        ),
        SignerKind(
            "aws-kms", "aws_kms", key="key id or ARN", also="options `region`, `endpoint`",
            extra="aws-kms",
        ),
        SignerKind("azure-kms", "azure_kms", key="key identifier (URL)", extra="azure-kms"),
        SignerKind("gcp-kms", "gcp_kms", key="key version's resource name", extra="gcp-kms"),
        SignerKind(
            "vault", "vault", key="name of a transit key",
            also="`passphrase` (the token), options `address`, `mount`, `namespace`, `ca_file`, "
            "`key_version`", extra="vault",
        ),
        SignerKind(
            "command", "command",
            also="`command`: reads the root hash on standard input, prints the raw signature; "
            "option `timeout`",
        ),
        SignerKind(
            "ephemeral", "ephemeral", also="made on first use in the state folder",
            certificate=False, ephemeral=True,
        ),
    )
}  # fmt: skip
