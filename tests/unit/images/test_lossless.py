"""The verdict hangs on kinds and counts: never on which texts happen to be recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest

from app.errors import NotConvertible
from app.facts import LayerFacts, WarnedKind
from app.oci.descriptor import Platform
from app.oci.images import ImagePlan, PlannedLayer
from tests.support.layers import SUBJECT, signed_layer
from workers.images.lossless import check_lossless

LAYERS = [signed_layer(0), signed_layer(1)]
PLAN = ImagePlan(
    SUBJECT,
    Platform(os="linux", architecture="amd64"),
    tuple(PlannedLayer(one.layer, one.facts.diff_id, "gzip", (0,)) for one in LAYERS),
    size=0,
)


def _text(kind: str, number: int = 0) -> str:
    return f"{kind}: file{number}: what happens"


def _met(number: int, *kinds: tuple[str, int], recorded: int = 20) -> LayerFacts:
    """Facts of a layer whose archive has ``count`` entries of each kind, in this order."""
    texts = [_text(kind, each) for kind, count in kinds for each in range(count)]
    return replace(
        LAYERS[number].facts,
        warnings=tuple(texts[:recorded]),
        warned=tuple(WarnedKind(kind, count, _text(kind)) for kind, count in sorted(kinds)),
    )


def _lost(allowed: Sequence[str], *facts: LayerFacts) -> tuple[str, tuple[str, ...]] | None:
    found = {one.layer.digest: one.facts for one in LAYERS}
    found |= {one.layer_digest: one for one in facts}
    try:
        check_lossless(PLAN, found, allowed)
    except NotConvertible as error:
        return f"{error.reason}: {error.message}", cast(tuple[str, ...], error.details["entries"])
    return None


def test_what_loses_nothing_passes() -> None:
    assert _lost(()) is None


@pytest.mark.parametrize("layer", [0, 1])
def test_one_warning_of_any_layer_is_enough(layer: int) -> None:
    digest = LAYERS[layer].layer.digest
    line = f"{digest} {_text('nul-type')}"
    assert _lost((), _met(layer, ("nul-type", 1))) == (
        f"lossy: 1 entries of the image would not be what was pushed, first: {line}",
        (line,),
    )


def test_only_allowed_kinds_pass() -> None:
    both = _met(0, ("nul-type", 2), ("nanoseconds", 3))
    assert _lost(("nul-type", "nanoseconds"), both) is None
    for allowed, lost in ((("nanoseconds",), "nul-type"), (("nul-type",), "nanoseconds")):
        found = _lost(allowed, both)
        assert found is not None
        assert all(f" {lost}: " in line for line in found[1])
        assert len(found[1]) == {"nul-type": 2, "nanoseconds": 3}[lost]


def test_a_kind_hidden_behind_allowed_ones_is_seen() -> None:
    hidden = _met(0, ("nanoseconds", 20), ("nul-type", 1))
    assert not any(text.startswith("nul-type") for text in hidden.warnings)
    line = f"{LAYERS[0].layer.digest} {_text('nul-type')}"
    assert _lost(("nanoseconds",), hidden) == (
        f"lossy: 1 entries of the image would not be what was pushed, first: {line}",
        (line,),
    )


def test_texts_alone_decide_nothing() -> None:
    facts = LAYERS[0].facts
    assert _lost((), replace(facts, warnings=(_text("nul-type"),))) is None
    silent = replace(facts, warned=(WarnedKind("nul-type", 7, _text("nul-type")),))
    found = _lost((), silent)
    assert found is not None
    assert found[0].startswith("lossy: 7 entries ")


def test_every_entry_counts_but_few_are_told() -> None:
    found = _lost(
        (), _met(0, ("nul-type", 3000), recorded=40), _met(1, ("nul-type", 500), recorded=40)
    )
    assert found is not None
    message, lines = found
    assert message.startswith("lossy: 3500 entries ")
    assert len(lines) == 50
