from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.config.webhook import WebhookConfig
from app.errors import ConfigurationError, Unauthenticated
from app.webhooks.delivery import Delivery
from app.webhooks.fetch import fetch
from app.webhooks.proofs.kinds import Origin
from app.webhooks.proofs.opening import open_proof

FIRST, SECOND = "first-secret-0001", "second-secret-0002"
BODY = b'{"events": []}'


def proves(webhook: dict[str, Any], delivery: Delivery, origin: Origin = Origin()) -> bool:  # noqa: B008
    proof = open_proof(WebhookConfig.model_validate(webhook), "test", fetch)
    try:
        proof.check(delivery, origin)
    except Unauthenticated as error:
        return FIRST in str(error) or SECOND in str(error)
    return True


def config(**fields: Any) -> dict[str, Any]:
    secrets = [{"value": FIRST}, {"value": SECOND}]
    return {"dialect": "distribution", "secrets": secrets, **fields}


def with_headers(**headers: str) -> Delivery:
    return Delivery({name.replace("_", "-"): value for name, value in headers.items()}, BODY)


@pytest.mark.parametrize("secret", [FIRST, SECOND])
def test_either_active_secret_is_accepted(secret: str) -> None:
    basic = base64.b64encode(f"ci:{secret}".encode()).decode()
    assert proves(config(), with_headers(authorization=secret))
    assert proves(config(header="X-Token"), with_headers(x_token=secret))
    assert proves(config(auth="bearer"), with_headers(authorization=f"Bearer {secret}"))
    assert proves(config(auth="basic"), with_headers(authorization=f"Basic {basic}"))
    assert proves(config(auth="basic", username="ci"), with_headers(authorization=f"Basic {basic}"))
    assert proves(config(auth="path"), with_headers(), Origin(path_token=secret))


@pytest.mark.parametrize(
    "given",
    ["", " ", "wrong", FIRST[:-1], FIRST + "x", f"{FIRST}, {FIRST}", f"Bearer {FIRST}", "é"],
)
def test_anything_else_in_the_header_is_refused(given: str) -> None:
    assert not proves(config(), with_headers(authorization=given))
    assert not proves(config(auth="path"), with_headers(), Origin(path_token=given))
    assert not proves(config(header="X-Other"), with_headers(authorization=FIRST))


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"ci").decode(),
        "Basic " + base64.b64encode(b"ci:").decode(),
        "Basic " + base64.b64encode(b"ci:wrong").decode(),
        "Basic " + base64.b64encode(b"other:" + FIRST.encode()).decode(),
        "Bearer " + base64.b64encode(b"ci:" + FIRST.encode()).decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:" + FIRST.encode()).decode(),
    ],
)
def test_bad_basic_credentials_are_refused(given: str) -> None:
    assert not proves(config(auth="basic", username="ci"), with_headers(authorization=given))


def test_bearer_wants_its_scheme() -> None:
    assert not proves(config(auth="bearer"), with_headers(authorization=FIRST))
    assert not proves(config(auth="bearer"), with_headers(authorization="Bearer "))
    assert not proves(config(auth="bearer"), with_headers(authorization="Bearer wrong"))


@pytest.mark.parametrize(
    ("dialect", "header", "algorithm", "form"),
    [
        ("ghcr", "x-hub-signature-256", "sha256", "sha256={}"),
        ("gitea", "x-gitea-signature", "sha256", "{}"),
        ("gitea", "x-forgejo-signature", "sha256", "{}"),
        ("artifactory", "x-jfrog-event-auth", "sha256", "{}"),
        ("nexus", "x-nexus-webhook-signature", "sha1", "{}"),
        ("harness", "x-harness-signature", "sha256", "{}"),
        ("generic-hmac", "x-signature", "sha256", "sha256={}"),
        ("cloudevents", "x-signature", "sha256", "sha256={}"),
    ],
)
def test_signature_of_the_raw_body(dialect: str, header: str, algorithm: str, form: str) -> None:
    webhook = config(dialect=dialect, auth="hmac")
    for secret in (FIRST, SECOND):
        digest = hmac.new(secret.encode(), BODY, algorithm).hexdigest()
        assert proves(webhook, Delivery({header: form.format(digest)}, BODY))
        assert not proves(webhook, Delivery({header: form.format(digest)}, BODY + b" "))
        assert not proves(webhook, Delivery({"x-other": form.format(digest)}, BODY))
    wrong = hmac.new(b"wrong", BODY, algorithm).hexdigest()
    unkeyed = hashlib.new(algorithm, BODY).hexdigest()
    other = hmac.new(FIRST.encode(), BODY, "md5").hexdigest()
    for given in ("", "sha256=", "md5=" + other, form.format(wrong), form.format(unkeyed), "é"):
        assert not proves(webhook, Delivery({header: given}, BODY))


def test_a_signature_may_name_its_hash_and_no_other() -> None:
    digest = hmac.new(FIRST.encode(), BODY, "sha256").hexdigest()
    webhook = config(dialect="generic-hmac", auth="hmac")
    for given in (digest, f"sha256={digest}", f"SHA256={digest.upper()}", f"sha256= {digest}"):
        assert proves(webhook, Delivery({"x-signature": given}, BODY)), given
    # A prefix of another hash says that something else was signed, whatever follows it.
    for given in (f"sha1={digest}", f"={digest}", f"sha256=sha256={digest}", f"{digest}="):
        assert not proves(webhook, Delivery({"x-signature": given}, BODY)), given


def test_the_first_header_that_is_there_holds_the_signature() -> None:
    digest = hmac.new(FIRST.encode(), BODY, "sha256").hexdigest()
    webhook = config(dialect="gitea", auth="hmac")
    names = ("x-gitea-signature", "x-forgejo-signature")
    assert proves(webhook, Delivery(dict(zip(names, ("", digest), strict=True)), BODY))
    assert not proves(webhook, Delivery(dict(zip(names, ("0", digest), strict=True)), BODY))
    own = config(dialect="gitea", auth="hmac", header="X-Own")
    assert proves(own, Delivery({"x-own": digest}, BODY))
    assert not proves(own, Delivery({"x-gitea-signature": digest}, BODY))


def test_schemes_are_read_in_any_case_and_passwords_may_hold_colons() -> None:
    secret = "s:e:c:r:e:t" * 4
    webhook = {"dialect": "distribution", "secrets": [{"value": secret}]}
    basic = base64.b64encode(f"ci:{secret}".encode()).decode()
    for scheme in ("basic", "BASIC"):
        given = with_headers(authorization=f"{scheme} {basic}")
        assert proves({**webhook, "auth": "basic"}, given)
        assert proves({**webhook, "auth": "basic", "username": "ci"}, given)
        assert not proves({**webhook, "auth": "basic", "username": "other"}, given)
    assert proves({**webhook, "auth": "bearer"}, with_headers(authorization=f"bEARER {secret}"))


def test_what_is_no_text_is_refused_and_no_error() -> None:
    odd = with_headers(authorization="\udcff", x_signature="\udcff")
    assert not proves(config(), odd)
    assert not proves(config(dialect="generic-hmac", auth="hmac"), odd)


def test_credentials_are_what_follows_the_scheme_and_nothing_less() -> None:
    words = [{"value": "two words of a secret that is long enough"}]
    bearer = {"dialect": "distribution", "auth": "bearer", "secrets": words}
    assert proves(bearer, with_headers(authorization=f"Bearer {words[0]['value']}"))
    basic = base64.b64encode(f"ci:{FIRST}".encode()).decode()
    # Several spaces may follow the scheme (RFC 9110, section 11.4).
    assert proves(config(auth="basic"), with_headers(authorization=f"Basic  {basic}"))
    spoiled = f"Basic {basic[:8]}!{basic[8:]}"
    assert not proves(config(auth="basic"), with_headers(authorization=spoiled))


def test_certificate_subject_counts_only_from_the_proxy() -> None:
    webhook = {
        "dialect": "distribution",
        "auth": "mtls-header",
        "subjects": ["CN=registry,O=example"],
        "trusted_proxies": ["10.1.0.0/16", "::1"],
    }
    good = with_headers(x_client_subject="CN=registry,O=example")
    for address in ("10.1.2.3", "::1", "::ffff:10.1.2.3"):
        assert proves(webhook, good, Origin(address=address))
    for elsewhere in ("10.2.0.1", "", None, "localhost"):
        assert not proves(webhook, good, Origin(address=elsewhere))
    for subject in ("CN=other", "", "CN=registry,O=example, CN=registry,O=example"):
        delivery = with_headers(x_client_subject=subject)
        assert not proves(webhook, delivery, Origin(address="10.1.2.3"))


@pytest.mark.parametrize(
    ("webhook", "what"),
    [
        ({"dialect": "distribution"}, "needs secrets"),
        ({"dialect": "distribution", "secrets": []}, "needs secrets"),
        ({"dialect": "dockerhub", "auth": "path"}, "needs secrets"),
        ({"dialect": "ghcr", "auth": "hmac"}, "needs secrets"),
        ({"dialect": "ghcr", "auth": "header", "secrets": [{"value": "x"}]}, "cannot send"),
        ({"dialect": "dockerhub", "secrets": [{"value": "x"}]}, "cannot send"),
        ({"dialect": "ecr-sns", "auth": "sns"}, "needs topics"),
        ({"dialect": "gar", "auth": "oidc"}, "needs audience"),
        ({"dialect": "gar", "auth": "oidc", "audience": "a"}, "needs email"),
        ({"dialect": "cloudevents", "auth": "oidc", "audience": "a"}, "needs issuer"),
        ({"dialect": "harbor", "auth": "mtls-header", "subjects": ["CN=x"]}, "needs subjects"),
        ({"dialect": "harbor", "auth": "mtls-header", "trusted_proxies": ["x"]}, "network"),
        ({"dialect": "harbor", "secrets": [{"value": "x"}] * 3}, "at most 2"),
    ],
)
def test_an_endpoint_that_anyone_could_use_is_not_configured(
    webhook: dict[str, Any], what: str
) -> None:
    with pytest.raises(ValidationError, match=what):
        WebhookConfig.model_validate(webhook)


@pytest.mark.parametrize("source", [{"value": ""}, {"value": " \n"}, {"env": "NO_SUCH_VARIABLE_X"}])
def test_an_empty_or_absent_secret_does_not_start(source: dict[str, str]) -> None:
    webhook = WebhookConfig.model_validate({"dialect": "harbor", "secrets": [source]})
    with pytest.raises(ConfigurationError):
        open_proof(webhook, "test", fetch).readable()


def test_a_secret_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(FIRST + "\n")
    webhook = {"dialect": "harbor", "secrets": [{"file": str(file)}]}
    proof = open_proof(WebhookConfig.model_validate(webhook), "test", fetch)
    proof.check(with_headers(authorization=FIRST), Origin())
    file.write_text(SECOND)
    proof.check(with_headers(authorization=SECOND), Origin())
    with pytest.raises(Unauthenticated):
        proof.check(with_headers(authorization=FIRST), Origin())
    file.unlink()
    with pytest.raises(ConfigurationError):
        proof.check(with_headers(authorization=SECOND), Origin())
    assert FIRST not in repr(proof)
    assert SECOND not in repr(proof)
