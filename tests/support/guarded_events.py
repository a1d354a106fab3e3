"""Push events, and what the loop guard says of each: the same for whoever asks."""

from __future__ import annotations

from app.jobs.push import PushEvent
from app.jobs.reasons import Drop
from app.oci.digest import Digest
from app.oci.mediatypes import DOCKER_INDEX, OCI_MANIFEST

ROBOT = "robot"
HEX = "a" * 64
#: A digest that was pushed by us.
OURS = Digest.of(b"ours")

#: Fields of an event -> why it is dropped, told by the event alone.
BY_EVENT: list[tuple[dict[str, object], Drop | None]] = [
    ({}, None),
    ({"media_type": OCI_MANIFEST, "actor": "ci"}, None),
    ({"media_type": DOCKER_INDEX}, None),
    ({"actor": ROBOT}, Drop.OWN_ACTOR),
    ({"tag": f"sha256-{HEX}"}, Drop.DERIVED_TAG),
    ({"tag": f"sha512-{'0' * 64}"}, Drop.DERIVED_TAG),
    ({"tag": f"sha256-{HEX}.sig"}, Drop.DERIVED_TAG),
    ({"tag": f"sha256-{HEX}.att"}, Drop.DERIVED_TAG),
    ({"tag": f"sha256-{HEX}.dmverity"}, Drop.DERIVED_TAG),
    ({"tag": f"sha256-{HEX}.dmverity.signature"}, Drop.DERIVED_TAG),
    ({"tag": "sha256-abc"}, None),
    ({"tag": f"release-sha256-{HEX}"}, None),
    ({"has_subject": True}, Drop.REFERRER),
    ({"artifact_type": "application/vnd.example"}, Drop.ARTIFACT),
    # The cheapest layer that catches it is the one that is named.
    ({"actor": ROBOT, "tag": f"sha256-{HEX}", "has_subject": True}, Drop.OWN_ACTOR),
    ({"has_subject": True, "artifact_type": "application/vnd.example"}, Drop.REFERRER),
]
#: The same, where what we pushed is remembered.
BY_MEMORY: list[tuple[dict[str, object], Drop | None]] = [
    ({"digest": OURS}, Drop.OWN_PUSH),
    ({"digest": OURS, "artifact_type": "application/vnd.example"}, Drop.ARTIFACT),
    ({"digest": Digest.of(b"theirs")}, None),
]


def event(**fields: object) -> PushEvent:
    """A push of ``team/app:1.4`` but for ``fields``."""
    return PushEvent.model_validate({"repository": "team/app", "tag": "1.4", **fields})
