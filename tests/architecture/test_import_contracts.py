from __future__ import annotations

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_import_contracts_are_kept() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("package", ["app", "workers"])
def test_settings_are_read_at_composition_roots_only(package: str) -> None:
    found = []
    for path in sorted((ROOT / package).rglob("*.py")):
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
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    forbidden = contracts["importlinter:contract:pure-formats"]["forbidden_modules"].split()
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
    assert found <= sys.stdlib_module_names
