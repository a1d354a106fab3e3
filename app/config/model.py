"""The configuration document: registries, rules, signers, defaults.

Pure pydantic models; ``app.config.file`` reads YAML into them with errors that point at the line.
Every field has a default that is safe, or none and must be given.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from app.config.source import ConfigModel as ConfigModel
from app.config.source import SecretSource as SecretSource
from app.config.webhook import Dialect as Dialect
from app.config.webhook import WebhookConfig as WebhookConfig
from app.oci.descriptor import Platform

RegistryId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class CredentialsConfig(ConfigModel):
    """How to authenticate to a registry.

    ``docker-config`` reads a mounted ``config.json`` with its helpers; ``ecr``, ``acr`` and ``gar``
    exchange ambient cloud identities and need the extra of that name.
    """

    kind: Literal["anonymous", "basic", "identity-token", "docker-config", "ecr", "acr", "gar"] = (
        "anonymous"
    )
    username: str | None = None
    password: SecretSource | None = None
    docker_config: str | None = None
    #: ECR: AWS region and account; inferred from the host when absent.
    region: str | None = None
    account: str | None = None


class QuirksConfig(ConfigModel):
    """Deviations of a registry from the distribution spec; see docs/registries.md."""

    #: Upload form: one streamed PUT, or PATCH chunks of ``chunk_bytes``.
    upload: Literal["monolithic", "chunked"] = "monolithic"
    chunk_bytes: int = Field(default=4 << 20, ge=1 << 16, le=1 << 30)
    #: Where the upload Location or token realm may point besides the registry's own host.
    upload_hosts: tuple[str, ...] = ()
    auth_hosts: tuple[str, ...] = ()
    #: ``bytes a-b/*`` is refused by ACR, which wants ``a-b``.
    content_range: Literal["plain", "bytes"] = "plain"
    #: ``auto`` believes the OCI-Subject header; the others override it.
    referrers: Literal["auto", "api", "fallback-tag"] = "auto"


class LimitsConfig(ConfigModel):
    """What we ask of a registry at most, over all workers together."""

    requests_per_second: float = Field(default=50.0, gt=0, le=10_000)
    burst: int = Field(default=100, ge=1)
    concurrency: int = Field(default=8, ge=1, le=256)
    repository_concurrency: int = Field(default=4, ge=1, le=256)
    connect_timeout: float = Field(default=10.0, gt=0)
    read_timeout: float = Field(default=60.0, gt=0)
    #: Attempts of a safe request, the first included.
    attempts: int = Field(default=5, ge=1, le=20)


class RegistryConfig(ConfigModel):
    """One registry we may contact; nothing else is ever contacted."""

    id: RegistryId
    #: ``https://host[:port]``, or ``http://`` when the operator accepts it.
    url: str = Field(pattern=r"^https?://[^/@?#]+/?$")
    #: Host as image references name it, when it differs from the URL's.
    host: str | None = None
    credentials: CredentialsConfig = CredentialsConfig()
    quirks: QuirksConfig = QuirksConfig()
    limits: LimitsConfig = LimitsConfig()
    webhook: WebhookConfig | None = None
    ca_file: str | None = None
    #: Loopback and private addresses are refused after resolution unless this says otherwise.
    allow_private_addresses: bool = False
    #: Robot account we push as; its events are dropped by the loop guard.
    actor: str | None = None
    #: Repositories to sweep where the registry has no catalog.
    repositories: tuple[str, ...] = ()

    @property
    def reference_host(self) -> str:
        """Host as image references name it."""
        return self.host or self.url.split("://", 1)[1].rstrip("/")


ProfileName = Literal[
    "containerd-erofs", "azl", "notary-tar-index", "notation", "tardev", "verilayer", "rfc-layer"
]

BuilderVersion = Literal["1.8.6", "1.8.8", "1.8.9", "1.8.10", "1.9", "1.9.1", "1.9.2", "1.9.3"]


class BuildConfig(ConfigModel):
    """How layers are built; part of the build key."""

    builder_version: BuilderVersion = "1.9.3"
    padding: Literal[512, 4096] = 512
    #: Warning kinds (see docs/formats.md) that do not stop publication.
    allow_lossy: tuple[str, ...] = ()
    max_uncompressed_bytes: int = Field(default=64 << 30, ge=1 << 20)
    max_ratio: float = Field(default=1100.0, gt=1)
    max_entries: int = Field(default=2_000_000, ge=1)


class SignerConfig(ConfigModel):
    """One key, by name; details by kind are checked by ``workers.signing`` at start."""

    name: RegistryId
    kind: Literal[
        "pem", "pkcs11", "aws-kms", "azure-kms", "gcp-kms", "vault", "command", "ephemeral"
    ]
    #: Key file, PKCS#11 URI, KMS key id, Vault path.
    key: str | None = None
    #: PEM certificate chain, leaf first.
    certificate: str | None = None
    passphrase: SecretSource | None = None
    embed_certificate: bool = True
    #: Beyond RSA, Linux 6.12 accepts ECDSA P-256 and P-384; other readers may not.
    allow_ecdsa: bool = False
    command: tuple[str, ...] = ()
    #: Kind-specific options, such as ``module`` and ``token`` of PKCS#11.
    options: dict[str, str] = Field(default_factory=dict)


class Rule(ConfigModel):
    """The first rule that matches a push decides what happens to it."""

    name: str = Field(min_length=1, max_length=100)
    registry: str = "*"
    #: Shell-style globs over repository and tag.
    repositories: tuple[str, ...] = ("*",)
    tags: tuple[str, ...] = ("*",)
    #: ``os/arch[/variant]`` globs.
    platforms: tuple[str, ...] = ("linux/*",)
    max_image_bytes: int | None = Field(default=None, ge=1)
    action: Literal["convert", "ignore"] = "convert"
    profiles: tuple[ProfileName, ...] = ()
    signer: str | None = None
    priority: Literal["high", "normal", "low"] = "normal"

    def matches_push(self, registry: str, repository: str, tag: str | None) -> bool:
        """Whether this rule applies, as far as can be told before the manifest is read.

        A push by digest alone has no tag and matches only rules that accept every tag.
        """
        return (
            fnmatchcase(registry, self.registry)
            and any(fnmatchcase(repository, glob) for glob in self.repositories)
            and any(
                glob == "*" or (tag is not None and fnmatchcase(tag, glob)) for glob in self.tags
            )
        )

    def matches_platform(self, platform: Platform) -> bool:
        """Whether a platform manifest is to be converted; ``linux/*`` spans variants."""
        return any(fnmatchcase(str(platform), glob) for glob in self.platforms)


RoleName = Literal["read", "operate", "admin"]


class AdminToken(ConfigModel):
    """An API token, kept as the sha256 (hex) of its text."""

    name: str = Field(min_length=1, max_length=64)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    role: RoleName = "read"


class AdminOidcConfig(ConfigModel):
    """JWTs of an OIDC issuer accepted by the admin API."""

    issuer: str
    audience: str
    jwks_url: str = Field(pattern=r"^https?://")
    #: Claim that names groups or roles, and what they map to here.
    role_claim: str = "groups"
    roles: dict[str, RoleName] = Field(default_factory=dict)


class AdminConfig(ConfigModel):
    """Who may use the admin API and the console. Without tokens and OIDC it answers 401 to all."""

    tokens: tuple[AdminToken, ...] = ()
    oidc: AdminOidcConfig | None = None
    #: Requests per minute and caller.
    requests_per_minute: int = Field(default=600, ge=1)


class Defaults(ConfigModel):
    """What a rule leaves open."""

    profiles: tuple[ProfileName, ...] = ("containerd-erofs",)
    signer: str | None = None
    #: Order of replacing a bundle: readers of ``containerd-erofs`` fail on two at once.
    replace: Literal["push-then-delete", "delete-then-push"] = "push-then-delete"
    #: Profile -> suffix of a deterministic tag ``sha256-<hex>.<suffix>`` beside the referrer.
    tag_suffixes: dict[ProfileName, Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,32}$")]] = (
        Field(default_factory=dict)
    )


class SweepConfig(ConfigModel):
    """The scheduled sweep, which finds what lost events left behind."""

    enabled: bool = True
    #: Hours from the start of one sweep of a registry to the start of the next.
    interval_hours: float = Field(default=24.0, gt=0)


class ServiceConfig(ConfigModel):
    """The whole document."""

    version: Literal[1] = 1
    registries: tuple[RegistryConfig, ...] = ()
    rules: tuple[Rule, ...] = ()
    signers: tuple[SignerConfig, ...] = ()
    build: BuildConfig = BuildConfig()
    defaults: Defaults = Defaults()
    sweep: SweepConfig = SweepConfig()
    admin: AdminConfig = AdminConfig()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for what, names in (
            ("registry id", [registry.id for registry in self.registries]),
            ("rule name", [rule.name for rule in self.rules]),
            ("signer name", [signer.name for signer in self.signers]),
        ):
            doubled = sorted({name for name in names if names.count(name) > 1})
            if doubled:
                raise ValueError(f"{what} used twice: {', '.join(doubled)}")
        known = {signer.name for signer in self.signers}
        wanted = {rule.signer for rule in self.rules} | {self.defaults.signer}
        unknown = sorted(name for name in wanted if name is not None and name not in known)
        if unknown:
            raise ValueError(f"signer not configured: {', '.join(unknown)}")
        return self

    def registry(self, registry_id: str) -> RegistryConfig | None:
        """Find a registry by id."""
        return next((r for r in self.registries if r.id == registry_id), None)

    def match(self, registry: str, repository: str, tag: str | None) -> Rule | None:
        """Return the first rule that applies to a push, or None: nothing is converted."""
        for rule in self.rules:
            if rule.matches_push(registry, repository, tag):
                return rule
        return None
