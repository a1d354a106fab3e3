"""The table of signer kinds against the modules and extras that it names."""

from __future__ import annotations

import importlib
import tomllib
from typing import get_type_hints

import pytest

from app.catalog.signers import SIGNERS
from tests.support.tools import ROOT
from workers.signing.keys.settings import KeySettings
from workers.signing.signer import Key


@pytest.mark.parametrize("kind", SIGNERS)
def test_every_kind_names_a_module_that_opens_keys(kind: str) -> None:
    module = importlib.import_module(f"workers.signing.keys.{SIGNERS[kind].module}")
    assert list(get_type_hints(module.open_key).values()) == [KeySettings, Key]


def test_every_module_that_opens_keys_is_a_kind() -> None:
    files = (ROOT / "workers" / "signing" / "keys").glob("*.py")
    opening = {file.stem for file in files if "\ndef open_key(" in file.read_text()}
    assert opening == {row.module for row in SIGNERS.values()}


def test_every_extra_can_be_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {row.extra for row in SIGNERS.values() if row.extra}
    assert extras <= set(project["optional-dependencies"])
