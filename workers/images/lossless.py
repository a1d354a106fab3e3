"""Whether the indexes of an image show what was pushed: decided from kinds and counts alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from app.errors import NotConvertible
from app.facts import LayerFacts
from app.oci.digest import Digest
from app.oci.images import ImagePlan

#: Lines about lost entries that a skip carries at most.
_TOLD = 50


def check_lossless(
    plan: ImagePlan, facts: Mapping[Digest, LayerFacts], allowed: Collection[str]
) -> None:
    """Raise ``NotConvertible`` (lossy) when a kind of warning was met that is not allowed.

    What a node would run is then not what the publisher pushed, so it is not to be signed.
    ``entries`` of the error are the first that an index does not show as they are.
    """
    count = 0
    lines: list[str] = []
    for layer in plan.layers:
        digest = layer.descriptor.digest
        lost = [each for each in facts[digest].warned if each.kind not in allowed]
        count += sum(each.count for each in lost)
        kinds = {each.kind for each in lost}
        recorded = [text for text in facts[digest].warnings if text.partition(":")[0] in kinds]
        # A kind that was met late is in no recorded text.
        texts = dict.fromkeys([*recorded, *(each.first for each in lost)])
        lines += [f"{digest} {text}" for text in texts]
    if count:
        raise NotConvertible(
            "lossy",
            f"{count} entries of the image would not be what was pushed, first: {lines[0]}",
            entries=tuple(lines[:_TOLD]),
        )
