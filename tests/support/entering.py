"""Which functions of ours other processes enter, in the order of the clock."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.tools import ROOT


@dataclass(frozen=True, slots=True)
class Entering:
    """A log of first entries, shared by processes that were started with ``environment``."""

    folder: Path

    @classmethod
    def start(cls, folder: Path) -> Entering:
        """Make the log; nothing is written before ``begin``."""
        folder.mkdir()
        (folder / "generation").write_bytes(b"\0")
        (folder / "entered").touch()
        return cls(folder)

    @property
    def environment(self) -> Mapping[str, str]:
        """What a Python process needs to write into the log."""
        customized = ROOT / "tests" / "support" / "entered"
        return {"ENTERED": str(self.folder), "PYTHONPATH": f"{customized}{os.pathsep}{ROOT}"}

    def begin(self) -> None:
        """From now on every function counts as not entered yet."""
        with (self.folder / "generation").open("r+b") as file:
            file.write(b"\1")

    def functions(self) -> list[tuple[str, str]]:
        """Module and qualified name of each function that was entered, first entries first."""
        lines = sorted(
            (int(when), module, name)
            for line in (self.folder / "entered").read_text().splitlines()
            for when, _, module, name in [line.split(" ", 3)]
        )
        return list(dict.fromkeys((module, name) for _, module, name in lines))
