from __future__ import annotations

import pytest

from app.jobs.loopguard import drop_reason
from app.jobs.push import PushEvent
from app.oci.mediatypes import DOCKER_INDEX, OCI_MANIFEST


def event(**fields: object) -> PushEvent:
    return PushEvent.model_validate({"repository": "team/app", "tag": "1.4", **fields})


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, None),
        ({"media_type": OCI_MANIFEST, "actor": "ci"}, None),
        ({"media_type": DOCKER_INDEX}, None),
        ({"actor": "robot"}, "own-actor"),
        ({"tag": "sha256-" + "a" * 64}, "referrer-tag"),
        ({"tag": "sha512-" + "0" * 64}, "referrer-tag"),
        ({"tag": "sha256-" + "a" * 64 + ".sig"}, "referrer-tag"),
        ({"tag": "sha256-" + "a" * 64 + ".att"}, "referrer-tag"),
        ({"tag": "sha256-abc"}, None),
        ({"tag": "release-sha256-" + "a" * 64}, None),
        ({"has_subject": True}, "subject"),
        ({"artifact_type": "application/vnd.example"}, "artifact-type"),
        ({"media_type": "application/octet-stream"}, "media-type"),
    ],
)
def test_what_is_dropped_without_a_look_at_the_manifest(
    fields: dict[str, object], reason: str | None
) -> None:
    assert drop_reason(event(**fields), "robot") == reason


def test_without_a_robot_account_every_actor_passes() -> None:
    assert drop_reason(event(actor="robot"), None) is None
