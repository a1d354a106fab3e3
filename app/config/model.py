"""The configuration document: registries, rules, signers, defaults.

Pure pydantic models; ``app.config.file`` reads YAML into them with errors that point at the line.
Every field has a default that is safe, or none and must be given. The docstring under a field is
its line in docs/configuration.md and in the JSON Schema.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from app.catalog.builders import DEFAULT_BUILDER
from app.catalog.profiles import DEFAULT_PROFILE
from app.catalog.vocabulary import Padding, Priority, ReplaceOrder, VerifyDepth
from app.config.admin import AdminConfig as AdminConfig
from app.config.admin import AdminOidcConfig as AdminOidcConfig
from app.config.admin import AdminToken as AdminToken
from app.config.choice import BuilderChoice, ProfileChoice, SignerChoice
from app.config.registry import CredentialsConfig as CredentialsConfig
from app.config.registry import LimitsConfig as LimitsConfig
from app.config.registry import QuirksConfig as QuirksConfig
from app.config.registry import RegistryConfig as RegistryConfig
from app.config.registry import RegistryId as RegistryId
from app.config.source import ConfigModel as ConfigModel
from app.config.source import SecretSource as SecretSource
from app.config.webhook import WebhookConfig as WebhookConfig
from app.oci.derived_tags import SUFFIX_PATTERN
from app.oci.descriptor import Platform


class BuildConfig(ConfigModel):
    """How layers are built; part of what makes two builds the same."""

    builder_version: BuilderChoice = DEFAULT_BUILDER
    """The erofs-utils release whose bytes our indexes equal; that of the nodes."""
    padding: Padding = 512
    """Alignment of the verity data area in bytes: 4096 for profile `azl`."""
    allow_lossy: tuple[str, ...] = ()
    """Kinds of warnings about layers that do not stop publication."""
    max_uncompressed_bytes: int = Field(default=64 << 30, ge=1 << 20)
    """Largest uncompressed layer."""
    max_ratio: float = Field(default=1100.0, gt=1)
    """Most uncompressed bytes for each compressed byte."""
    max_entries: int = Field(default=2_000_000, ge=1)
    """Most entries of one layer's archive."""


class SignerConfig(ConfigModel):
    """One key, by name; what each kind needs is in docs/keys.md."""

    name: RegistryId
    """Name in rules and defaults."""
    kind: SignerChoice
    """Where the key is kept; `ephemeral` makes one in the state folder, for trying out."""
    key: str | None = None
    """Key file, PKCS#11 URI, KMS key id or Vault path."""
    certificate: str | None = None
    """PEM file of the certificate chain, leaf first."""
    passphrase: SecretSource | None = None
    """Passphrase of the key file, or PIN of the token."""
    embed_certificate: bool = True
    """Put the certificate chain into signatures."""
    allow_ecdsa: bool = False
    """Accept ECDSA keys: Linux 6.12 verifies P-256 and P-384, other readers may not."""
    command: tuple[str, ...] = ()
    """`command`: program and arguments that sign standard input."""
    options: dict[str, str] = Field(default_factory=dict)
    """Options of the kind, such as `module` and `token` of PKCS#11."""


class Rule(ConfigModel):
    """The first rule that matches a push decides what happens to it.

    Globs are the shell's: `*` matches anything, slashes included, `?` one character.
    """

    name: str = Field(min_length=1, max_length=100)
    """Name in job records and in `verilayer rules test`."""
    registry: str = "*"
    """Glob over registry ids."""
    repositories: tuple[str, ...] = ("*",)
    """Globs over repositories."""
    tags: tuple[str, ...] = ("*",)
    """Globs over tags; a push without a tag matches only `*`."""
    platforms: tuple[str, ...] = ("linux/*",)
    """Globs over `os/arch[/variant]`."""
    max_image_bytes: int | None = Field(default=None, ge=1)
    """Larger images (sum of compressed layers) are skipped."""
    action: Literal["convert", "ignore"] = "convert"
    """What happens to the push."""
    profiles: tuple[ProfileChoice, ...] = ()
    """Formats to publish; those of the defaults when empty."""
    signer: str | None = None
    """Key that signs; that of the defaults when absent."""
    priority: Priority = "normal"
    """Order among waiting pushes."""

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


class Defaults(ConfigModel):
    """What a rule leaves open."""

    profiles: tuple[ProfileChoice, ...] = (DEFAULT_PROFILE,)
    """Formats to publish."""
    signer: str | None = None
    """Key that signs; without one only unsigned formats can be published."""
    replace: ReplaceOrder = "push-then-delete"
    """Order of replacing a bundle; readers of `containerd-erofs` fail while they see two."""
    tag_suffixes: dict[ProfileChoice, Annotated[str, Field(pattern=SUFFIX_PATTERN)]] = Field(
        default_factory=dict
    )
    """Profile -> suffix of a tag `sha256-<hex>.<suffix>` that is set beside the referrer."""


class SweepConfig(ConfigModel):
    """The scheduled sweep, which finds what lost events left behind."""

    enabled: bool = True
    """Sweep by the clock; `verilayer sweep` works either way."""
    interval_hours: float = Field(default=24.0, gt=0)
    """Hours from the start of one sweep of a registry to the start of the next."""
    verify: Literal["off", VerifyDepth] = "shallow"
    """How images found complete are verified: `shallow` reads index, tree and signatures as
    `verilayer verify` does, `deep` also builds the layers anew. What fails is converted again."""
    verify_every: int = Field(default=30, ge=1)
    """Sweeps in the course of which every image is verified once; 1: each time."""


class Inconsistent(ValueError):
    """Parts of the document contradict each other; ``places`` are (location, problem) pairs."""

    def __init__(self, places: list[tuple[tuple[str | int, ...], str]]) -> None:
        """The message joins all problems."""
        super().__init__("; ".join(problem for _, problem in places))
        self.places = places


class ServiceConfig(ConfigModel):
    """The whole document."""

    version: Literal[1] = 1
    """Version of this format."""
    registries: tuple[RegistryConfig, ...] = ()
    """Registries we may contact."""
    rules: tuple[Rule, ...] = ()
    """What happens to a push; without a rule that matches, nothing."""
    signers: tuple[SignerConfig, ...] = ()
    """Keys."""
    build: BuildConfig = BuildConfig()
    """How layers are built."""
    defaults: Defaults = Defaults()
    """What rules leave open."""
    sweep: SweepConfig = SweepConfig()
    """The scheduled sweep."""
    admin: AdminConfig = AdminConfig()
    """Who may use the admin API."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        places = [*self._doubled(), *self._unknown_signers()]
        if places:
            raise Inconsistent(places)
        return self

    def _doubled(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        for what, field, key, names in (
            ("registry id", "registries", "id", [registry.id for registry in self.registries]),
            ("rule name", "rules", "name", [rule.name for rule in self.rules]),
            ("signer name", "signers", "name", [signer.name for signer in self.signers]),
        ):
            for at, name in enumerate(names):
                if name in names[:at]:
                    yield (field, at, key), f"{what} used twice: {name}"

    def _unknown_signers(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        known = {signer.name for signer in self.signers}
        wanted: list[tuple[tuple[str | int, ...], str | None]] = [
            (("rules", at, "signer"), rule.signer) for at, rule in enumerate(self.rules)
        ]
        for place, name in [*wanted, (("defaults", "signer"), self.defaults.signer)]:
            if name is not None and name not in known:
                yield place, f"signer not configured: {name}"

    def registry(self, registry_id: str) -> RegistryConfig | None:
        """Find a registry by id."""
        return next((r for r in self.registries if r.id == registry_id), None)

    def match(self, registry: str, repository: str, tag: str | None) -> Rule | None:
        """Return the first rule that applies to a push, or None: nothing is converted."""
        for rule in self.rules:
            if rule.matches_push(registry, repository, tag):
                return rule
        return None
