"""Signing without a key here: root hashes go out as files, signatures come back as files.

The folder holds, for each layer, ``<hex>.roothash`` (what to sign), ``<hex>.index`` and
``<hex>.tree``, and ``prepared.json`` with everything a bundle needs. What comes back is
``<hex>.p7s`` (detached PKCS#7, DER) or ``<hex>.sig`` (a raw signature). Whatever is read back is
checked again: the folder may have travelled.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import ConfigurationError, SigningRefused, VerificationFailed
from app.facts import LayerFacts
from app.oci.descriptor import Descriptor
from app.oci.digest import SHA256_HEX, DiffID, Digest
from workers.artifacts.signed import SignedLayer
from workers.formats.errors import FormatError
from workers.formats.pkcs7.acceptance import kernel_findings, key_findings, signed_by
from workers.formats.pkcs7.decode import MAX_SIGNATURE_BYTES, parse
from workers.signing.certificates import CertificateChain, unfit_reasons, utc_now
from workers.signing.evidence import LayerEvidence
from workers.signing.signer import wrap

DOCUMENT = "prepared.json"


class PreparedLayer(BaseModel):
    """One layer that waits for a signature; names of files derive from its digest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layer: Descriptor
    diff_id: DiffID
    index: Digest
    index_size: int = Field(gt=0)
    tree: Digest
    tree_size: int = Field(gt=0)
    root_hash: str = Field(pattern=SHA256_HEX)
    uuid: str
    builder_version: str
    padding: int
    data_size: int
    hash_offset: int
    entries: int

    def path(self, folder: Path, suffix: str) -> Path:
        """Return the file of this layer with a suffix such as ``roothash``."""
        return folder / f"{self.layer.digest.hex}.{suffix}"

    @classmethod
    def of(cls, layer: Descriptor, evidence: LayerEvidence) -> PreparedLayer:
        """Write down what was built of a layer and proved to be what its image claims."""
        facts = evidence.facts
        return cls(
            layer=layer,
            diff_id=facts.diff_id,
            index=facts.index_digest,
            index_size=facts.index_size,
            tree=facts.tree_digest,
            tree_size=facts.tree_size,
            root_hash=facts.root_hash,
            uuid=facts.uuid,
            builder_version=facts.builder_version,
            padding=facts.padding,
            data_size=facts.data_size,
            hash_offset=facts.hash_offset,
            entries=facts.entries,
        )

    def signed(self, signature: bytes) -> SignedLayer:
        """Bring facts and signature together."""
        facts = LayerFacts(
            layer_digest=self.layer.digest,
            layer_size=self.layer.size,
            diff_id=self.diff_id,
            tar_size=self.data_size - self.index_size,
            builder_version=self.builder_version,
            padding=self.padding,
            uuid=self.uuid,
            index_digest=self.index,
            index_size=self.index_size,
            tree_digest=self.tree,
            tree_size=self.tree_size,
            root_hash=self.root_hash,
            data_size=self.data_size,
            hash_offset=self.hash_offset,
            entries=self.entries,
            warnings=(),
            warned=(),
        )
        return SignedLayer(self.layer, facts, signature)


class PreparedImage(BaseModel):
    """One platform manifest with its layers, lowest first, each once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: Descriptor
    platform: str
    layers: tuple[Digest, ...]


class Prepared(BaseModel):
    """``prepared.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(default=1, ge=1, le=1)
    reference: str
    images: tuple[PreparedImage, ...]
    layers: dict[Digest, PreparedLayer]

    def write(self, folder: Path) -> None:
        """Write the document; the layers' files are there already."""
        for layer in self.layers.values():
            # Without a newline: these 64 characters are the message.
            layer.path(folder, "roothash").write_text(layer.root_hash)
        (folder / DOCUMENT).write_text(self.model_dump_json(indent=2, by_alias=True))

    @classmethod
    def read(cls, folder: Path) -> Prepared:
        """Read it back; raises ``ConfigurationError``."""
        try:
            return cls.model_validate_json((folder / DOCUMENT).read_bytes())
        except (OSError, ValidationError) as error:
            raise ConfigurationError(f"cannot read {folder / DOCUMENT}: {error}") from None


@dataclass(frozen=True, slots=True)
class ImportedSignature:
    """A signature that passed every check, and whose it is."""

    der: bytes
    signer: x509.Certificate


def import_signature(
    layer: PreparedLayer, folder: Path, chain: CertificateChain | None, *, embed: bool
) -> ImportedSignature:
    """Read a layer's signature back and check it.

    Raises ``SigningRefused`` when it is missing, not acceptable to a kernel, not over this root
    hash, or its certificate is unfit. ``chain`` names the signer where the message does not.
    """
    signature = _read(layer, folder, chain, embed=embed)
    problems = [finding.message for finding in kernel_findings(signature)]
    signer = None
    if not problems:
        signer, problems = _signer(signature, layer.root_hash, chain)
    if problems or signer is None:
        raise SigningRefused(f"layer {layer.layer.digest}: {'; '.join(problems)}")
    return ImportedSignature(signature, signer)


def _read(
    layer: PreparedLayer, folder: Path, chain: CertificateChain | None, *, embed: bool
) -> bytes:
    for suffix in ("p7s", "sig"):
        path = layer.path(folder, suffix)
        if not path.exists():
            continue
        if path.stat().st_size > MAX_SIGNATURE_BYTES:
            raise SigningRefused(f"{path} is too large for a signature")
        data = path.read_bytes()
        if suffix == "p7s":
            return data
        if chain is None:
            raise SigningRefused(
                f"{path} is a raw signature", advice="name its certificate with --certificate"
            )
        return wrap(data, chain, embed=embed)
    raise SigningRefused(
        f"layer {layer.layer.digest} is not signed: neither {layer.layer.digest.hex}.p7s nor .sig"
    )


def _signer(
    signature: bytes, root_hash: str, chain: CertificateChain | None
) -> tuple[x509.Certificate | None, list[str]]:
    """Find the certificate that signed, and every reason against it."""
    try:
        message = parse(signature)
        carried = [x509.load_der_x509_certificate(each) for each in message.certificates]
    except (FormatError, ValueError, x509.InvalidVersion) as error:
        return None, [str(error)]
    for certificate in [*carried, *([chain.leaf] if chain else [])]:
        if signed_by(message, root_hash, certificate) is not None:
            reasons = list(unfit_reasons(certificate, utc_now()))
            reasons += [finding.message for finding in key_findings(certificate.public_key())]
            return certificate, reasons
    if not carried and chain is None:
        return None, ["it carries no certificate; name the signer's with --certificate"]
    return None, ["it does not verify over the root hash"]


def content_of(layer: PreparedLayer, folder: Path) -> tuple[Path, Path]:
    """Files of index and tree, checked against the digests; raises ``VerificationFailed``."""
    paths = layer.path(folder, "index"), layer.path(folder, "tree")
    for path, digest in zip(paths, (layer.index, layer.tree), strict=True):
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise VerificationFailed(f"cannot read {path}: {error}") from None
        if found != digest.hex:
            raise VerificationFailed(f"{path} has digest sha256:{found}, not {digest}")
    return paths
