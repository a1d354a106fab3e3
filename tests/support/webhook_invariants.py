"""What every webhook parser promises for any bytes at all."""

from __future__ import annotations

from collections.abc import Mapping

from app.catalog.dialects import DialectName
from app.errors import DeliveryRefused
from app.oci.reference import check_repository, check_tag
from app.webhooks.delivery import IGNORED, MAX_EVENTS, Delivery
from app.webhooks.dialects.opening import open_parser


def check_parser(dialect: DialectName, headers: Mapping[str, str], body: bytes) -> None:
    """Garbage gives valid pushes and known reasons, or a typed refusal; nothing else."""
    try:
        parsed = open_parser(dialect)(Delivery(headers, body))
    except DeliveryRefused:
        return
    assert len(parsed.events) <= MAX_EVENTS
    assert set(parsed.ignored) <= set(IGNORED)
    for event in parsed.events:
        check_repository(event.repository)
        assert event.tag is not None or event.digest is not None
        if event.tag is not None:
            check_tag(event.tag)
