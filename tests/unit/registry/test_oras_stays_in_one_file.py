"""Import contracts see packages; this one is about files of one package."""

from __future__ import annotations

import ast
from pathlib import Path

import app


def test_only_credentials_imports_oras() -> None:
    root = Path(app.__file__).parent
    importing = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names.append(node.module)
            if any(name.partition(".")[0] == "oras" for name in names):
                importing.add(str(path.relative_to(root)))
    assert importing == {"registry/auth/credentials.py"}
