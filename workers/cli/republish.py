"""``verilayer republish``: move bundles from one profile to another without building."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.catalog.profiles import PROFILES
from workers.cli.exits import reported

if TYPE_CHECKING:
    from app.catalog.profiles import ProfileName
    from app.oci.manifest import RawManifest
    from workers.cli.opening import Place
    from workers.images.publication import Placement
    from workers.verification.trust import Trust


@click.command()
@click.argument("reference")
@click.option("--from", "source", type=click.Choice(PROFILES), required=True, help="Old profile.")
@click.option("--to", "target", type=click.Choice(PROFILES), required=True, help="New profile.")
@click.option(
    "--ca",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="PEM certificates that the signatures must lead to. Repeatable.",
)
@click.option("--keep-old", is_flag=True, help="Leave the old bundle attached.")
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    envvar="VERILAYER_CONFIG_FILE",
    help="Configuration file: registries, order of replacing.",
)
@click.option("--plain-http", is_flag=True, help="Speak HTTP to a registry not configured.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object an image.")
@reported
def command(reference: str, as_json: bool, **options: Any) -> None:
    """Publish the bundles of every image below REFERENCE under another profile.

    Content and signatures are reused, so no key is needed. The old bundle is
    verified first; it is removed once the new one is verified too.

    Exit status 3: a bundle did not verify; nothing was removed.
    """
    for line in _republish(reference, options):
        click.echo(json.dumps(line) if as_json else _text(line))


def _text(line: dict[str, str]) -> str:
    removed = f", {line['removed']} removed" if line["removed"] else ""
    return f"{line['image']}: {line['published']}{removed}"


def _republish(reference: str, options: dict[str, Any]) -> list[dict[str, str]]:
    from contextlib import closing

    from app.oci.images import Found, walk
    from workers.cli.opening import configuration, open_place
    from workers.images.publication import Placement
    from workers.verification.trust import Trust

    config = configuration(options["config"])
    place = open_place(reference, config, plain_http=options["plain_http"])
    repository = place.repository
    trust = Trust.from_files(options["ca"])
    placement = Placement.from_defaults(config.defaults)
    with closing(place):
        root = repository.fetch_manifest(place.target)
        images = [
            found.manifest
            for found in walk(root, repository.fetch_manifest)
            if isinstance(found, Found)
        ]
        return [_move(place, image, options, trust, placement) for image in images]


def _move(
    place: Place, image: RawManifest, options: dict[str, Any], trust: Trust, placement: Placement
) -> dict[str, str]:
    from workers.images.plan import plan_of
    from workers.images.republish import find_source, remove, republish

    repository = place.repository
    old = find_source(repository, image.digest, options["source"])
    _insist(place, image, options["source"], trust)
    plan = plan_of(repository, image)
    published = republish(repository, plan, old, options["target"], placement)
    removed = [each for one in published for each in one.removed]
    if not options["keep_old"] and old.manifest.digest not in removed:
        _insist(place, image, options["target"], trust)
        removed.append(remove(repository, plan, old))
    return {
        "image": image.digest,
        "published": ", ".join(each.digest for each in published),
        "removed": ", ".join(removed),
    }


def _insist(place: Place, image: RawManifest, profile: ProfileName, trust: Trust) -> None:
    """Refuse to go on unless the image's bundles of ``profile`` verify."""
    from app.errors import VerificationFailed
    from workers.verification.verify import Options, verify_reference

    report = verify_reference(place.repository, image.digest, Options(trust, expected=(profile,)))
    for one, bundle, finding in report.failures():
        if bundle is None or bundle.profile == profile:
            raise VerificationFailed(
                f"{one.digest}: {finding.check}: {finding.message}",
                advice="nothing was removed; verilayer verify says more",
            )
