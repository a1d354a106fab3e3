"""Seals survive the way through the ledger, and keys can be changed without building all anew."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.jobs.records import LayerBuild
from tests.unit.jobs.test_records import BUILD, FACTS
from workers.signing.seals import EvidenceSeals, open_seals

OLD, NEW, STRANGE = ("old " * 10), ("new " * 10), ("strange " * 5)


def _file(folder: Path, *lines: str) -> Path:
    path = folder / "keys"
    path.write_text("\n".join(["# two keys while one replaces the other", "", *lines]) + "\n")
    return path


def test_a_record_that_comes_back_from_redis_still_holds(tmp_path: Path) -> None:
    seals = EvidenceSeals.from_file(_file(tmp_path, NEW))
    build = BUILD.model_copy(update={"facts": seals.sealed(FACTS)})
    back = LayerBuild.model_validate_json(build.model_dump_json()).facts
    assert back is not None
    assert seals.hold(back)
    assert not seals.hold(replace(back, root_hash="d" * 64))
    assert not seals.hold(replace(back, seal=""))


def test_keys_change_by_standing_in_front_of_the_old_one(tmp_path: Path) -> None:
    before = EvidenceSeals.from_file(_file(tmp_path, OLD))
    during = EvidenceSeals.from_file(_file(tmp_path, NEW, OLD))
    after = EvidenceSeals.from_file(_file(tmp_path, NEW))
    old, new = before.sealed(FACTS), during.sealed(FACTS)
    assert (during.hold(old), during.hold(new)) == (True, True)
    assert (after.hold(old), after.hold(new)) == (False, True)
    assert not EvidenceSeals.from_file(_file(tmp_path, STRANGE)).hold(new)
    assert not EvidenceSeals.of_this_process().hold(new)


@pytest.mark.parametrize("content", ["", "# nothing\n", "short\n", NEW + "\nshort\n", "ü" * 40])
def test_a_key_file_without_good_keys_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys"
    path.write_text(content, "utf-8")
    with pytest.raises(ConfigurationError, match="keys"):
        open_seals(path, tmp_path)


def test_a_missing_key_file_that_was_named_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="openssl rand"):
        open_seals(tmp_path / "named", tmp_path)
    assert not (tmp_path / "named").exists()


def test_a_first_start_makes_one_key_for_all_workers_of_a_host(tmp_path: Path) -> None:
    state = tmp_path / "state"
    one, two = open_seals(None, state), open_seals(None, state)
    assert two.hold(one.sealed(FACTS))
    assert stat.S_IMODE((state / "evidence.key").stat().st_mode) == 0o600
    assert [path.name for path in state.iterdir()] == ["evidence.key"]
