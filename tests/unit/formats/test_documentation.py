"""docs/formats.md names every warning kind, refusal code and version."""

from __future__ import annotations

import re

import pytest

from app.catalog.builders import BUILDERS
from tests.support.tools import ROOT
from workers.formats.tarindex.warning import KINDS

_TEXT = (ROOT / "docs" / "formats.md").read_text()
_SOURCES = [
    path.read_text()
    for folder in ("erofs", "tarindex")
    for path in sorted((ROOT / "workers" / "formats" / folder).glob("*.py"))
    if (folder, path.name) not in {("erofs", "reader.py"), ("tarindex", "singledevice.py")}
]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_kind_is_documented(kind: str) -> None:
    assert f"| `{kind}` | {KINDS[kind]} |" in _TEXT


def test_versions_are_documented() -> None:
    assert BUILDERS
    assert all(version in _TEXT for version in BUILDERS)


def test_codes_are_documented() -> None:
    raised = re.compile(r'(?:_error\(\s*|refusal\(\s*entry,\s*|FormatError\(\s*)"([a-z_-]+)"')
    codes = {code for text in _SOURCES for code in raised.findall(text)}
    assert len(codes) > 20
    missing = {c for c in codes if not c.startswith("limit-") and f"`{c}`" not in _TEXT}
    assert missing <= {"erofs-superblock"}


def test_the_example_runs() -> None:
    example = re.search(r"```python\n(.*?)```", _TEXT, re.DOTALL)
    assert example is not None
    exec(example.group(1), {})
