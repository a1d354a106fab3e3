"""Realms, scopes and the life of tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
import pytest

from app.errors import AccessRefused, RateLimited, ResponseInvalid, Unauthorized
from app.registry.auth.accounts import Credential, Expiring, decode_auth
from app.registry.auth.tokens import Authenticator, RealmPolicy, merge_scopes

REGISTRY = httpx.URL("https://registry.example")
PULL = ("repository:a/b:pull",)


@pytest.mark.parametrize(
    "realm",
    ["https://registry.example/token", "https://registry.example:8443/t", "https://auth.example/x"],
)
def test_realms_that_are_admitted(realm: str) -> None:
    RealmPolicy(REGISTRY, frozenset({"auth.example"})).check(realm)


@pytest.mark.parametrize(
    "realm",
    [
        "https://evil.example/token",
        "https://auth.example.evil.example/x",
        "https://registry.example.evil.example/",
        "https://registry.example@evil.example/",
        "https://user:pw@registry.example/",
        "http://registry.example/token",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "//registry.example/token",
        "",
        "https://[::1",
    ],
)
def test_realms_that_are_refused(realm: str) -> None:
    with pytest.raises(AccessRefused):
        RealmPolicy(REGISTRY, frozenset({"auth.example"})).check(realm)


def test_a_plain_registry_may_have_a_plain_realm() -> None:
    RealmPolicy(httpx.URL("http://r:5000")).check("http://r:5001/token")


def test_scopes_are_merged_by_resource() -> None:
    merged = merge_scopes(["repository:a:pull", "repository:a:push,pull", "registry:catalog:*"])
    assert merged == ["repository:a:pull,push", "registry:catalog:*"]


@dataclass
class Server:
    """A token server as a function; ``answers`` are replayed, the last for ever."""

    answers: list[tuple[int, dict[str, object]]]
    asked: list[tuple[str, str, Mapping[str, str], Mapping[str, str] | None]] = field(
        default_factory=list
    )
    now: float = 0.0

    def __call__(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        self.asked.append((method, str(url), headers, form))
        status, document = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return status, {}, json.dumps(document).encode()


class Account:
    def __init__(self, credential: Credential | None) -> None:
        self.current = credential

    def credential(self) -> Credential | None:
        return self.current

    def forget(self) -> None:
        return None


CHALLENGE = [
    'Bearer realm="https://registry.example/t?x=1",service="r",scope="repository:a/b:pull"'
]


def authenticator(server: Server, credential: Credential | None = None) -> Authenticator:
    return Authenticator(
        RealmPolicy(REGISTRY), Account(credential), server, clock=lambda: server.now
    )


def test_a_token_is_kept_until_shortly_before_it_expires() -> None:
    server = Server([(200, {"token": "one", "expires_in": 100}), (200, {"access_token": "two"})])
    auth = authenticator(server, Credential("u", "p"))
    assert auth.header(PULL) is None
    assert auth.answer(CHALLENGE, PULL, None) == "Bearer one"
    server.now = 89
    assert auth.header(PULL) == "Bearer one"
    server.now = 91
    assert auth.header(PULL) == "Bearer two"
    method, url, headers, _ = server.asked[0]
    assert (method, headers["Authorization"]) == ("GET", "Basic dTpw")
    assert url.startswith("https://registry.example/t?x=1&service=r&scope=repository")


def test_a_refused_token_is_replaced_once_for_all_threads() -> None:
    server = Server([(200, {"token": "one"}), (200, {"token": "two"})])
    auth = authenticator(server)
    auth.answer(CHALLENGE, PULL, None)
    assert auth.answer(CHALLENGE, PULL, "Bearer one") == "Bearer two"
    assert auth.answer(CHALLENGE, PULL, "Bearer one") == "Bearer two"
    assert len(server.asked) == 2


def test_basic_credentials_are_not_repeated_after_a_refusal() -> None:
    auth = authenticator(Server([]), Credential("u", "p"))
    header = auth.answer(['Basic realm="x"'], PULL, None)
    assert header == "Basic dTpw"
    assert auth.header(PULL) == header
    assert auth.answer(['Basic realm="x"'], PULL, header) is None


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((200, {"token": ""}), ResponseInvalid),
        ((200, {"token": "bad\r\nX-Injected: 1"}), ResponseInvalid),
        ((200, {"token": 5}), ResponseInvalid),
        ((401, {}), Unauthorized),
        ((302, {}), ResponseInvalid),
        ((429, {}), RateLimited),
    ],
)
def test_what_a_token_server_may_not_say(
    answer: tuple[int, dict[str, object]], error: type[Exception]
) -> None:
    with pytest.raises(error):
        authenticator(Server([answer])).answer(CHALLENGE, PULL, None)


def test_an_account_that_was_renewed_meanwhile_is_tried_at_once() -> None:
    server = Server([(401, {}), (200, {"token": "one"})])

    class Renewing(Account):
        def forget(self) -> None:
            self.current = Credential("u", "new")

    policy = RealmPolicy(REGISTRY)
    auth = Authenticator(policy, Renewing(Credential("u", "old")), server)
    assert auth.answer(CHALLENGE, PULL, None) == "Bearer one"
    assert [headers["Authorization"] for _, _, headers, _ in server.asked] == [
        Credential("u", "old").basic,
        Credential("u", "new").basic,
    ]


def test_secrets_are_not_in_reprs() -> None:
    credential = Credential("u", "hidden1", "hidden2")
    assert "hidden" not in repr(credential)


def test_a_cloud_credential_is_exchanged_again_before_it_ends() -> None:
    now, issued = [0.0], iter(range(10))
    account = Expiring(lambda: (Credential("u", str(next(issued))), 100.0), clock=lambda: now[0])
    assert [account.credential(), account.credential()] == [Credential("u", "0")] * 2
    now[0] = 91
    assert account.credential() == Credential("u", "1")
    account.forget()
    assert account.credential() == Credential("u", "2")


def test_decode_auth_knows_identity_tokens() -> None:
    assert decode_auth("PHRva2VuPjphYmM=", "x") == Credential(identity_token="abc")
