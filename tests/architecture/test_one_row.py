"""A profile or a release of erofs-utils is one row, a signer or a dialect one row and a file.

Each is added in a process of its own, before anything but the catalog is imported; see
``tests/support/made_up.py`` for what is then done with it. A second list of the same names
anywhere would lack it, and fails here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import click
import pytest

from app.catalog import vocabulary
from app.jobs.messages import Lane
from app.jobs.state import JobState
from app.main import create_app
from app.settings import Settings
from tests.support.made_up import KINDS, enums, lists, tree
from tests.support.tools import ROOT
from workers.cli.commands import main

#: Where the made-up row of each kind must have been offered.
OFFERED = {
    "profile": {
        "commands": [
            "convert --profile",
            "jobs submit --profile",
            "republish --from",
            "republish --to",
            "sign push --profile",
            "verify --profile",
        ],
        "configuration": [
            "$defs/Defaults/properties/profiles/items",
            "$defs/Defaults/properties/tag_suffixes/propertyNames",
            "$defs/Rule/properties/profiles/items",
        ],
        "api": [
            "components/schemas/Reprocess/properties/profiles/items",
            "components/schemas/SubmitJob/properties/profiles/items",
        ],
        "pages": ["cli.md", "profiles.md", "configuration.md", "verilayer.schema.json"],
    },
    "release": {
        "commands": ["layer build --builder-version"],
        "configuration": ["$defs/BuildConfig/properties/builder_version"],
        "api": [],
        "pages": ["cli.md", "configuration.md", "verilayer.schema.json"],
    },
    "signer": {
        "commands": [],
        "configuration": ["$defs/SignerConfig/properties/kind"],
        "api": [],
        "pages": ["configuration.md", "verilayer.schema.json", "tables"],
    },
    "dialect": {
        "commands": [],
        "configuration": ["$defs/WebhookConfig/properties/dialect"],
        "api": [],
        "pages": ["configuration.md", "verilayer.schema.json", "tables"],
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_made_up_row_is_known_everywhere(kind: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.made_up", kind, tmp_path],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == OFFERED[kind]


#: Closed sets of names, which code knows: whoever offers a choice of one offers all of it.
CLOSED = [
    tuple(JobState),
    tuple(Lane),
    tuple(vocabulary.Role.__members__),
    *(names for each in vars(vocabulary).values() if len(names := get_args(each)) > 2),
]


def test_a_choice_of_a_closed_set_offers_all_of_it(tmp_path: Path) -> None:
    file = tmp_path / "verilayer.yaml"
    file.write_text("{}")
    api = create_app(Settings(config_file=file, state_dir=tmp_path)).openapi()
    choices = [
        parameter.type.choices
        for _, command in tree("", main)
        for parameter in command.params
        if isinstance(parameter.type, click.Choice)
    ]
    assert len(choices) > 15
    for offered in [*choices, *(each for _, each in enums(api))]:
        for names in CLOSED:
            if lists(offered, names):
                assert set(names) <= set(offered)
