"""The surroundings of a node, new for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.node_stand import NodeStand, node_stand


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[NodeStand]:
    with node_stand(tmp_path) as stand:
        yield stand
