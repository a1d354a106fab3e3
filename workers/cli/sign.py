"""``verilayer sign``: signing where the key is on another machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.catalog.profiles import DEFAULT_PROFILE, PROFILES
from workers.cli.exits import reported

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.catalog.profiles import ProfileName
    from app.config.model import Defaults
    from app.facts import LayerFacts
    from app.oci.descriptor import Descriptor
    from app.oci.digest import Digest
    from workers.cli.opening import Place
    from workers.layers.built import BuiltLayer
    from workers.signing.audit import AuditLog
    from workers.signing.certificates import CertificateChain
    from workers.signing.offline import (
        ImportedSignature,
        Prepared,
        PreparedImage,
        PreparedLayer,
    )

_config = click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    envvar="VERILAYER_CONFIG_FILE",
    help="Configuration file: registries, build options.",
)
_plain_http = click.option(
    "--plain-http", is_flag=True, help="Speak HTTP to a registry not configured."
)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def command() -> None:
    """Sign offline: export root hashes, sign them anywhere, import the signatures.

    \b
    Example:
      verilayer sign prepare registry.example/app:1 --out work
      for f in work/*.roothash; do
        openssl smime -sign -noattr -binary -outform der -in $f \\
          -inkey key.pem -signer cert.pem -out ${f%.roothash}.p7s
      done
      verilayer sign push work
    """


@command.command()
@click.argument("reference")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to fill."
)
@_config
@_plain_http
@_json
@reported
def prepare(
    reference: str, out: Path, config: Path | None, plain_http: bool, as_json: bool
) -> None:
    """Build every layer below REFERENCE and write what is to be signed to --out."""
    from workers.cli.opening import configuration, open_place

    known = configuration(config)
    place = open_place(reference, known, plain_http=plain_http)
    out.mkdir(parents=True, exist_ok=True)
    try:
        prepared = _prepare(reference, place, known.build, out)
    finally:
        place.close()
    prepared.write(out)
    if as_json:
        click.echo(prepared.model_dump_json(by_alias=True))
        return
    for layer in prepared.layers.values():
        click.echo(f"{layer.root_hash}  {layer.path(out, 'roothash')}")


def _prepare(reference: str, place: Place, build: Any, out: Path) -> Prepared:
    from app.oci.images import Found, walk
    from workers.cli.scratch import command_spool
    from workers.images.plan import plan_of
    from workers.layers.remote import build_remote_layer, layer_options
    from workers.signing.evidence import evidence_of
    from workers.signing.offline import Prepared, PreparedImage, PreparedLayer
    from workers.signing.seals import EvidenceSeals

    repository = place.repository
    spool = command_spool(out / "spool")
    images: list[PreparedImage] = []
    layers: dict[Digest, PreparedLayer] = {}
    facts: dict[Digest, LayerFacts] = {}
    seals = EvidenceSeals.of_this_process()
    root = repository.fetch_manifest(place.target)
    for found in walk(root, repository.fetch_manifest):
        if not isinstance(found, Found):
            continue
        plan = plan_of(repository, found.manifest)
        for planned in plan.layers:
            layer = planned.descriptor
            if (known := facts.get(layer.digest)) is not None:
                evidence_of(known, planned, build, seals)
                continue
            with build_remote_layer(
                repository,
                layer,
                planned.diff_id,
                layer_options(build, layer),
                spool,
            ) as built:
                read = facts[layer.digest] = seals.sealed(built.facts)
                evidence = evidence_of(read, planned, build, seals)
                prepared = layers[layer.digest] = PreparedLayer.of(layer, evidence)
                _write_content(prepared, built, out)
        digests = tuple(planned.descriptor.digest for planned in plan.layers)
        images.append(
            PreparedImage(subject=plan.subject, platform=str(plan.platform), layers=digests)
        )
    return Prepared(reference=reference, images=tuple(images), layers=layers)


def _write_content(prepared: PreparedLayer, built: BuiltLayer, out: Path) -> None:
    prepared.path(out, "index").write_bytes(built.device_table.index)
    with prepared.path(out, "tree").open("wb") as tree:
        built.device_table.tree.write(tree)


@command.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--profile", "profiles", multiple=True, type=click.Choice(PROFILES),
              help=f"Bundle format. Repeatable. [default: {DEFAULT_PROFILE}]")  # fmt: skip
@click.option("--certificate", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="PEM chain of the signer, where the signatures do not carry it.")  # fmt: skip
@click.option("--embed/--no-embed", default=True, help="Put --certificate into raw signatures.")
@click.option("--force", is_flag=True, help="Replace another bundle that is attached already.")
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="VERILAYER_STATE_DIR",
    default=".state",
    show_default=True,
    help="Folder of the audit log.",
)
@_config
@_plain_http
@_json
@reported
def push(folder: Path, as_json: bool, **options: Any) -> None:
    """Check the signatures in FOLDER and attach bundles to the images it was prepared from.

    Every signature must be there and acceptable to a kernel before anything is
    published. Exit status 1: a signature is missing or wrong; 3: content changed.
    """
    published = _push(folder, options)
    if as_json:
        click.echo(json.dumps(published, indent=2))
        return
    for each in published:
        click.echo(f"{each['image']}: {each['profile']} {each['digest']} {each['action']}")


def _push(folder: Path, options: dict[str, Any]) -> list[dict[str, str]]:
    from contextlib import closing

    from workers.artifacts.combinations import check_combination
    from workers.cli.opening import configuration, open_place
    from workers.signing.audit import AuditLog
    from workers.signing.offline import Prepared, content_of, import_signature

    config = configuration(options["config"])
    prepared = Prepared.read(folder)
    profiles: tuple[ProfileName, ...] = options["profiles"] or (DEFAULT_PROFILE,)
    chain = _chain(options["certificate"])
    imported = {}
    for digest, layer in prepared.layers.items():
        check_combination(profiles, padding=layer.padding, signed=True)
        imported[digest] = import_signature(layer, folder, chain, embed=options["embed"])
        _check_content(layer, *content_of(layer, folder))
    place = open_place(
        prepared.reference,
        config,
        plain_http=options["plain_http"],
        locks=options["state"] / "locks",
    )
    with closing(place):
        return [
            line
            for image in prepared.images
            for line in _push_image(
                place,
                image,
                [(prepared.layers[digest], imported[digest]) for digest in image.layers],
                folder,
                profiles,
                AuditLog(options["state"] / "audit.jsonl"),
                config.defaults,
                force=options["force"],
            )
        ]


def _push_image(
    place: Place,
    image: PreparedImage,
    layers: Sequence[tuple[PreparedLayer, ImportedSignature]],
    folder: Path,
    profiles: Sequence[ProfileName],
    audit: AuditLog,
    defaults: Defaults,
    *,
    force: bool,
) -> list[dict[str, str]]:
    from app.registry.transfer.sources import FileSource
    from workers.artifacts.compose import compose_all
    from workers.images.publication import Placement, publish

    repository = place.repository
    repository.resolve(image.subject.digest)
    signed = []
    for layer, signature in layers:
        for digest, size, kind in (
            (layer.index, layer.index_size, "index"),
            (layer.tree, layer.tree_size, "tree"),
        ):
            source = FileSource(layer.path(folder, kind))
            repository.push_blob(_blob(digest, size), source)
        audit.append(_entry(place, image, layer, signature))
        signed.append(layer.signed(signature.der))
    published = publish(
        repository,
        compose_all(profiles, image.subject, signed),
        placement=Placement.from_defaults(defaults),
        force=force,
    )
    return [
        {
            "image": str(image.subject.digest),
            "profile": each.profile,
            "digest": str(each.digest),
            "action": each.action,
        }
        for each in published
    ]


def _check_content(layer: PreparedLayer, index: Path, tree: Path) -> None:
    """Hold index, tree and root hash against each other: the document may have been edited."""
    from app.errors import VerificationFailed
    from workers.verification.content import excerpt, index_problems, tree_problems

    data, digest = index.read_bytes(), layer.layer.digest
    with tree.open("rb") as file:
        found = excerpt(iter(lambda: file.read(1 << 20), b""), len(data))
    problems = [
        *index_problems(data, digest),
        *tree_problems(found, data, digest, layer.root_hash, layer.padding),
    ]
    if problems:
        raise VerificationFailed(f"layer {digest}: {problems[0][0]}: {problems[0][1]}")


def _chain(certificate: Path | None) -> CertificateChain | None:
    from workers.signing.certificates import CertificateChain

    if certificate is None:
        return None
    return CertificateChain.from_pem(certificate.read_bytes(), str(certificate))


def _blob(digest: Digest, size: int) -> Descriptor:
    from app.oci.descriptor import Descriptor
    from app.oci.mediatypes import OCTET_STREAM

    return Descriptor(media_type=OCTET_STREAM, digest=digest, size=size)


def _entry(
    place: Place, image: PreparedImage, layer: PreparedLayer, signature: ImportedSignature
) -> dict[str, object]:
    import getpass

    from app.oci.digest import Digest
    from workers.signing.certificates import CertificateChain

    return {
        "event": "imported",
        "certificate": CertificateChain(signature.signer).fingerprint,
        "subject": signature.signer.subject.rfc4514_string(),
        "root_hash": layer.root_hash,
        "layer": layer.layer.digest,
        "diff_id": layer.diff_id,
        "image": image.subject.digest,
        "registry": place.repository.registry.host,
        "repository": place.repository.name,
        "actor": getpass.getuser(),
        "reason": "sign push",
        "signature": Digest.of(signature.der),
    }
