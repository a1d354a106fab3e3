"""Answering authentication challenges (distribution "token" and "oauth2" authentication).

Where credentials go is decided here and nowhere else: Basic to the registry itself, tokens to the
registry itself, passwords and refresh tokens to the realm, and only if the policy admits the realm.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import AccessRefused, ResponseInvalid, Unauthorized
from app.registry.auth.accounts import Credential, CredentialProvider
from app.registry.auth.challenge import Challenge, parse_challenges
from app.registry.responses import error_for

MAX_TOKEN_BYTES = 1 << 20
#: Life of a token that does not say (distribution "token" specification).
DEFAULT_LIFE = 60
#: Tokens kept at most; one per set of scopes, so this bounds repositories, not requests.
MAX_TOKENS = 4096
CLIENT_ID = "verilayer"


class TokenAnswer(BaseModel):
    """Answer of a token server; ``expires_in`` is in seconds."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    token: str = Field(default="", max_length=MAX_TOKEN_BYTES)
    access_token: str = Field(default="", max_length=MAX_TOKEN_BYTES)
    refresh_token: str = Field(default="", max_length=MAX_TOKEN_BYTES)
    expires_in: float | None = None


@dataclass(frozen=True, slots=True)
class RealmPolicy:
    """Which token servers a registry may send us to."""

    registry: httpx.URL
    #: Hosts (``host`` or ``host:port``) that serve tokens for this registry and no other.
    hosts: frozenset[str] = frozenset()

    def check(self, realm: str) -> httpx.URL:
        """Return the realm as a URL; raises ``AccessRefused``."""
        try:
            url = httpx.URL(realm)
        except httpx.InvalidURL:
            raise AccessRefused("the registry names a token realm that is no URL") from None
        if url.scheme != "https" and (url.scheme != "http" or self.registry.scheme == "https"):
            raise AccessRefused(f"token realm at {url.host} is not https, the registry is")
        if url.userinfo or not url.host:
            raise AccessRefused("token realm has no host, or carries credentials")
        own = url.host == self.registry.host
        if not own and not {url.host, url.netloc.decode()} & self.hosts:
            raise AccessRefused(
                f"{self.registry.host} sends credentials to token realm at {url.host}",
                advice="if that is this registry's token server, add it to quirks.auth_hosts",
            )
        return url


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    until: float


#: Sends one request to a token server: method, url, headers, form -> status, headers, body.
type_exchange = Callable[
    [str, httpx.URL, Mapping[str, str], Mapping[str, str] | None],
    tuple[int, Mapping[str, str], bytes],
]


class Authenticator:
    """Authorization headers of one registry, by scope; shared by threads."""

    def __init__(
        self,
        policy: RealmPolicy,
        provider: CredentialProvider,
        exchange: type_exchange,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy, self._provider = policy, provider
        self._exchange, self._clock = exchange, clock
        self._guard = threading.Lock()
        self._challenge: Challenge | None = None
        self._tokens: dict[tuple[str, ...], _Token] = {}
        self._refresh: tuple[Credential, str] | None = None

    def header(self, scopes: tuple[str, ...]) -> str | None:
        """Return an Authorization value that is known to be wanted, fetching a token if need be."""
        with self._guard:
            challenge = self._challenge
            if challenge is None:
                return None
            if challenge.scheme == "basic":
                credential = self._provider.credential()
                return credential.basic if credential and credential.username else None
            token = self._tokens.get(scopes)
            if token is None or self._clock() >= token.until:
                token = self._fetch(challenge, scopes, ())
            return f"Bearer {token.value}"

    def answer(
        self, headers: Iterable[str], scopes: tuple[str, ...], refused: str | None
    ) -> str | None:
        """Answer a 401; ``refused`` is the header that was refused. None: there is no answer."""
        found = {challenge.scheme: challenge for challenge in reversed(parse_challenges(headers))}
        challenge = found.get("bearer") or found.get("basic")
        if challenge is None:
            return None
        with self._guard:
            if challenge.scheme == "basic":
                return self._answer_basic(challenge, refused)
            token = self._tokens.get(scopes)
            if token and refused and refused != f"Bearer {token.value}":
                return f"Bearer {token.value}"  # another thread has renewed it meanwhile
            self._tokens.pop(scopes, None)
            self._challenge = challenge
            return f"Bearer {self._fetch(challenge, scopes, challenge.scopes).value}"

    def forget(self, scopes: tuple[str, ...]) -> None:
        """Drop a token that may have expired early."""
        with self._guard:
            self._tokens.pop(scopes, None)

    def _answer_basic(self, challenge: Challenge, refused: str | None) -> str | None:
        credential = self._provider.credential()
        if refused and credential and credential.basic == refused:
            self._provider.forget()
            credential = self._provider.credential()
        if credential is None or not credential.username or credential.basic == refused:
            return None
        self._challenge = challenge
        return credential.basic

    def _fetch(
        self, challenge: Challenge, scopes: tuple[str, ...], asked: tuple[str, ...]
    ) -> _Token:
        realm = self._policy.check(challenge.parameters.get("realm", ""))
        wanted, service = merge_scopes((*scopes, *asked)), challenge.parameters.get("service", "")
        credential = self._provider.credential()
        try:
            answer = self._ask(realm, service, wanted, credential)
        except Unauthorized:
            # The account may have been renewed where it comes from.
            renewed = self._provider.credential()
            if renewed == credential:
                raise
            answer = self._ask(realm, service, wanted, renewed)
        value = answer.token or answer.access_token
        if not value or not value.isascii() or not value.isprintable():
            raise ResponseInvalid(f"token server {realm.host} answered without a usable token")
        life = answer.expires_in if answer.expires_in and answer.expires_in > 0 else DEFAULT_LIFE
        # Early enough for a request that is about to start, but never already over.
        token = _Token(value, self._clock() + max(life - 10, life / 2))
        if len(self._tokens) >= MAX_TOKENS:
            self._tokens.clear()
        self._tokens[scopes] = token
        return token

    def _ask(
        self, realm: httpx.URL, service: str, scopes: list[str], credential: Credential | None
    ) -> TokenAnswer:
        parameters = [("service", service)] if service else []
        parameters += [("scope", scope) for scope in scopes]
        identity = credential.identity_token if credential else ""
        if credential and identity:
            form = {
                "grant_type": "refresh_token",
                "service": service,
                "client_id": CLIENT_ID,
                "scope": " ".join(scopes),
                "refresh_token": self._rotated(credential),
            }
            answer = self._parse(realm, "POST", realm, {}, form)
            if answer.refresh_token:
                self._refresh = (credential, answer.refresh_token)
            return answer
        headers = {"Authorization": credential.basic} if credential else {}
        url = realm.copy_merge_params(httpx.QueryParams([*realm.params.multi_items(), *parameters]))
        return self._parse(realm, "GET", url, headers, None)

    def _rotated(self, credential: Credential) -> str:
        """Return the newest refresh token that grew out of the configured one."""
        if self._refresh and self._refresh[0] == credential:
            return self._refresh[1]
        return credential.identity_token

    def _parse(
        self,
        realm: httpx.URL,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None,
    ) -> TokenAnswer:
        status, answered, body = self._exchange(method, url, headers, form)
        what = f"token server {realm.host}"
        if status in (400, 401, 403):
            self._refresh = None
            self._provider.forget()
            raise Unauthorized(
                f"{what}: {status}, the credentials were refused",
                advice="check the username, password or identity token of this registry",
            )
        if status != 200:
            raise error_for(status, answered, body, what)
        try:
            return TokenAnswer.model_validate_json(body)
        except ValidationError:
            raise ResponseInvalid(f"{what} answered 200 with something else than a token") from None


def merge_scopes(scopes: Iterable[str]) -> list[str]:
    """Join actions of equal resources, so that one token serves the request and its challenge."""
    merged: dict[str, dict[str, None]] = {}
    for scope in scopes:
        resource, colon, actions = scope.rpartition(":")
        if not colon:
            resource, actions = scope, ""
        merged.setdefault(resource, {}).update(dict.fromkeys(actions.split(",")))
    return [
        f"{resource}:{','.join(sorted(filter(None, actions)))}" if any(actions) else resource
        for resource, actions in merged.items()
    ]
