"""SNS messages signed with a certificate that is fetched over real HTTP from a stand-in host."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from app.errors import Unauthenticated, Unavailable
from app.webhooks.delivery import Delivery
from app.webhooks.fetch import fetch
from app.webhooks.proofs.kinds import Origin
from app.webhooks.proofs.sns import SnsSignature
from tests.support.http_files import FileServer, serving
from tests.support.sns_messages import CERTIFICATE_PATH as PATH
from tests.support.sns_messages import TOPIC, certificate, message


def delivery(values: dict[str, str]) -> Delivery:
    return Delivery({"x-amz-sns-message-type": values["Type"]}, json.dumps(values).encode())


@pytest.fixture
def amazon() -> Iterator[FileServer]:
    with serving() as files:
        files.files[PATH] = (200, certificate())
        yield files


@pytest.fixture
def proof(amazon: FileServer) -> SnsSignature:
    return SnsSignature((TOPIC,), through(amazon))


def through(server: FileServer) -> Callable[[str], bytes]:
    """Fetch by real HTTP, from the stand-in instead of Amazon."""

    def get(url: str) -> bytes:
        parts = urlsplit(url)
        assert parts.netloc == "sns.eu-west-1.amazonaws.com"
        return fetch(server.url + parts.path)

    return get


@pytest.mark.parametrize("version", ["1", "2"])
def test_signed_messages_are_accepted(
    proof: SnsSignature, amazon: FileServer, version: str
) -> None:
    proof.check(delivery(message(version)), Origin())
    proof.check(delivery(message(version, Subject="ECR")), Origin())
    confirmation = {
        "Type": "SubscriptionConfirmation",
        "Token": "t",
        "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription",
    }
    proof.check(delivery(message(version, **confirmation)), Origin())
    assert amazon.requests == [PATH]


@pytest.mark.parametrize(
    "change",
    [
        {"Message": "other"},
        {"MessageId": "other"},
        {"Timestamp": "2027-01-02T03:04:05.000Z"},
        {"Subject": "added"},
        {"Type": "SubscriptionConfirmation"},
        {"SignatureVersion": "1"},
        {"SignatureVersion": "3"},
        {"Signature": ""},
        {"Signature": "!!"},
        {"Signature": base64.b64encode(b"\0" * 256).decode()},
        {"TopicArn": "arn:aws:sns:eu-west-1:999999999999:other"},
    ],
)
def test_changed_messages_are_refused(proof: SnsSignature, change: dict[str, str]) -> None:
    with pytest.raises(Unauthenticated):
        proof.check(delivery(message() | change), Origin())


@pytest.mark.parametrize(
    "url",
    [
        f"http://sns.eu-west-1.amazonaws.com{PATH}",
        f"https://sns.us-east-1.amazonaws.com{PATH}",
        f"https://sns.eu-west-1.amazonaws.com.evil.example{PATH}",
        f"https://evil.example{PATH}",
        f"https://x:y@sns.eu-west-1.amazonaws.com{PATH}",
        f"https://sns.eu-west-1.amazonaws.com:444{PATH}",
        "https://sns.eu-west-1.amazonaws.com/evil.pem",
        f"https://sns.eu-west-1.amazonaws.com{PATH}?x=1",
        f"https://bucket.s3.amazonaws.com{PATH}",
    ],
)
def test_certificates_are_fetched_from_amazon_only(
    proof: SnsSignature, amazon: FileServer, url: str
) -> None:
    with pytest.raises(Unauthenticated):
        proof.check(delivery(message(SigningCertURL=url)), Origin())
    assert amazon.requests == []


@pytest.mark.parametrize(
    "pem", [certificate(timedelta(days=-9), 1), certificate(timedelta(days=2)), b"no certificate"]
)
def test_a_certificate_must_be_one_and_valid_now(
    proof: SnsSignature, amazon: FileServer, pem: bytes
) -> None:
    amazon.files[PATH] = (200, pem)
    with pytest.raises(Unauthenticated):
        proof.check(delivery(message()), Origin())


def test_a_certificate_that_cannot_be_had_makes_the_sender_come_again(
    proof: SnsSignature, amazon: FileServer
) -> None:
    amazon.files[PATH] = (503, b"")
    with pytest.raises(Unavailable):
        proof.check(delivery(message()), Origin())
    amazon.files[PATH] = (200, certificate())
    proof.check(delivery(message()), Origin())


def test_other_bodies_are_refused(proof: SnsSignature) -> None:
    for body in (b"", b"{}", b"[]", b'{"Type": 3}'):
        with pytest.raises(Unauthenticated):
            proof.check(Delivery({}, body), Origin())
