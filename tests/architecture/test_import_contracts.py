"""The import contracts are kept, and they see what they are for.

The second part plants a violation in a copy of the sources and looks which contract breaks: a
contract that nothing breaks would be kept by any code.
"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.rooms import containers, contracts, exceptions
from tests.support.tools import ROOT

#: The composition roots: the only modules that may read process settings.
ROOTS = {
    "app/settings.py",
    "app/composition.py",
    "app/main.py",
    "workers/composition.py",
    "workers/celery.py",
    "workers/cli/up.py",
}


CONTAINERS = containers(contracts())


def lint(root: Path) -> tuple[list[str], str]:
    """Check the contracts of a tree; returns the broken ones and everything that was said."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    broken = [
        line.removesuffix(" BROKEN")
        for line in done.stdout.splitlines()
        if line.endswith(" BROKEN")
    ]
    assert done.returncode == (1 if broken else 0), done.stdout + done.stderr
    return broken, done.stdout


def test_import_contracts_are_kept() -> None:
    broken, said = lint(ROOT)
    assert broken == [], said
    assert " kept, 0 broken" in said


def test_no_contract_has_an_exception() -> None:
    assert exceptions(contracts()) == []


def test_both_packages_and_their_larger_rooms_have_floors() -> None:
    assert {"app", "workers", "app.registry", "app.webhooks", "workers.formats"} <= set(CONTAINERS)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the sources and their contracts."""
    shutil.copy(ROOT / ".importlinter", tmp_path)
    for package in ("app", "workers"):
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("*.so", "__pycache__")
        )
    return tmp_path


def test_a_copy_of_the_sources_keeps_the_contracts(tree: Path) -> None:
    assert lint(tree)[0] == []


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("path", ["made_up.py", "made_up/__init__.py"])
def test_a_module_or_package_on_no_floor_is_refused(tree: Path, container: str, path: str) -> None:
    file = tree.joinpath(*container.split("."), path)
    file.parent.mkdir(exist_ok=True)
    file.write_text('"""On no floor."""\n')
    broken, said = lint(tree)
    assert len(broken) == 1, said
    assert f"- {container}.made_up\n" in said


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("app/oci/digest.py", "import workers.layers.spool", "The web never imports workers"),
        ("app/oci/digest.py", "import app.main", "Arrows of app point down"),
        ("app/jobs/state.py", "import app.webhooks.routes", "Arrows of app point down"),
        ("app/jobs/state.py", "import app.jobs.engine", "No circles"),
        ("app/jobs/state.py", "import app.jobs.keys", "Arrows of app.jobs point down"),
        ("workers/sweep/findings.py", "import workers.sweep.opening", "No circles"),
        ("workers/images/placement.py", "import workers.tasks", "Arrows of workers point down"),
        (
            *("workers/formats/errors.py", "import workers.formats.verity"),
            "Arrows of the formats point down",
        ),
        ("workers/formats/verity/tree.py", "import subprocess", "Formats are pure"),
        ("workers/formats/verity/tree.py", "import random", "Formats are pure"),
        ("workers/formats/tarindex/pax.py", "import app.errors", "Formats are pure"),
        ("workers/formats/tarindex/pax.py", "import workers.layers.spool", "Formats are pure"),
        ("app/jobs/state.py", "import fastapi", "FastAPI stays in the web shell"),
        ("workers/sweep/findings.py", "import fastapi", "FastAPI stays in the web shell"),
        ("workers/images/blobs.py", "import oras", "oras is imported in one file of the client"),
        ("app/oci/digest.py", "import redis", "OCI types and artifacts stay pure"),
        ("workers/artifacts/reading.py", "import httpx", "OCI types and artifacts stay pure"),
    ],
)  # fmt: skip
def test_an_arrow_that_must_not_be_is_refused(
    tree: Path, file: str, line: str, contract: str
) -> None:
    with (tree / file).open("a") as out:
        # What is imported for types only binds as much.
        out.write(f"\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {line}\n")
    broken, said = lint(tree)
    assert contract in broken, said


@pytest.mark.parametrize("package", ["app", "workers"])
def test_settings_are_read_at_composition_roots_only(package: str) -> None:
    found, paths = [], sorted((ROOT / package).rglob("*.py"))
    assert len(paths) > len(ROOTS)
    for path in paths:
        name = str(path.relative_to(ROOT))
        if name in ROOTS:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [node.module] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if "app.settings" in modules:
                found.append(name)
    assert found == []


def test_formats_may_import_the_catalog_and_nothing_else_of_app() -> None:
    forbidden = contracts()["importlinter:contract:pure-formats"]["forbidden_modules"].split()
    children = {
        f"app.{path.stem}" for path in (ROOT / "app").iterdir() if path.suffix in ("", ".py")
    }
    assert children - set(forbidden) - {"app.__init__", "app.__pycache__"} == {"app.catalog"}


def test_the_catalog_is_data_without_imports() -> None:
    """So that commands can offer its names without loading anything else."""
    found = {
        name.partition(".")[0]
        for path in sorted((ROOT / "app" / "catalog").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    }
    assert "dataclasses" in found
    assert found <= sys.stdlib_module_names
