"""Loads the formats from their sources even where compiled modules shadow them.

Import it before any of ``workers.formats.tarindex`` and ``workers.formats.erofs``; a subprocess is
the place for that. Compiled and interpreted modules must not meet in one process.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType

_PACKAGES = ("workers.formats.tarindex.", "workers.formats.erofs.", "workers.formats.words")


class _SourcesOnly(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is None or not name.startswith(_PACKAGES):
            return None
        for folder in path:
            spec = FileFinder(folder, (SourceFileLoader, [".py"])).find_spec(name)
            if spec is not None:
                return spec
        return None


if any(name.startswith(_PACKAGES) for name in sys.modules):
    raise ImportError("the formats are loaded already")
sys.meta_path.insert(0, _SourcesOnly())
