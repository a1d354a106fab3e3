"""Opens the proof that an endpoint's configuration names; what cannot work does not open."""

from __future__ import annotations

import ipaddress

from app.catalog.dialects import DIALECTS, Issuer
from app.config.secrets import Secret
from app.config.webhook import WebhookConfig
from app.errors import ConfigurationError
from app.webhooks.fetch import Fetch
from app.webhooks.proofs.kinds import (
    BasicSecret,
    BodySignature,
    HeaderSecret,
    PathSecret,
    Proof,
    ProxySubject,
)
from app.webhooks.proofs.oidc import IssuerKeys, OidcToken
from app.webhooks.proofs.sns import SnsSignature


def open_proof(webhook: WebhookConfig, what: str, fetch: Fetch) -> Proof:
    """Return the proof; ``what`` names it in errors. Raises ``ConfigurationError``."""
    secrets = tuple(Secret(source, what) for source in webhook.secrets)
    dialect = DIALECTS[webhook.dialect]
    match webhook.auth:
        case "header":
            return HeaderSecret(_some(secrets, what), webhook.header or dialect.header)
        case "bearer":
            return HeaderSecret(_some(secrets, what), "Authorization", scheme="Bearer")
        case "basic":
            return BasicSecret(_some(secrets, what), webhook.username)
        case "path":
            return PathSecret(_some(secrets, what))
        case "hmac":
            headers = (webhook.header,) if webhook.header else dialect.signature_headers
            return BodySignature(_some(secrets, what), headers, dialect.signature_hash)
        case "mtls-header":
            networks = tuple(ipaddress.ip_network(text) for text in webhook.trusted_proxies)
            return ProxySubject(webhook.header or "X-Client-Subject", webhook.subjects, networks)
        case "sns":
            return SnsSignature(webhook.topics, fetch)
        case "oidc":
            return _oidc(webhook, fetch)


def _some(secrets: tuple[Secret, ...], what: str) -> tuple[Secret, ...]:
    if not secrets:  # The model refuses it too; this is the line that must hold.
        raise ConfigurationError(f"{what}: no secret is configured")
    return secrets


def _oidc(webhook: WebhookConfig, fetch: Fetch) -> Proof:
    own = DIALECTS[webhook.dialect].issuer
    issuer = Issuer(webhook.issuer, webhook.jwks_url) if webhook.issuer else own
    if issuer is None or webhook.audience is None:
        raise ConfigurationError("oidc needs an audience and an issuer")
    keys = IssuerKeys(issuer.url, webhook.jwks_url or issuer.jwks_url, fetch)
    names = (issuer.url, *issuer.aliases)
    return OidcToken(names, webhook.audience, webhook.email, webhook.subject, keys)
