from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import Settings
from tests.support.tools import ROOT
from workers.cli.commands import COMMANDS

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```", re.M | re.S)
_PATH = re.compile(r"`((?:app|workers|tests|deploy|docs|locks|\.ci)/[\w./-]+)`")


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _CODE.sub("", page.read_text()), re.M)
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in _LINK.findall(_CODE.sub("", page.read_text())):
        if re.match(r"^[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        other = (page.parent / file).resolve() if file else page
        if not other.exists() or (anchor and anchor not in anchors(other)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_pages_name_exist(page: Path) -> None:
    named = {name.rstrip("/.") for name in _PATH.findall(page.read_text())}
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_command_reference_is_what_help_prints() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "render-cli-reference"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (ROOT / "docs" / "cli.md").read_text() == done.stdout, "run make docs"
    for name in COMMANDS:
        assert f"\n## verilayer {name}\n" in done.stdout


def test_the_profiles_page_is_what_the_profiles_are() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "render-profiles-reference"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (ROOT / "docs" / "profiles.md").read_text() == done.stdout, "run make docs"


def test_pages_hold_the_tables_of_the_catalog() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "render-catalog-tables", "--print"],
        capture_output=True,
        text=True,
        check=True,
    )
    pages = [page.read_text() for page in PAGES]
    tables = done.stdout.strip().split("\n\n")
    assert len(tables) == 2
    for table in tables:
        assert any(table in page for page in pages), "run make docs"


def test_the_rooms_of_the_architecture_page_are_those_of_the_sources() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "render-architecture", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_pages_have_what_is_looked_for_in_them() -> None:
    """Else the tests of single pages would look for nothing and be content."""
    text = "".join(page.read_text() for page in PAGES)
    assert len(PAGES) > 20
    assert len(_LINK.findall(_CODE.sub("", text))) > 20
    assert len(_PATH.findall(text)) > 20


def named(expression: str, *, without: str = "") -> dict[str, set[str]]:
    """What an expression finds in each page that has it; never nothing at all."""
    pages = [page for page in PAGES if page.name != without]
    found = {page.name: set(re.findall(expression, page.read_text(), re.M)) for page in pages}
    assert len(set().union(*found.values())) > 5, f"no page has {expression}"
    return found


def test_commands_that_pages_show_exist() -> None:
    # In code, not in prose: "verilayer publishes" is no command.
    for page, commands in named(r"(?:`|^)(?:\.venv/bin/)?verilayer ([a-z]+)\b").items():
        assert commands <= set(COMMANDS), page


def test_make_targets_that_pages_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for page, makes in named(r"(?:`|^)make ([a-z-]+)").items():
        assert makes <= targets, page


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    missing = [name for name in Settings.model_fields if f"VERILAYER_{name.upper()}" not in text]
    assert missing == []


def test_settings_that_pages_name_exist() -> None:
    known = {f"VERILAYER_{name.upper()}" for name in Settings.model_fields}
    known |= {"VERILAYER_SECRETS_DIR", "VERILAYER_TEST_IMAGES", "VERILAYER_NODE_CACHE"}
    known |= {"VERILAYER_URL", "VERILAYER_TOKEN"}  # of the commands over the admin API
    # That page has the environment form of the configuration too.
    found = named(r"\bVERILAYER_[A-Z_]+[A-Z]\b", without="configuration.md")
    for page, settings in found.items():
        assert settings <= known | {"VERILAYER_REGISTRY_URL"}, page


def test_the_readme_is_short_and_starts_with_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text()
    assert text.count("\n") < 60
    block = _CODE.search(text)
    assert block is not None
    assert [line.split("#")[0].strip() for line in block.group().splitlines()[1:3]] == [
        "make run",
        "make test",
    ]
