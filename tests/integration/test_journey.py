"""The journey of docs/architecture.md, followed by a push through the processes of the service."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.entering import Entering
from tests.support.images import layer_tar, push_image
from tests.support.pipeline import pipeline
from tests.support.tools import ROOT

_STEP = re.compile(r"^\d+\. `([\w/]+)\.py` `([\w.]+)`: ", re.M)


def steps() -> list[tuple[str, str]]:
    """Module and function of each step, as the page names them."""
    _, _, journey = (ROOT / "docs" / "architecture.md").read_text().partition("## The journey")
    found = [(path.replace("/", "."), name) for path, name in _STEP.findall(journey)]
    assert len(found) == len(re.findall(r"^\d+\. ", journey, re.M)) > 20, "a step names no function"
    return found


@pytest.mark.real
def test_a_push_enters_the_modules_of_the_journey_in_this_order(tmp_path: Path) -> None:
    entering = Entering.start(tmp_path / "entering")
    # Rounds of the reaper would enter some of these on their own.
    environment = {**entering.environment, "VERILAYER_REAP_SECONDS": "600"}
    with pipeline(tmp_path / "service", environment=environment) as service:
        entering.begin()
        image = push_image(service.registry, "team/app", [layer_tar(1), layer_tar(2)], tag="v1")
        service.wait_idle(120)
        assert service.bundles("team/app", image.digest)
    wanted = steps()
    entered = [each for each in entering.functions() if each in set(wanted)]
    assert entered == wanted
