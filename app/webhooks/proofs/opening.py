"""Opens the proof that an endpoint's configuration names; what cannot work does not open."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from app.config.secrets import Secret
from app.config.webhook import Dialect, WebhookConfig
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
from app.webhooks.proofs.oidc import GOOGLE, GOOGLE_KEYS, IssuerKeys, OidcToken
from app.webhooks.proofs.sns import SnsSignature

#: Dialect -> (headers that may hold the body's HMAC, hash). Others name theirs in ``header``.
SIGNATURE_HEADERS: Mapping[Dialect, tuple[tuple[str, ...], str]] = {
    "ghcr": (("X-Hub-Signature-256",), "sha256"),
    "gitea": (("X-Gitea-Signature", "X-Forgejo-Signature"), "sha256"),
    "artifactory": (("X-JFrog-Event-Auth",), "sha256"),
    "nexus": (("X-Nexus-Webhook-Signature",), "sha1"),
    "harness": (("X-Harness-Signature",), "sha256"),
    "cloudevents": (("X-Signature",), "sha256"),
    "generic-hmac": (("X-Signature",), "sha256"),
}

#: Dialect -> header that holds the secret itself, where it is not ``Authorization``.
SECRET_HEADERS: Mapping[Dialect, str] = {"artifactory": "X-JFrog-Event-Auth"}


def open_proof(webhook: WebhookConfig, what: str, fetch: Fetch) -> Proof:
    """Return the proof; ``what`` names it in errors. Raises ``ConfigurationError``."""
    secrets = tuple(Secret(source, what) for source in webhook.secrets)
    match webhook.auth:
        case "header":
            header = webhook.header or SECRET_HEADERS.get(webhook.dialect, "Authorization")
            return HeaderSecret(_some(secrets, what), header)
        case "bearer":
            return HeaderSecret(_some(secrets, what), "Authorization", scheme="Bearer")
        case "basic":
            return BasicSecret(_some(secrets, what), webhook.username)
        case "path":
            return PathSecret(_some(secrets, what))
        case "hmac":
            headers, algorithm = SIGNATURE_HEADERS[webhook.dialect]
            if webhook.header:
                headers = (webhook.header,)
            return BodySignature(_some(secrets, what), headers, algorithm)
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
    google = webhook.issuer is None
    issuer = webhook.issuer or GOOGLE
    keys = IssuerKeys(issuer, webhook.jwks_url or (GOOGLE_KEYS if google else None), fetch)
    # Google signs with either form of its name.
    issuers = (GOOGLE, GOOGLE.removeprefix("https://")) if google else (issuer,)
    if webhook.audience is None:
        raise ConfigurationError("oidc needs an audience")
    return OidcToken(issuers, webhook.audience, webhook.email, webhook.subject, keys)
