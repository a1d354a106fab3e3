"""What registries send when an image is pushed, and how they can prove it: one row a dialect.

A new dialect is a row here and a parser module that it names. Which proofs a dialect can carry is
part of its row, so that a combination that could never work, or that would let anyone in, is
refused when the configuration is read. The table of docs/webhooks.md is written from this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

#: A key of ``DIALECTS``; what configuration accepts is ``app.config.choice.DialectChoice``.
DialectName: TypeAlias = str

#: How a delivery can prove where it comes from; each is a class of ``app.webhooks.proofs``.
Auth = Literal["header", "basic", "bearer", "hmac", "path", "oidc", "sns", "mtls-header"]

#: Proofs that are a shared secret, and so need one to be configured.
SECRET_AUTH: Final[frozenset[Auth]] = frozenset({"header", "basic", "bearer", "hmac", "path"})

#: Where most senders put what they were told to send.
AUTHORIZATION: Final = "Authorization"


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs a sender's OIDC tokens."""

    url: str
    #: Address of its keys; found by OpenID discovery when None.
    jwks_url: str | None = None
    #: Other forms of its name that tokens carry.
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one kind of sender tells of pushes."""

    name: DialectName
    #: Who speaks it.
    sender: str
    #: Module of ``app.webhooks.dialects`` whose ``parse`` reads its deliveries.
    parser: str
    #: What its senders are able to send.
    auth: tuple[Auth, ...]
    #: Where its sender is told our address; Markdown.
    setup: str
    #: Whether deliveries name the digest and the tag, in a word.
    digest: str = "maybe"
    tag: str = "maybe"
    #: Headers that may hold the body's HMAC in hex, and its hash. The configuration may name
    #: another header, here as below.
    signature_headers: tuple[str, ...] = ("X-Signature",)
    signature_hash: str = "sha256"
    #: Header that holds the secret itself.
    header: str = AUTHORIZATION
    #: Issuer of its tokens when the configuration names none.
    issuer: Issuer | None = None
    #: Event Grid delivers it, and asks with OPTIONS before the first delivery.
    event_grid: bool = False


_STATIC: Final[tuple[Auth, ...]] = ("header", "basic", "bearer", "path", "mtls-header")

#: Google signs with either form of its name.
_GOOGLE: Final = Issuer(
    "https://accounts.google.com",
    "https://www.googleapis.com/oauth2/v3/certs",
    aliases=("accounts.google.com",),
)

DIALECTS: Final[Mapping[DialectName, Dialect]] = {
    row.name: row
    for row in (
        Dialect(
            "distribution", "CNCF distribution 2.x, 3.x", "distribution", _STATIC,
            "`notifications.endpoints[]` with `headers`", digest="yes", tag="mostly",
        ),
        Dialect(
            "gitlab", "GitLab's registry, self-managed", "distribution", _STATIC,
            "`registry['notifications']`", digest="yes", tag="sometimes",
        ),
        Dialect(
            "harbor", "Harbor 2.x, both payload formats", "harbor", _STATIC,
            'project, Webhooks, "Auth header"', digest="yes", tag="yes",
        ),
        Dialect(
            "zot", "zot", "zot", _STATIC, "`extensions.events.sinks[]`", digest="yes", tag="yes",
        ),
        Dialect(
            "quay", "Quay", "quay", ("path", "basic", "mtls-header"),
            'repository notification, "Webhook POST"', digest="no", tag="yes",
        ),
        Dialect(
            "dockerhub", "Docker Hub", "dockerhub", ("path",), "repository, Webhooks",
            digest="no", tag="yes",
        ),
        Dialect(
            "ghcr", "GitHub Packages", "ghcr", ("hmac",),
            'repository or organisation webhook, event "Packages"', digest="yes",
            signature_headers=("X-Hub-Signature-256",),
        ),
        Dialect(
            "gitea", "Gitea, Forgejo", "gitea", ("hmac", "header", "bearer", "path"),
            'webhook, event "Package"',
            signature_headers=("X-Gitea-Signature", "X-Forgejo-Signature"),
        ),
        Dialect(
            "acr", "Azure Container Registry webhook", "acr", _STATIC,
            'registry, Webhooks, "Custom headers"', digest="yes", tag="yes",
        ),
        Dialect(
            "acr-eventgrid", "the same through Event Grid", "acr_eventgrid", (*_STATIC, "oidc"),
            "event subscription, Event Grid or CloudEvents schema", digest="yes", tag="yes",
            event_grid=True,
        ),
        Dialect(
            "ecr-eventbridge", "Amazon ECR by API destination", "ecr_eventbridge",
            (*_STATIC, "oidc"), 'EventBridge rule on "ECR Image Action"', digest="yes",
        ),
        Dialect(
            "ecr-sns", "Amazon ECR by SNS topic", "ecr_sns", ("sns",),
            "the same rule, with an SNS topic as target", digest="yes",
        ),
        Dialect(
            "gar", "Google Artifact Registry by Pub/Sub", "gar", ("oidc",),
            "push subscription of topic `gcr` with authentication", digest="yes", issuer=_GOOGLE,
        ),
        Dialect(
            "artifactory", "JFrog Artifactory", "artifactory", (*_STATIC, "hmac"),
            'webhook, domain "Docker"', digest="yes", tag="yes",
            signature_headers=("X-JFrog-Event-Auth",), header="X-JFrog-Event-Auth",
        ),
        Dialect(
            "nexus", "Sonatype Nexus Repository 3", "nexus", ("hmac",),
            'capability "Webhook: Repository"', digest="no", tag="yes",
            signature_headers=("X-Nexus-Webhook-Signature",), signature_hash="sha1",
        ),
        Dialect(
            "harness", "Harness Artifact Registry", "harness", (*_STATIC, "hmac"),
            "registry, Webhooks", tag="yes", signature_headers=("X-Harness-Signature",),
        ),
        Dialect(
            "cloudevents", "anything that sends CloudEvents or CDEvents", "cloudevents",
            (*_STATIC, "oidc", "hmac"), "below", event_grid=True,
        ),
        Dialect("generic-hmac", "a script", "generic", ("hmac",), "below"),
    )
}  # fmt: skip
