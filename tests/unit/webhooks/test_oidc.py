"""Tokens of a local issuer, whose keys are read over real HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from app.config.webhook import WebhookConfig
from app.errors import Unauthenticated, Unavailable
from app.webhooks.delivery import Delivery
from app.webhooks.fetch import fetch
from app.webhooks.proofs.kinds import Origin, Proof
from app.webhooks.proofs.oidc import KEYS_INTERVAL, KEYS_LIFETIME, IssuerKeys
from app.webhooks.proofs.opening import open_proof
from tests.support.http_files import FileServer, serving

EMAIL = "pusher@project.iam.gserviceaccount.com"
AUDIENCE = "https://verilayer.example/webhooks/gar"
KEY = rsa.generate_private_key(65537, 2048)
OTHER_KEY = rsa.generate_private_key(65537, 2048)


def jwks(*keys: tuple[str, rsa.RSAPrivateKey]) -> bytes:
    found = [
        json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())) | {"kid": kid}
        for kid, key in keys
    ]
    return json.dumps({"keys": found}).encode()


@pytest.fixture
def issuer() -> Iterator[FileServer]:
    with serving() as files:
        document = {"issuer": files.url, "jwks_uri": f"{files.url}/keys"}
        files.files["/.well-known/openid-configuration"] = (200, json.dumps(document).encode())
        files.files["/keys"] = (200, jwks(("k1", KEY)))
        yield files


def proof(issuer: FileServer, **fields: Any) -> Proof:
    webhook = {
        "dialect": "gar",
        "auth": "oidc",
        "audience": AUDIENCE,
        "issuer": issuer.url,
        "email": EMAIL,
        **fields,
    }
    return open_proof(WebhookConfig.model_validate(webhook), "test", fetch)


def token(issuer: FileServer, key: rsa.RSAPrivateKey = KEY, kid: str = "k1", **claims: Any) -> str:
    now = int(time.time())
    values = {
        "iss": issuer.url,
        "aud": AUDIENCE,
        "sub": "1234",
        "email": EMAIL,
        "email_verified": True,
        "iat": now,
        "exp": now + 3600,
        **claims,
    }
    values = {name: value for name, value in values.items() if value is not None}
    return jwt.encode(values, key, algorithm="RS256", headers={"kid": kid})


def delivery(text: str) -> Delivery:
    return Delivery({"authorization": f"Bearer {text}"}, b"{}")


def test_genuine_token_is_accepted_and_keys_are_read_once(issuer: FileServer) -> None:
    checked = proof(issuer)
    for _ in range(3):
        checked.check(delivery(token(issuer)), Origin())
    assert issuer.requests == ["/.well-known/openid-configuration", "/keys"]


def test_subject_may_stand_for_an_address(issuer: FileServer) -> None:
    checked = proof(issuer, email=None, subject="1234")
    checked.check(delivery(token(issuer, email=None, email_verified=None)), Origin())
    with pytest.raises(Unauthenticated):
        checked.check(delivery(token(issuer, sub="other")), Origin())


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"aud": "https://other.example"},
        {"aud": None},
        {"exp": 1},
        {"exp": None},
        {"email": "other@project.iam.gserviceaccount.com"},
        {"email": None},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email_verified": None},
    ],
)
def test_claims_that_do_not_fit_are_refused(issuer: FileServer, claims: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        proof(issuer).check(delivery(token(issuer, **claims)), Origin())


def test_forged_tokens_are_refused(issuer: FileServer) -> None:
    checked = proof(issuer)
    good = token(issuer)
    head, body, signature = good.split(".")
    unsigned = jwt.encode(jwt.decode(good, options={"verify_signature": False}), "", "none")
    symmetric = jwt.encode({"iss": issuer.url}, "k" * 32, "HS256", headers={"kid": "k1"})
    for forged in (
        "",
        "x",
        "a.b.c",
        token(issuer, OTHER_KEY),
        f"{head}.{body}.",
        f"{head}.{body[:-4]}AAAA.{signature}",
        unsigned,
        symmetric,
    ):
        with pytest.raises(Unauthenticated):
            checked.check(delivery(forged), Origin())
    with pytest.raises(Unauthenticated):
        checked.check(Delivery({}, b"{}"), Origin())


def test_unknown_keys_make_us_ask_at_most_every_half_minute(issuer: FileServer) -> None:
    clock = [0.0]
    keys = IssuerKeys(issuer.url, f"{issuer.url}/keys", fetch, now=lambda: clock[0])
    for _ in range(50):
        with pytest.raises(Unauthenticated):
            keys.find("invented")
    assert len(issuer.requests) == 1
    issuer.files["/keys"] = (200, jwks(("k2", OTHER_KEY)))
    clock[0] += KEYS_INTERVAL + 1
    assert keys.find("k2").key_id == "k2"
    assert len(issuer.requests) == 2


def test_old_keys_stay_good_while_the_issuer_is_away(issuer: FileServer) -> None:
    clock = [0.0]
    keys = IssuerKeys(issuer.url, f"{issuer.url}/keys", fetch, now=lambda: clock[0])
    keys.find("k1")
    issuer.files["/keys"] = (500, b"")
    clock[0] += KEYS_LIFETIME + 1
    assert keys.find("k1").key_id == "k1"


@pytest.mark.parametrize("answer", [(500, b""), (200, b"{}"), (200, b"x"), (302, b"/elsewhere")])
def test_without_keys_the_sender_must_come_again(
    issuer: FileServer, answer: tuple[int, bytes]
) -> None:
    issuer.files["/keys"] = answer
    issuer.files["/elsewhere"] = (200, jwks(("k1", KEY)))
    with pytest.raises(Unavailable):
        proof(issuer).check(delivery(token(issuer)), Origin())
