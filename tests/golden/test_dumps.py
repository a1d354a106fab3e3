"""Text of a few vectors' indexes: what the dumper shows, and what a difference looks like.

``python -m tests.golden.test_dumps`` writes the files again; review the difference.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.vectors import build, tar_bytes
from workers.formats.erofs.dump import dump
from workers.formats.tarindex.singledevice import single_device_form

_FOLDER = Path(__file__).with_name("dumps")
_NAMES = ("devices", "hardlinks", "opaque_and_whiteout", "symlinks", "xattrs_many", "dots_order")


def _text(name: str) -> str:
    return "\n".join(dump(build(tar_bytes(name)).data)) + "\n"


@pytest.mark.parametrize("name", _NAMES)
def test_dump(name: str) -> None:
    assert _text(name) == (_FOLDER / f"{name}.txt").read_text()


def test_single_device_dump() -> None:
    lines = list(dump(single_device_form(build(tar_bytes("hardlinks")).data)))
    assert not any(line.startswith("device") for line in lines)
    assert any("chunk=0:" in line for line in lines)


if __name__ == "__main__":
    _FOLDER.mkdir(exist_ok=True)
    for vector in _NAMES:
        (_FOLDER / f"{vector}.txt").write_text(_text(vector))
