"""What is imported is declared, and what is declared is imported.

The core is what every installation has, extras are what one file needs beyond it, the group ``web``
is what the web image installs instead of the core.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import distribution, packages_distributions

import pytest

from tests.support.tools import ROOT

#: The only files that may import what an extra brings, and those extras.
OPTIONAL = {
    "app/observability/tracing.py": ("otel",),
    "app/registry/auth/clouds.py": ("ecr", "acr", "gar"),
    "workers/signing/keys/aws_kms.py": ("aws-kms",),
    "workers/signing/keys/azure_kms.py": ("azure-kms",),
    "workers/signing/keys/gcp_kms.py": ("gcp-kms",),
    "workers/signing/keys/pkcs11.py": ("pkcs11",),
    "workers/signing/keys/vault.py": ("vault",),
    "workers/supervisor/private_redis.py": ("embedded",),
}
#: Declared without an import of ours, by where, and why.
NOT_IMPORTED = {
    "core": {"uvicorn": "verilayer up starts it as a program"},
    "web": {"uvicorn": "the web image starts it as a program"},
    "gar": {"requests": "google-auth speaks HTTP with it and does not bring it"},
}
#: Calls whose first argument names a module to import.
IMPORTERS = {"import_module", "find_spec", "_library"}
#: Top-level names that are of no distribution: ours, and what scripts of tests find beside them.
OURS = {"app", "workers", "tests", "_blocks", "tarlib"}

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: Iterable[str]) -> set[str]:
    found = (re.match(r"[A-Za-z0-9._-]+", text) for text in requirements)
    return {canonical(match[0]) for match in found if match}


CORE = names(PROJECT["project"]["dependencies"])
EXTRAS = {
    extra: names(requirements)
    for extra, requirements in PROJECT["project"]["optional-dependencies"].items()
}
WEB, TEST = (names(PROJECT["dependency-groups"][group]) for group in ("web", "test"))


def imported(source: str) -> Iterator[tuple[str, ...]]:
    """Modules of others that are imported, each with what else the statement may mean."""
    for node in ast.walk(ast.parse(source)):
        found: list[tuple[str, ...]] = []
        if isinstance(node, ast.Import):
            found = [(alias.name,) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found = [(node.module, f"{node.module}.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            found = [(str(node.args[0].value),)] if called in IMPORTERS else []
        for modules in found:
            if modules[0].partition(".")[0] not in sys.stdlib_module_names | OURS:
                yield modules


@cache
def provider(modules: tuple[str, ...]) -> str:
    """The distribution that has a module; several share a namespace such as ``google``."""
    top = modules[0].partition(".")[0]
    candidates = {canonical(name) for name in distributions().get(top, [top])}
    if len(candidates) == 1:
        return candidates.pop()
    for module in modules:
        path = module.replace(".", "/")
        for candidate in candidates:
            if files_of(candidate) & {f"{path}.py", f"{path}/__init__.py"}:
                return candidate
    pytest.fail(f"none of {candidates} has {modules[0]}")


@cache
def distributions() -> dict[str, list[str]]:
    return dict(packages_distributions())


@cache
def files_of(name: str) -> frozenset[str]:
    return frozenset(str(file) for file in distribution(name).files or ())


def needed(folder: str) -> dict[str, set[str]]:
    """Distributions that each file of a folder imports from."""
    paths = sorted((ROOT / folder).rglob("*.py"))
    assert paths, f"{folder} has no sources"
    return {
        str(path.relative_to(ROOT)): {provider(found) for found in imported(path.read_text())}
        for path in paths
    }


def undeclared(needs: dict[str, set[str]], declared: set[str]) -> dict[str, set[str]]:
    found = {
        file: wanted - declared.union(*(EXTRAS[extra] for extra in OPTIONAL.get(file, ())))
        for file, wanted in needs.items()
    }
    return {file: missing for file, missing in found.items() if missing}


APP, WORKERS = needed("app"), needed("workers")


def test_what_is_imported_is_declared() -> None:
    assert undeclared(APP | WORKERS, CORE) == {}
    assert undeclared(APP, WEB) == {}


def test_what_tests_import_is_declared() -> None:
    assert undeclared(needed("tests"), CORE.union(TEST, *EXTRAS.values())) == {}


def test_what_is_declared_is_imported() -> None:
    unused = {
        "core": CORE.difference(*(APP | WORKERS).values()),
        "web": WEB.difference(*APP.values()),
    }
    for extra, declared in EXTRAS.items():
        files = [file for file, extras in OPTIONAL.items() if extra in extras]
        unused[extra] = declared.difference(*((APP | WORKERS)[file] for file in files))
    assert {place: found for place, found in unused.items() if found} == {
        place: set(reasons) for place, reasons in NOT_IMPORTED.items()
    }


def test_imports_of_every_form_are_seen() -> None:
    source = """
import httpcore._sync, json
from google.cloud import kms
from . import beside
def f():
    import yaml
    _library("azure.core.exceptions", "acr")
"""
    assert {modules[0]: provider(modules) for modules in imported(source)} == {
        "httpcore._sync": "httpcore",
        "google.cloud": "google-cloud-kms",
        "yaml": "pyyaml",
        "azure.core.exceptions": "azure-core",
    }
