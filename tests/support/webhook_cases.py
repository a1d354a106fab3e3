"""Deliveries of every dialect as its sender makes them, and what must come of each.

A case without events is one to ignore, for the reason named; ``REJECTED`` are bodies that are not
the dialect's at all.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.catalog.dialects import DialectName
from app.webhooks.delivery import Delivery

DIGEST = "sha256:" + "4d" * 32
OTHER = "sha256:" + "e3" * 32
OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
BUNDLE = "application/vnd.containerd.erofs.dmverity.v1"


@dataclass(frozen=True, slots=True)
class Case:
    """One delivery; ``events`` are (repository, tag, digest)."""

    name: str
    dialect: DialectName
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    events: tuple[tuple[str, str | None, str | None], ...] = ()
    ignored: tuple[str, ...] = ()
    #: Further fields of the first event.
    facts: Mapping[str, object] = field(default_factory=dict)

    @property
    def delivery(self) -> Delivery:
        """As the endpoint gets it."""
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        return Delivery({name.lower(): value for name, value in self.headers.items()}, body)


APP = ("team/app", "1.4", DIGEST)
APP_TAG = ("team/app", "1.4", None)
APP_DIGEST = ("team/app", None, DIGEST)


def _distribution(action: str = "push", **target: object) -> dict[str, object]:
    return {
        "id": "7c1e0b2a-1",
        "timestamp": "2026-01-02T03:04:05.123Z",
        "action": action,
        "target": {
            "mediaType": OCI,
            "size": 702,
            "length": 702,
            "digest": DIGEST,
            "repository": "team/app",
            "url": f"http://evil.example/v2/team/app/manifests/{DIGEST}",
            "tag": "1.4",
            "references": [],
        }
        | target,
        "request": {"id": "r1", "addr": "10.0.0.9:4411", "host": "evil.example", "method": "PUT"},
        "actor": {"name": "ci"},
        "source": {"addr": "reg-0:5000", "instanceID": "i-1"},
    }


def _harbor(kind: str = "PUSH_ARTIFACT", tag: str = "1.4", **more: object) -> dict[str, object]:
    return {
        "type": kind,
        "occur_at": 1767323045,
        "operator": "robot$ci",
        "event_data": {
            "resources": [
                {"digest": DIGEST, "tag": tag, "resource_url": f"harbor.example/team/app:{tag}"}
            ],
            "repository": {
                "date_created": 1767000000,
                "name": "app",
                "namespace": "team",
                "repo_full_name": "team/app",
                "repo_type": "private",
            },
        },
        **more,
    }


def _harbor_cloudevent(kind: str) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": "0f6b-1",
        "source": "/projects/2/webhook/policies/15",
        "type": kind,
        "datacontenttype": "application/json",
        "operator": "admin",
        "data": _harbor()["event_data"],
    }


def _zot(reference: str = "1.4", manifest: Mapping[str, object] | None = None) -> dict[str, object]:
    document = manifest or {
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": {"mediaType": OCI_CONFIG, "digest": OTHER, "size": 2},
        "layers": [],
    }
    return {
        "name": "team/app",
        "reference": reference,
        "digest": DIGEST,
        "mediaType": OCI,
        "manifest": json.dumps(document),
        "actor": {"name": "ci"},
        "request": {"addr": "10.0.0.9", "method": "PUT", "useragent": "x"},
    }


_ZOT_REFERRER = {
    "schemaVersion": 2,
    "mediaType": OCI,
    "artifactType": BUNDLE,
    "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": OTHER, "size": 2},
    "layers": [],
    "subject": {"mediaType": OCI, "digest": OTHER, "size": 500},
}


def _ghcr(
    key: str = "package", action: str = "published", kind: str = "CONTAINER", tag: str = "1.4"
) -> dict[str, object]:
    return {
        "action": action,
        key: {
            "name": "App",
            "package_type": kind,
            "owner": {"login": "Team"},
            "package_version": {
                "version": DIGEST,
                "name": DIGEST,
                "package_url": "ghcr.io/team/app:1.4",
                "container_metadata": {
                    "tag": {"name": tag, "digest": DIGEST},
                    "manifest": {"digest": DIGEST, "config": {"media_type": OCI_CONFIG}},
                },
            },
        },
        "sender": {"login": "ci-bot"},
    }


_GHCR = {"X-GitHub-Event": "package", "X-GitHub-Delivery": "72d3162e-cc78"}


def _gitea(action: str = "created", kind: str = "container", version: str = "1.4") -> Any:
    return {
        "action": action,
        "repository": None,
        "package": {
            "id": 7,
            "owner": {"login": "Team"},
            "type": kind,
            "name": "app",
            "version": version,
            "html_url": "https://git.example/team/-/packages/container/app/1.4",
        },
        "organization": {},
        "sender": {"login": "ci"},
    }


def _acr(action: str = "push", media_type: str = OCI) -> dict[str, object]:
    return {
        "id": "cb8c3971-9adc",
        "timestamp": "2026-01-02T03:04:05.1Z",
        "action": action,
        "target": {
            "mediaType": media_type,
            "size": 524,
            "digest": DIGEST,
            "length": 524,
            "repository": "team/app",
            "tag": "1.4",
        },
        "request": {"id": "3cbb", "host": "evil.azurecr.io", "method": "PUT", "useragent": "x"},
    }


def _event_grid(kind: str = "Microsoft.ContainerRegistry.ImagePushed") -> dict[str, object]:
    return {
        "id": "831e1650",
        "topic": "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerRegistry/r",
        "subject": "team/app:1.4",
        "eventType": kind,
        "eventTime": "2026-01-02T03:04:05.1Z",
        "data": _acr(),
        "dataVersion": "1.0",
        "metadataVersion": "1",
    }


def _ecr(action: str = "PUSH", result: str = "SUCCESS", **detail: object) -> dict[str, object]:
    return {
        "version": "0",
        "id": "13cde686-328b",
        "detail-type": "ECR Image Action",
        "source": "aws.ecr",
        "account": "111122223333",
        "time": "2026-01-02T03:04:05Z",
        "region": "eu-west-1",
        "resources": [],
        "detail": {
            "result": result,
            "repository-name": "team/app",
            "image-digest": DIGEST,
            "action-type": action,
            "image-tag": "1.4",
        }
        | detail,
    }


def _sns(message: object, kind: str = "Notification") -> dict[str, object]:
    return {
        "Type": kind,
        "MessageId": "165545c9-2a5c",
        "TopicArn": "arn:aws:sns:eu-west-1:111122223333:pushes",
        "Message": message if isinstance(message, str) else json.dumps(message),
        "Timestamp": "2026-01-02T03:04:05.000Z",
        "SignatureVersion": "1",
        "Signature": "AAAA",
        "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-a.pem",
    }


def _gar(**notice: object) -> dict[str, object]:
    data = base64.b64encode(json.dumps(notice).encode()).decode()
    return {
        "message": {"data": data, "messageId": "9", "publishTime": "2026-01-02T03:04:05Z"},
        "subscription": "projects/p/subscriptions/s",
    }


_GAR = "europe-docker.pkg.dev/p/r/app"


def _artifactory(domain: str = "docker", kind: str = "pushed", **data: object) -> Any:
    return {
        "domain": domain,
        "event_type": kind,
        "data": {
            "repo_key": "docker-local",
            "path": "team/app/1.4/manifest.json",
            "name": "manifest.json",
            "sha256": DIGEST.removeprefix("sha256:"),
            "size": 1206,
            "image_name": "team/app",
            "image_type": "docker",
            "tag": "1.4",
            "platforms": [{"architecture": "amd64", "os": "linux"}],
        }
        | data,
        "subscription_key": "k",
        "jpd_origin": "https://evil.example",
        "source": "jfrog/ci",
    }


def _nexus(action: str = "CREATED", kind: str = "docker") -> dict[str, object]:
    return {
        "timestamp": "2026-01-02T03:04:05.000+00:00",
        "nodeId": "52905B51",
        "initiator": "admin/10.0.0.9",
        "repositoryName": "docker-hosted",
        "action": action,
        "component": {
            "id": "08909bf0",
            "componentId": "ZG9j",
            "format": kind,
            "name": "team/app",
            "group": None,
            "version": "1.4",
        },
    }


_NEXUS = {"X-Nexus-Webhook-Id": "rm:repository:component", "X-Nexus-Webhook-Delivery": "d-1"}


def _harness(kind: str = "DOCKER", **artifact: object) -> dict[str, object]:
    return {
        "trigger": "artifact_created",
        "registry": {"id": 3, "name": "reg", "description": "", "url": "pkg.app.harness.io"},
        "principal": {"id": 9, "uid": "ci", "display_name": "CI", "type": "serviceaccount"},
        "artifact_info": {
            "type": kind,
            "name": "app",
            "version": "1.4",
            "artifact": {
                "name": "app",
                "tag": "1.4",
                "digest": DIGEST,
                "url": "pkg.app.harness.io/team/app:1.4",
            }
            | artifact,
        },
    }


_HARNESS = {"X-Harness-Event": "artifact.created"}

CASES: tuple[Case, ...] = (
    # CNCF distribution, and GitLab, whose registry it is.
    Case(
        "tag and digest",
        "distribution",
        {"events": [_distribution()]},
        events=(APP,),
        facts={"media_type": OCI, "actor": "ci", "delivery_id": "7c1e0b2a-1"},
    ),
    Case("digest alone", "distribution", {"events": [_distribution(tag="")]}, events=(APP_DIGEST,)),
    Case(
        "an index",
        "distribution",
        {"events": [_distribution(mediaType=OCI_INDEX)]},
        events=(APP,),
    ),
    Case("pull", "distribution", {"events": [_distribution("pull")]}, ignored=("action",)),
    Case("mount", "distribution", {"events": [_distribution("mount")]}, ignored=("action",)),
    Case(
        "blob",
        "distribution",
        {"events": [_distribution(mediaType="application/octet-stream")]},
        ignored=("media-type",),
    ),
    Case(
        "good among odd ones",
        "distribution",
        {
            "events": [
                "text",
                {"action": "push", "target": None},
                _distribution(digest="sha256:short"),
                _distribution(repository="../../etc"),
                _distribution(tag=None, digest=None),
                _distribution(),
            ]
        },
        events=(APP,),
        ignored=("malformed",) * 5,
    ),
    Case("empty envelope", "distribution", {"events": []}),
    Case("GitLab", "gitlab", {"events": [_distribution()]}, events=(APP,)),
    Case("GitLab delete", "gitlab", {"events": [_distribution("delete")]}, ignored=("action",)),
    # Harbor
    Case("default", "harbor", _harbor(), events=(APP,), facts={"actor": "robot$ci"}),
    Case("pushed by digest", "harbor", _harbor(tag=DIGEST), events=(APP_DIGEST,)),
    Case(
        "CloudEvents",
        "harbor",
        _harbor_cloudevent("harbor.artifact.pushed"),
        events=(APP,),
        facts={"delivery_id": "0f6b-1/0"},
    ),
    Case("pull", "harbor", _harbor("PULL_ARTIFACT"), ignored=("action",)),
    Case(
        "CloudEvents delete",
        "harbor",
        _harbor_cloudevent("harbor.artifact.deleted"),
        ignored=("action",),
    ),
    Case("scan", "harbor", _harbor("SCANNING_COMPLETED"), ignored=("event-type",)),
    Case("nothing pushed", "harbor", _harbor(event_data={}), ignored=("malformed",)),
    # zot
    Case(
        "updated",
        "zot",
        _zot(),
        {"Ce-Type": "zotregistry.image.updated", "Ce-Id": "z1", "Ce-Source": "zotregistry.dev"},
        events=(APP,),
        facts={"delivery_id": "z1", "actor": "ci", "has_subject": False},
    ),
    Case(
        "by digest",
        "zot",
        _zot(DIGEST),
        {"Ce-Type": "zotregistry.image.updated"},
        events=(APP_DIGEST,),
    ),
    Case(
        "referrer, told by its manifest",
        "zot",
        _zot(DIGEST, _ZOT_REFERRER),
        {"Ce-Type": "zotregistry.image.updated"},
        events=(APP_DIGEST,),
        facts={"has_subject": True, "artifact_type": BUNDLE},
    ),
    Case(
        "deleted",
        "zot",
        {"name": "team/app"},
        {"Ce-Type": "zotregistry.image.deleted"},
        ignored=("action",),
    ),
    Case(
        "repository created",
        "zot",
        {"name": "team/app"},
        {"Ce-Type": "zotregistry.repository.created"},
        ignored=("event-type",),
    ),
    # Quay
    Case(
        "two tags",
        "quay",
        {
            "name": "app",
            "repository": "team/app",
            "namespace": "team",
            "docker_url": "evil.example/team/app",
            "homepage": "https://evil.example/repository/team/app",
            "updated_tags": ["1.4", "latest"],
        },
        events=(APP_TAG, ("team/app", "latest", None)),
    ),
    Case(
        "very old form",
        "quay",
        {"repository": "team/app", "updated_tags": {"1.4": "imageid"}},
        events=(APP_TAG,),
    ),
    Case("build", "quay", {"repository": "team/app", "build_id": "b"}, ignored=("event-type",)),
    Case(
        "bad tag",
        "quay",
        {"repository": "team/app", "updated_tags": ["no such tag", 3]},
        ignored=("malformed", "malformed"),
    ),
    # Docker Hub
    Case(
        "push",
        "dockerhub",
        {
            "callback_url": "https://evil.example/callback",
            "push_data": {"pushed_at": 1767323045, "pusher": "ci", "tag": "1.4"},
            "repository": {
                "name": "app",
                "namespace": "team",
                "repo_name": "team/app",
                "repo_url": "https://hub.docker.com/r/team/app",
            },
        },
        events=(APP_TAG,),
        facts={"actor": "ci"},
    ),
    Case(
        "no tag",
        "dockerhub",
        {"push_data": {}, "repository": {"repo_name": "team/app"}},
        ignored=("malformed",),
    ),
    # GitHub
    Case(
        "package",
        "ghcr",
        _ghcr(),
        _GHCR,
        events=(APP,),
        facts={"delivery_id": "72d3162e-cc78", "actor": "ci-bot", "artifact_type": None},
    ),
    Case(
        "registry_package",
        "ghcr",
        _ghcr("registry_package", kind="docker"),
        {"X-GitHub-Event": "registry_package"},
        events=(APP,),
    ),
    Case("untagged", "ghcr", _ghcr(tag=""), _GHCR, events=(APP_DIGEST,)),
    Case("deleted", "ghcr", _ghcr(action="deleted"), _GHCR, ignored=("action",)),
    Case("npm", "ghcr", _ghcr(kind="npm"), _GHCR, ignored=("package-type",)),
    Case("ping", "ghcr", {"zen": "x"}, {"X-GitHub-Event": "ping"}, ignored=("event-type",)),
    Case("no package", "ghcr", {"action": "published"}, _GHCR, ignored=("malformed",)),
    # Gitea and Forgejo
    Case(
        "tag",
        "gitea",
        _gitea(),
        {"X-Gitea-Event": "package", "X-Gitea-Delivery": "g1"},
        events=(APP_TAG,),
        facts={"delivery_id": "g1", "actor": "ci"},
    ),
    Case(
        "Forgejo, digest",
        "gitea",
        _gitea(version=DIGEST),
        {"X-Forgejo-Event": "package"},
        events=(APP_DIGEST,),
    ),
    Case("npm", "gitea", _gitea(kind="npm"), {"X-Gitea-Event": "package"}, (), ("package-type",)),
    Case("deleted", "gitea", _gitea("deleted"), {"X-Gitea-Event": "package"}, (), ("action",)),
    Case("push", "gitea", {"ref": "main"}, {"X-Gitea-Event": "push"}, (), ("event-type",)),
    # ACR
    Case("push", "acr", _acr(), events=(APP,), facts={"delivery_id": "cb8c3971-9adc"}),
    Case("delete", "acr", _acr("delete"), ignored=("action",)),
    Case("chart", "acr", _acr("chart_push"), ignored=("action",)),
    Case("blob", "acr", _acr(media_type="application/octet-stream"), ignored=("media-type",)),
    Case("ping", "acr", {"id": "1", "action": "ping"}, ignored=("event-type",)),
    Case("no target", "acr", {"id": "1", "action": "push"}, ignored=("malformed",)),
    Case(
        "list of two",
        "acr-eventgrid",
        [_event_grid(), _event_grid("Microsoft.ContainerRegistry.ImageDeleted")],
        events=(APP,),
        ignored=("event-type",),
        facts={"delivery_id": "831e1650"},
    ),
    Case(
        "CloudEvents",
        "acr-eventgrid",
        {
            "specversion": "1.0",
            "id": "831e",
            "source": "/subscriptions/s",
            "type": "Microsoft.ContainerRegistry.ImagePushed",
            "subject": "team/app:1.4",
            "data": _acr(),
        },
        events=(APP,),
    ),
    Case("odd entry", "acr-eventgrid", ["text", _event_grid()], {}, (APP,), ("malformed",)),
    # ECR
    Case("push", "ecr-eventbridge", _ecr(), {}, (APP,), facts={"delivery_id": "13cde686-328b"}),
    Case(
        "untagged image",
        "ecr-eventbridge",
        _ecr(**{"image-tag": "", "artifact-media-type": OCI_CONFIG}),
        events=(APP_DIGEST,),
        facts={"artifact_type": None},
    ),
    Case(
        "artifact",
        "ecr-eventbridge",
        _ecr(**{"manifest-media-type": OCI, "artifact-media-type": BUNDLE}),
        events=(APP,),
        facts={"artifact_type": BUNDLE},
    ),
    Case("failed push", "ecr-eventbridge", _ecr(result="FAILURE"), {}, (), ("action",)),
    Case("delete", "ecr-eventbridge", _ecr("DELETE"), {}, (), ("action",)),
    Case(
        "scan",
        "ecr-eventbridge",
        _ecr() | {"detail-type": "ECR Image Scan"},
        {},
        (),
        ("event-type",),
    ),
    Case("no detail", "ecr-eventbridge", _ecr() | {"detail": None}, {}, (), ("malformed",)),
    Case("notification", "ecr-sns", _sns(_ecr()), {}, (APP,)),
    Case("other text on the topic", "ecr-sns", _sns("hello"), {}, (), ("event-type",)),
    Case("goodbye", "ecr-sns", _sns("x", "UnsubscribeConfirmation"), {}, (), ("event-type",)),
    # Google
    Case(
        "insert",
        "gar",
        _gar(action="INSERT", digest=f"{_GAR}@{DIGEST}", tag=f"{_GAR}:1.4"),
        events=(("p/r/app", "1.4", DIGEST),),
        facts={"delivery_id": "9"},
    ),
    Case(
        "digest alone",
        "gar",
        _gar(action="INSERT", digest=f"{_GAR}@{DIGEST}"),
        events=(("p/r/app", None, DIGEST),),
    ),
    Case("delete", "gar", _gar(action="DELETE", tag=f"{_GAR}:1.4"), {}, (), ("action",)),
    Case("not a reference", "gar", _gar(action="INSERT", tag="app"), {}, (), ("malformed",)),
    # Artifactory
    Case("pushed", "artifactory", _artifactory(), events=(APP,)),
    Case(
        "index",
        "artifactory",
        _artifactory(name="list.manifest.json", path="team/app/1.4/list.manifest.json"),
        events=(APP,),
    ),
    Case("deleted", "artifactory", _artifactory(kind="deleted"), {}, (), ("action",)),
    Case("artifact", "artifactory", _artifactory("artifact"), {}, (), ("event-type",)),
    Case("helm", "artifactory", _artifactory(image_type="helm"), {}, (), ("package-type",)),
    Case("bad digest", "artifactory", _artifactory(sha256="zz"), {}, (), ("malformed",)),
    # Nexus
    Case(
        "created",
        "nexus",
        _nexus(),
        _NEXUS,
        events=(APP_TAG,),
        facts={"actor": "admin", "delivery_id": "d-1"},
    ),
    Case("deleted", "nexus", _nexus("DELETED"), _NEXUS, (), ("action",)),
    Case("maven", "nexus", _nexus(kind="maven2"), _NEXUS, (), ("package-type",)),
    Case(
        "asset",
        "nexus",
        {"action": "CREATED"},
        {"X-Nexus-Webhook-Id": "rm:repository:asset"},
        (),
        ("event-type",),
    ),
    # Harness
    Case("created", "harness", _harness(), _HARNESS, events=(APP,), facts={"actor": "ci"}),
    Case(
        "by name alone",
        "harness",
        _harness(url=None, name="team/app", digest=None),
        events=(APP_TAG,),
    ),
    Case("maven", "harness", _harness("MAVEN"), _HARNESS, (), ("package-type",)),
    Case(
        "deleted", "harness", _harness(), {"X-Harness-Event": "artifact.deleted"}, (), ("action",)
    ),
    Case("other", "harness", {"trigger": "branch_created"}, {}, (), ("event-type",)),
    # Generic
    Case(
        "structured",
        "cloudevents",
        {
            "specversion": "1.0",
            "id": "c1",
            "source": "/ci",
            "type": "dev.verilayer.image.pushed",
            "data": {"image": f"reg.example/team/app:1.4@{DIGEST}"},
        },
        events=(APP,),
        facts={"delivery_id": "c1"},
    ),
    Case(
        "binary",
        "cloudevents",
        {"repository": "team/app", "tag": "1.4"},
        {"Ce-Type": "dev.verilayer.image.pushed", "Ce-Id": "c2"},
        events=(APP_TAG,),
        facts={"delivery_id": "c2"},
    ),
    Case(
        "CDEvents",
        "cloudevents",
        {
            "specversion": "1.0",
            "id": "c3",
            "source": "/ci",
            "type": "dev.cdevents.artifact.published.0.2.0",
            "data": {
                "subject": {
                    "id": f"pkg:oci/app@{DIGEST.replace(':', '%3A')}"
                    "?repository_url=reg.example/team/app&tag=1.4"
                }
            },
        },
        events=(APP,),
    ),
    Case(
        "other type",
        "cloudevents",
        {"specversion": "1.0", "id": "c4", "type": "com.example.x", "data": {}},
        {},
        (),
        ("event-type",),
    ),
    Case(
        "other package",
        "cloudevents",
        {"subject": {"id": "pkg:npm/app@1"}},
        {"Ce-Type": "dev.cdevents.artifact.published.0.2.0", "Ce-Id": "c5"},
        (),
        ("package-type",),
    ),
    Case(
        "fields",
        "generic-hmac",
        {"repository": "team/app", "tag": "1.4", "digest": DIGEST, "id": "g1", "extra": [1]},
        events=(APP,),
        facts={"delivery_id": "g1"},
    ),
    Case("image", "generic-hmac", {"image": "reg.example/team/app:1.4"}, {}, (APP_TAG,)),
    Case("no reference", "generic-hmac", {"image": "app"}, {}, (), ("malformed",)),
    Case("nothing", "generic-hmac", {}, {}, (), ("malformed",)),
)

#: Headers with which a dialect's body is looked at at all.
READING_HEADERS: Mapping[DialectName, Mapping[str, str]] = {
    "zot": {"ce-type": "zotregistry.image.updated"},
    "ghcr": {"x-github-event": "package"},
    "gitea": {"x-gitea-event": "package"},
    "nexus": {"x-nexus-webhook-id": "rm:repository:component"},
}

#: Bodies that no dialect accepts.
REJECTED: tuple[bytes, ...] = (
    b"",
    b"not json",
    b"null",
    b'"text"',
    b"17",
    b'{"events":',
    b"\xff\xfe{}",
    b"[" * 100_000,
)
