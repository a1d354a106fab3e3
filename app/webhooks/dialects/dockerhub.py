"""Docker Hub repository webhooks: one tag, no digest, no signature; the token is in the path.

https://docs.docker.com/docker-hub/repos/manage/webhooks/. ``callback_url`` is never contacted: it
is whatever the sender wrote.
"""

from __future__ import annotations

from app.webhooks.delivery import Delivery, Parsed, Payload, Pushes, decode


class _PushData(Payload):
    tag: str | None = None
    pusher: str | None = None


class _Repository(Payload):
    repo_name: str | None = None
    namespace: str | None = None
    name: str | None = None


class _Push(Payload):
    push_data: _PushData
    repository: _Repository


def parse(delivery: Delivery) -> Parsed:
    """Keep the one push of a delivery."""
    push = decode(_Push, delivery.body, "dockerhub")
    repository = push.repository
    pushes = Pushes()
    pushes.add(
        repository.repo_name or f"{repository.namespace}/{repository.name}",
        tag=push.push_data.tag,
        actor=push.push_data.pusher,
    )
    return pushes.parsed()
