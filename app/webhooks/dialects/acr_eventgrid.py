"""Azure Container Registry through Event Grid, in its own schema or as CloudEvents.

https://learn.microsoft.com/azure/event-grid/event-schema-container-registry. A subscription in
Event Grid's schema is confirmed by echoing a code; one of CloudEvents by an OPTIONS request, which
the routes answer. ``validationUrl`` is never contacted.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from app.errors import PayloadInvalid
from app.webhooks.delivery import Delivery, Parsed, Payload, Pushes, decode_any, decode_part
from app.webhooks.dialects import acr

_VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"
_PUSHED = "Microsoft.ContainerRegistry.ImagePushed"
_MAX_CODE = 200


class _Event(Payload):
    id: str | None = None
    event_type: str | None = Field(default=None, alias="eventType")
    #: CloudEvents' name of the same.
    type: str | None = None
    data: Any = None


class _Validation(Payload):
    code: str = Field(alias="validationCode", min_length=1, max_length=_MAX_CODE)


def parse(delivery: Delivery) -> Parsed:
    """Keep pushed images; answer a validation event with its code."""
    events = _events(delivery)
    pushes = Pushes()
    for entry in events:
        event = decode_part(_Event, entry)
        kind = (event.event_type or event.type) if event else None
        if event is not None and kind == _VALIDATION:
            return _validated(event)
        data = decode_part(acr.Event, event.data) if event else None
        if kind != _PUSHED:
            pushes.ignore("malformed" if event is None else "event-type")
        elif data is None or event is None:
            pushes.ignore("malformed")
        else:
            acr.add(pushes, data, event.id or data.id)
    return pushes.parsed()


def _validated(event: _Event) -> Parsed:
    validation = decode_part(_Validation, event.data)
    if validation is None:
        raise PayloadInvalid("the validation event holds no validationCode")
    return Parsed(answer={"validationResponse": validation.code}, ignored=("event-type",))


def _events(delivery: Delivery) -> tuple[object, ...]:
    """Both schemas may send one event or a list of them."""
    value = decode_any(delivery.body, "Event Grid")
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, dict):
        raise PayloadInvalid("not an Event Grid event: neither an object nor a list")
    return (value,)
