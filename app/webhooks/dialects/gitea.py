"""Gitea and Forgejo ``package`` webhooks; ``version`` is a tag or a digest.

https://docs.gitea.com/usage/webhooks, https://forgejo.org/docs/latest/user/webhooks/.
"""

from __future__ import annotations

from app.webhooks.delivery import Delivery, Parsed, Payload, Pushes, decode

_PREFIXES = ("x-forgejo", "x-gitea")


class _Login(Payload):
    login: str = ""


class _Package(Payload):
    owner: _Login | None = None
    creator: _Login | None = None
    type: str = ""
    name: str = ""
    version: str | None = None


class _Event(Payload):
    action: str = ""
    package: _Package
    sender: _Login | None = None


def parse(delivery: Delivery) -> Parsed:
    """Keep created container packages."""
    pushes = Pushes()
    kind = next((v for p in _PREFIXES if (v := delivery.header(f"{p}-event"))), "")
    if kind != "package":
        pushes.ignore("event-type")
        return pushes.parsed()
    event = decode(_Event, delivery.body, "gitea")
    package = event.package
    if event.action != "created":
        pushes.ignore("action")
    elif package.type.lower() != "container":
        pushes.ignore("package-type")
    else:
        owner = package.owner.login if package.owner else ""
        pushes.add_reference(
            f"{owner}/{package.name}".lower(),
            package.version,
            actor=event.sender.login if event.sender else None,
            delivery_id=next((v for p in _PREFIXES if (v := delivery.header(f"{p}-delivery"))), ""),
        )
    return pushes.parsed()
