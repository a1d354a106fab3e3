from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.observability.redaction import HIDDEN, redact, redact_text

SECRET = "hunter22hunter22"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"authorization was Basic {SECRET}==",
        f"redis://:{SECRET}@127.0.0.1:6379/0",
        f"https://robot:{SECRET}@registry.example/v2/",
        f"POST /webhooks/hub/{SECRET} HTTP/1.1",
        f"https://bucket.example/blob?X-Amz-Signature={SECRET}&x=1",
        f"/token?access_token={SECRET}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}",
    ],
)
def test_shapes_of_secrets_are_hidden(text: str) -> None:
    hidden = redact_text(text)
    assert SECRET not in hidden
    assert HIDDEN in hidden


@pytest.mark.parametrize(
    "text",
    [
        "sha256:" + "a" * 64,
        "http://127.0.0.1:5000/v2/team/app/manifests/1.4",
        "POST /webhooks/local HTTP/1.1",
        "basic authentication is required",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact_text(text) == text


def test_names_hide_values_at_any_depth() -> None:
    found = redact(
        "headers", {"Authorization": SECRET, "list": [{"password": SECRET}], "size": 3, "b": b"ok"}
    )
    assert found == {"Authorization": HIDDEN, "list": [{"password": HIDDEN}], "size": 3, "b": "ok"}


@given(st.text(), st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789", min_size=8, max_size=40))
def test_a_bearer_token_is_hidden_in_any_text(around: str, secret: str) -> None:
    assert f"Bearer {secret}" not in redact_text(f"{around} Bearer {secret} {around}")
