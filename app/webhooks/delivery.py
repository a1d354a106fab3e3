"""One webhook delivery as it came in, and what a dialect's parser made of it. Pure values.

A parser is a function ``Delivery -> Parsed``. It raises ``PayloadInvalid`` when the body as a whole
is not the dialect's; a single odd event among others is counted as ignored instead, because most
senders repeat a refused delivery for ever and would block behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from app.errors import PayloadInvalid
from app.jobs.push import PushEvent
from app.oci.digest import Digest
from app.oci.mediatypes import INDEX_TYPES, MANIFEST_TYPES
from app.oci.reference import check_repository, check_tag

#: A delivery with more events than this is not from a registry.
MAX_EVENTS = 1000
_MAX_ACTOR = 200
_MAX_ID = 256


@dataclass(frozen=True, slots=True)
class Delivery:
    """Headers by lowercase name (repeated ones joined with ", ") and the raw body."""

    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str:
        """Return a header by lowercase name, or the empty string."""
        return self.headers.get(name, "")


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a delivery says: pushes, why anything else in it was ignored, and handshakes."""

    events: tuple[PushEvent, ...] = ()
    #: One reason for each thing ignored; see ``IGNORED`` for their meaning.
    ignored: tuple[str, ...] = ()
    #: JSON to answer with 200 instead of the usual receipt (Event Grid's validation).
    answer: Mapping[str, str] | None = None
    #: Address to confirm a subscription at; checked again before it is contacted (SNS).
    confirm: str | None = None


#: Why something in a delivery is not a push of a manifest; what is one may still be dropped by the
#: loop guard (``app.jobs.reasons.Drop``). Values of a metric's label, and of the receipt.
IGNORED: Mapping[str, str] = {
    "action": "the event is not a push (pull, delete, mount, failed push)",
    "event-type": "the event is of another kind (scan, ping, repository created)",
    "media-type": "what was pushed is not a manifest (blobs)",
    "package-type": "the package is not a container image",
    "malformed": "the event names no valid repository with a tag or digest",
}

Parser = Callable[[Delivery], Parsed]


class Payload(BaseModel):
    """Base of payload models: unknown fields are tolerated, only what we use is named."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


_P = TypeVar("_P", bound=BaseModel)


def decode(model: type[_P], body: bytes, dialect: str) -> _P:
    """Read a JSON body into ``model``; raises ``PayloadInvalid`` naming the field."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(map(str, first["loc"]))
        raise PayloadInvalid(
            f"not a {dialect} event: {path + ': ' if path else ''}{first['msg']}",
            advice="check that the endpoint's dialect is that of the sender",
        ) from None


def decode_any(body: bytes, dialect: str) -> object:
    """Read any JSON body; raises ``PayloadInvalid``."""
    try:
        value: object = from_json(body)
    except ValueError as error:
        raise PayloadInvalid(f"not a {dialect} event: {error}") from None
    return value


def decode_part(model: type[_P], value: object) -> _P | None:
    """Read one entry of a list that a body holds; None when it is not one."""
    try:
        return model.model_validate(value)
    except ValidationError:
        return None


@dataclass(slots=True)
class Pushes:
    """Collects the events of one delivery, and the reasons for what is left out."""

    events: list[PushEvent] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def ignore(self, reason: str) -> None:
        """Count something that is not a push; ``reason`` is a key of ``IGNORED``."""
        assert reason in IGNORED, reason
        self.ignored.append(reason)

    def add(
        self,
        repository: str | None,
        *,
        tag: str | None = None,
        digest: str | None = None,
        media_type: str | None = None,
        artifact_type: str | None = None,
        has_subject: bool = False,
        actor: str | None = None,
        delivery_id: str | None = None,
    ) -> None:
        """Keep a push of a manifest; of anything else, or of nothing valid, its reason.

        Raises ``PayloadInvalid`` for more pushes than a delivery may hold.
        """
        try:
            event = PushEvent(
                repository=check_repository(repository or ""),
                tag=check_tag(tag) if tag else None,
                digest=Digest(digest) if digest else None,
                media_type=media_type or None,
                artifact_type=artifact_type or None,
                has_subject=has_subject,
                actor=actor[:_MAX_ACTOR] if actor else None,
                delivery_id=delivery_id[:_MAX_ID] if delivery_id else None,
            )
        except ValueError:
            self.ignore("malformed")
            return
        if event.tag is None and event.digest is None:
            self.ignore("malformed")
        elif event.media_type is not None and event.media_type not in MANIFEST_TYPES | INDEX_TYPES:
            self.ignore("media-type")
        elif len(self.events) >= MAX_EVENTS:
            raise PayloadInvalid(f"more than {MAX_EVENTS} events in one delivery")
        else:
            self.events.append(event)

    def add_reference(
        self,
        repository: str | None,
        reference: str | None,
        *,
        actor: str | None = None,
        delivery_id: str | None = None,
    ) -> None:
        """Keep a push whose ``reference`` is a tag or a digest, as senders of one field have it."""
        is_digest = reference is not None and ":" in reference
        self.add(
            repository,
            tag=None if is_digest else reference,
            digest=reference if is_digest else None,
            actor=actor,
            delivery_id=delivery_id,
        )

    def parsed(self) -> Parsed:
        """Return what was collected."""
        return Parsed(tuple(self.events), tuple(self.ignored))
