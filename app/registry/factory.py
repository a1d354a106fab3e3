"""Making a registry client out of its configuration."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

import httpx

from app.config.model import CredentialsConfig, RegistryConfig
from app.config.secrets import Secret
from app.errors import ConfigurationError
from app.registry.auth.accounts import Anonymous, CredentialProvider, StaticCredential
from app.registry.auth.tokens import MAX_TOKEN_BYTES, Authenticator, RealmPolicy, type_exchange
from app.registry.http.client import RegistryClient, Timeouts, read_bounded, transport_errors
from app.registry.http.network import AddressPolicy, GuardedTransport
from app.registry.http.retrying import RetryPolicy
from app.registry.http.slots import Slots
from app.registry.protocols import Coordination, RateLimit, Registry
from app.registry.quirks import quirks_for
from app.registry.remote.registry import RemoteRegistry

#: A slot is worth waiting for longer than any single answer, in seconds.
SLOT_PATIENCE = 600.0


def open_registry(
    config: RegistryConfig, coordination: Coordination, *, retry: RetryPolicy | None = None
) -> Registry:
    """Open one registry. Nothing is contacted yet; raises ``ConfigurationError``.

    ``retry`` replaces the policy that ``config.limits`` asks for.
    """
    base = httpx.URL(config.url.rstrip("/"))
    quirks, limits = quirks_for(base.host, config.quirks), config.limits
    named = {base.host, *map(_name, quirks.upload_hosts), *map(_name, quirks.auth_hosts)}
    policy = AddressPolicy(frozenset(named if config.allow_private_addresses else ()))
    # Answers arrive while transfers are under way: redirects and token servers need room.
    transport = GuardedTransport(policy, _context(config.ca_file), 4 * limits.concurrency)
    timeouts = Timeouts(limits.connect_timeout, limits.read_timeout)
    client = RegistryClient(
        base,
        transport,
        coordination,
        limit=RateLimit(limits.requests_per_second, limits.burst),
        timeouts=timeouts,
        slots=Slots(limits.concurrency, limits.repository_concurrency, patience=SLOT_PATIENCE),
        retry=retry or RetryPolicy(limits.attempts),
        hosts=quirks.upload_hosts,
    )
    exchange = _Exchange(transport, timeouts)
    realms = RealmPolicy(base, quirks.auth_hosts)
    client.auth = Authenticator(realms, credential_provider(config, exchange), exchange)
    return RemoteRegistry(config.id, config.reference_host, client, quirks, coordination)


def credential_provider(config: RegistryConfig, exchange: type_exchange) -> CredentialProvider:
    """Return what yields the account of a registry. Raises ``ConfigurationError``."""
    credentials = config.credentials
    kind = credentials.kind
    if kind == "anonymous":
        return Anonymous()
    if kind == "docker-config":
        from app.registry.auth.credentials import DockerConfig, default_docker_config

        path = credentials.docker_config
        return DockerConfig(Path(path) if path else default_docker_config(), config.reference_host)
    if kind in ("basic", "identity-token"):
        return _static(config, credentials)
    from app.registry.auth.clouds import cloud_provider

    return cloud_provider(config, exchange)


def _static(config: RegistryConfig, credentials: CredentialsConfig) -> CredentialProvider:
    what = f"registry {config.id}: credentials.password"
    if credentials.password is None:
        raise ConfigurationError(f"{what} is missing", advice=f"kind {credentials.kind} needs it")
    secret = Secret(credentials.password, what)
    if credentials.kind == "identity-token":
        return StaticCredential(None, secret.value)
    if not credentials.username:
        raise ConfigurationError(f"registry {config.id}: credentials.username is missing")
    return StaticCredential(credentials.username, secret.value)


class _Exchange:
    """Requests to token servers: no redirects, no retries, bounded answers."""

    def __init__(self, transport: httpx.BaseTransport, timeouts: Timeouts) -> None:
        self._transport, self._timeouts = transport, timeouts

    def __call__(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        request = httpx.Request(
            method,
            url,
            headers={"Accept-Encoding": "identity", **headers},
            data=form,
            extensions={"timeout": self._timeouts.extension},
        )
        what = f"token server {url.host}"
        with transport_errors(what):
            response = self._transport.handle_request(request)
            try:
                body = read_bounded(response, MAX_TOKEN_BYTES, what)
            finally:
                response.close()
        return response.status_code, response.headers, body


def _name(host: str) -> str:
    return host.partition(":")[0].lower()


def _context(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"ca_file {ca_file}: {error}") from None
    return context
