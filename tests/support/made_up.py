"""A process that adds a made-up row to a table of ``app.catalog``, then uses it as anybody would.

``python -m tests.support.made_up KIND FOLDER`` prints, as JSON, what offered the row. Nothing but
the catalog may be imported before the row is there, so that nothing can have been told of it.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import runpy
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    import click

ROOT = Path(__file__).parents[2]
NAME = "made-up"
RELEASE = "9.9"
SECRET = "made up, too"

#: The generators of pages that print what they make.
GENERATORS = {
    "cli.md": ("render-cli-reference",),
    "profiles.md": ("render-profiles-reference",),
    "configuration.md": ("render-configuration",),
    "verilayer.schema.json": ("render-configuration", "--schema"),
    "tables": ("render-catalog-tables", "--print"),
}

Row = TypeVar("Row")


def add(table: Mapping[str, Row], name: str, row: Row) -> list[str]:
    """Add a row; returns the names that were there before."""
    before = list(table)
    cast(dict[str, Row], table)[name] = row
    return before


def add_module(package: str, folder: Path, text: str) -> None:
    """Add the module ``made_up`` to a package, as a file in its folder would."""
    (folder / "made_up.py").write_text(text)
    importlib.import_module(package).__path__.append(str(folder))


def run(*arguments: str | Path) -> str:
    """Run a command that must succeed, and return what it printed."""
    from click.testing import CliRunner

    from workers.cli.commands import main

    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == 0, (arguments, done.output, done.exception)
    return done.stdout


def offered(name: str, before: Collection[str], configuration: str) -> dict[str, list[str]]:
    """Where the name is offered. Raises where its table's other names are, and it is not."""
    from app.config.schema import json_schema
    from app.main import create_app
    from app.settings import Settings

    file = Path("verilayer.yaml")
    file.write_text(configuration)
    api = create_app(Settings(config_file=file, state_dir=Path("state"))).openapi()
    return {
        "commands": sorted(_commands(name, before)),
        "configuration": sorted(_enums(json_schema(), name, before)),
        "api": sorted(_enums(api, name, before)),
        "pages": [page for page, script in GENERATORS.items() if name in _printed(*script)],
    }


def _commands(name: str, before: Collection[str]) -> Iterator[str]:
    import click

    from workers.cli.commands import main

    for path, command in tree("", main):
        shown = command.get_help(click.Context(command, terminal_width=500))
        for parameter in command.params:
            choices = getattr(parameter.type, "choices", ())
            if lists(choices, [*before, name]):
                assert name in choices, (path, parameter.name)
                assert f"|{name}" in shown, (path, parameter.name)
                yield f"{path} {parameter.opts[0]}".strip()


def lists(names: Collection[str], table: Collection[str]) -> bool:
    """Whether these are several names of the table and nothing else: others share some of them."""
    return len(names) > 1 and set(names) <= set(table)


def tree(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """A command and all those below it, by path."""
    import click

    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from tree(f"{path} {name}".strip(), child)


def _enums(schema: Any, name: str, before: Collection[str]) -> Iterator[str]:
    for path, names in enums(schema):
        if lists(names, [*before, name]):
            assert name in names, path
            yield path


def enums(schema: Any, path: str = "") -> Iterator[tuple[str, list[str]]]:
    """Every ``enum`` of a JSON Schema, and where it stands."""
    if isinstance(schema, dict):
        if isinstance(schema.get("enum"), list):
            yield path.strip("/"), schema["enum"]
        for key, value in schema.items():
            yield from enums(value, f"{path}/{key}")
    elif isinstance(schema, list):
        for number, value in enumerate(schema):
            yield from enums(value, f"{path}/{number}")


def _printed(script: str, *arguments: str) -> str:
    out = io.StringIO()
    old = sys.argv
    sys.argv = [script, *arguments]
    try:
        with contextlib.redirect_stdout(out):
            runpy.run_path(str(ROOT / ".ci" / script))
    finally:
        sys.argv = old
    return out.getvalue()


def image(folder: Path) -> str:
    """Make an image in a new OCI layout, and return its reference."""
    from app.registry.layout.directory import LayoutRegistry
    from tests.support.published import push_image

    push_image(LayoutRegistry(folder, create=True), "layout", "1")
    return f"oci:{folder}:1"


def profile(folder: Path) -> dict[str, Any]:
    """A profile is composed, read, verified, used by nodes and moved to another one."""
    from app.catalog.profiles import PROFILES, ManifestShape, Part, Profile

    facts = {"made.up.layer": "{layer_digest}", "made.up.root-hash": "{root_hash}"}
    before = add(
        PROFILES,
        NAME,
        Profile(
            NAME,
            "nobody",
            (
                ManifestShape(
                    "application/vnd.made-up.v1",
                    (
                        Part("index", "application/vnd.made-up.index", facts),
                        Part("tree", "application/vnd.made-up.tree", facts),
                        Part("signature", "application/vnd.made-up.signature", facts),
                    ),
                ),
            ),
            single=True,
        ),
    )
    found = offered(NAME, before, "defaults: {profiles: [made-up], tag_suffixes: {made-up: x}}")
    from tests.support.certificates import identity

    key, certificate = identity().write(folder)
    reference = image(folder / "image")
    run(
        "convert", reference, "--profile", NAME, "--key", key, "--certificate", certificate,
        "--state", folder / "state",
    )  # fmt: skip
    verified = json.loads(
        run("verify", reference, "--deep", "--profile", NAME, "--ca", certificate, "--json")
    )
    (bundle,) = verified["images"][0]["bundles"]
    assert bundle["profile"] == NAME
    from workers.node.bundles import USABLE

    assert USABLE[-1] == NAME
    run("republish", reference, "--from", NAME, "--to", "notation", "--ca", certificate)
    return found


def release(folder: Path) -> dict[str, Any]:
    """A release is built as, recorded, built again by verification, and ordered."""
    from app.catalog.builders import BUILDERS, release_order

    newest = next(iter(BUILDERS.values()))
    # Differs in one bit of the superblock, so that a build shows which row it used.
    before = add(BUILDERS, RELEASE, replace(newest, name=RELEASE, extra_incompat=1))
    configuration = f'build: {{builder_version: "{RELEASE}"}}\ndefaults: {{profiles: [verilayer]}}'
    found = offered(RELEASE, before, configuration)
    from tests.support.sample_layer import make_tar

    tar = folder / "layer.tar"
    tar.write_bytes(make_tar(files=3, seed=1))
    ours, usual = (
        json.loads(run("layer", "build", tar, "--json", "--builder-version", version))
        for version in (RELEASE, newest.name)
    )
    assert ours["builder_version"] == RELEASE
    assert ours["root_hash"] != usual["root_hash"]
    reference = image(folder / "image")
    run(
        "convert", reference, "--config", "verilayer.yaml", "--platform", "*",
        "--state", folder / "state",
    )  # fmt: skip
    run("verify", reference, "--deep")
    run("verify", reference, "--deep", "--builder-version", RELEASE)
    assert release_order(newest.name) < release_order(RELEASE)
    return found


def signer(folder: Path) -> dict[str, Any]:
    """A kind of signer opens by its module, and signs what verification accepts."""
    from app.catalog.signers import SIGNERS, SignerKind

    before = add(SIGNERS, NAME, SignerKind(NAME, "made_up", key="anything", also="nothing"))
    add_module(
        "workers.signing.keys",
        folder,
        "from pathlib import Path\n\n"
        "from workers.signing.keys.pem import PemKey\n\n\n"
        "def open_key(settings):\n"
        "    return PemKey(Path(settings.key), settings.certificate)\n",
    )
    from tests.support.certificates import identity

    key, certificate = identity().write(folder)
    configuration = (
        f"signers: [{{name: one, kind: {NAME}, key: {key}, certificate: {certificate}}}]\n"
        "defaults: {signer: one}\n"
        "rules: [{name: all}]"
    )
    found = offered(NAME, before, configuration)
    reference = image(folder / "image")
    run("convert", reference, "--config", "verilayer.yaml", "--state", folder / "state")
    run("verify", reference, "--signed", "--ca", certificate)
    return found


def dialect(folder: Path) -> dict[str, Any]:
    """A dialect's endpoint opens with a proof by its own header, and its delivery is parsed."""
    from app.catalog.dialects import DIALECTS, Dialect

    row = Dialect(NAME, "nobody", "made_up", ("hmac",), "nowhere", signature_headers=("X-Made-Up",))
    before = add(DIALECTS, NAME, row)
    add_module(
        "app.webhooks.dialects",
        folder,
        "from app.jobs.push import PushEvent\n"
        "from app.webhooks.delivery import Parsed\n\n\n"
        "def parse(delivery):\n"
        "    return Parsed((PushEvent(repository=delivery.body.decode(), tag='1'),))\n",
    )
    configuration = (
        "registries:\n"
        "  - id: main\n"
        "    url: https://registry.example\n"
        f"    webhook: {{dialect: {NAME}, auth: hmac, secrets: [{{value: {SECRET!r}}}]}}\n"
        "rules: [{name: all}]"
    )
    found = offered(NAME, before, configuration)
    import hmac

    from app.config.file import load_config
    from app.errors import Unauthenticated
    from app.webhooks.delivery import Delivery
    from app.webhooks.endpoint import build_endpoints
    from app.webhooks.fetch import fetch
    from app.webhooks.proofs.kinds import Origin

    endpoint = build_endpoints(load_config(Path("verilayer.yaml")), fetch)["main"]
    body = b"team/app"
    signature = hmac.new(SECRET.encode(), body, "sha256").hexdigest()
    endpoint.proof.check(Delivery({"x-made-up": signature}, body), Origin())
    with contextlib.suppress(Unauthenticated):
        endpoint.proof.check(Delivery({"x-signature": signature}, body), Origin())
        raise AssertionError("a header that is not the dialect's was believed")
    event = folder / "event"
    event.write_bytes(body)
    (answer,) = map(
        json.loads,
        run(
            "rules", "test", event, "--registry", "main", "--config", "verilayer.yaml", "--json"
        ).splitlines(),
    )
    assert (answer["repository"], answer["rule"]) == ("team/app", "all")
    return found


KINDS: Mapping[str, Callable[[Path], dict[str, Any]]] = {
    each.__name__: each for each in (profile, release, signer, dialect)
}

if __name__ == "__main__":
    print(json.dumps(KINDS[sys.argv[1]](Path(sys.argv[2]))))
