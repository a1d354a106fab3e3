"""Configuration of a registry: where it is, as whom we call, how it deviates, our limits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from app.catalog.vocabulary import ContentRange, ReferrersForm, Upload
from app.config.source import ConfigModel, SecretSource
from app.config.webhook import WebhookConfig

RegistryId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class CredentialsConfig(ConfigModel):
    """How to authenticate to a registry.

    `docker-config` reads a mounted `config.json` with its helpers; `ecr`, `acr` and `gar`
    exchange ambient cloud identities and need the extra of that name.
    """

    kind: Literal["anonymous", "basic", "identity-token", "docker-config", "ecr", "acr", "gar"] = (
        "anonymous"
    )
    """Where the account comes from."""
    username: str | None = None
    """`basic`: user name, such as a robot account's."""
    password: SecretSource | None = None
    """`basic`: password; `identity-token`: the token."""
    docker_config: str | None = None
    """`docker-config`: path of the file; Docker's own place when absent."""
    region: str | None = None
    """`ecr`: AWS region; inferred from the host when absent."""
    account: str | None = None
    """`ecr`: AWS account; inferred from the host when absent."""


class QuirksConfig(ConfigModel):
    """Deviations of a registry from the distribution spec; known ones are set by its host."""

    upload: Upload = "monolithic"
    """Upload form: one streamed PUT, or PATCH requests of `chunk_bytes`."""
    chunk_bytes: int = Field(default=4 << 20, ge=1 << 16, le=1 << 30)
    """Bytes of one PATCH request."""
    upload_hosts: tuple[str, ...] = ()
    """Hosts besides the registry's own that an upload may be sent to."""
    auth_hosts: tuple[str, ...] = ()
    """Hosts besides the registry's own that may be asked for tokens."""
    content_range: ContentRange = "plain"
    """Form of `Content-Range`: `a-b`, or `bytes a-b/*`, which ACR refuses."""
    referrers: ReferrersForm = "auto"
    """`auto` believes the `OCI-Subject` header; the others override it."""


class LimitsConfig(ConfigModel):
    """What we ask of a registry at most, over all workers together."""

    requests_per_second: float = Field(default=50.0, gt=0, le=10_000)
    """Requests a second on average."""
    burst: int = Field(default=100, ge=1)
    """Requests at once after a quiet time."""
    concurrency: int = Field(default=8, ge=1, le=256)
    """Jobs and transfers at the same time."""
    repository_concurrency: int = Field(default=4, ge=1, le=256)
    """The same within one repository, so that one cannot take all."""
    connect_timeout: float = Field(default=10.0, gt=0)
    """Seconds to connect."""
    read_timeout: float = Field(default=60.0, gt=0)
    """Seconds without a byte until a transfer counts as broken."""
    attempts: int = Field(default=5, ge=1, le=20)
    """Attempts of a safe request, the first included."""


class RegistryConfig(ConfigModel):
    """One registry we may contact; nothing else is ever contacted."""

    id: RegistryId
    """Name in rules, in the API and in the webhook's path `/webhooks/{id}`."""
    url: str = Field(pattern=r"^https?://[^/@?#]+/?$")
    """`https://host[:port]`, or `http://` when the operator accepts it."""
    host: str | None = None
    """Host as image references name it, when it differs from the URL's."""
    credentials: CredentialsConfig = CredentialsConfig()
    """As whom we call; anonymous when absent."""
    quirks: QuirksConfig = QuirksConfig()
    """Deviations from the distribution spec."""
    limits: LimitsConfig = LimitsConfig()
    """What we ask of it at most."""
    webhook: WebhookConfig | None = None
    """How its events are received; without it only sweeps and requests find images."""
    ca_file: str | None = None
    """PEM file of certificate authorities to trust besides the system's."""
    allow_private_addresses: bool = False
    """Allow loopback and private addresses, which are refused after resolution otherwise."""
    actor: str | None = None
    """Robot account we push as; its events are dropped by the loop guard."""
    repositories: tuple[str, ...] = ()
    """Repositories to sweep, where the registry has no catalog."""

    @property
    def reference_host(self) -> str:
        """Host as image references name it."""
        return self.host or self.url.split("://", 1)[1].rstrip("/")
