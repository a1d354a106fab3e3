from __future__ import annotations

import subprocess
import sys

from tests.support.tools import ROOT

_PROGRAM = """
import importlib, sys
from workers.cli.commands import COMMANDS
for module, _ in COMMANDS.values():
    importlib.import_module(module)
print(*sorted({"pydantic", "redis", "fastapi", "httpx2", "cryptography"} & set(sys.modules)))
"""


def test_commands_offer_their_choices_without_loading_what_does_the_work() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
