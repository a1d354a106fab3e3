from __future__ import annotations

from typing import get_type_hints

import pytest

from app.catalog.dialects import DIALECTS, DialectName
from app.errors import PayloadInvalid, Unauthenticated
from app.webhooks.delivery import IGNORED, Delivery, Parsed
from app.webhooks.dialects.opening import open_parser
from tests.support.tools import ROOT
from tests.support.webhook_cases import CASES, READING_HEADERS, REJECTED, Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.dialect}: {case.name}")
def test_a_delivery_becomes_pushes_and_reasons(case: Case) -> None:
    parsed = open_parser(case.dialect)(case.delivery)
    found = tuple((event.repository, event.tag, event.digest) for event in parsed.events)
    assert found == case.events
    assert parsed.ignored == case.ignored
    assert set(parsed.ignored) <= set(IGNORED)
    if parsed.events:
        first = parsed.events[0].model_dump()
        assert {name: first[name] for name in case.facts} == case.facts


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("body", REJECTED, ids=lambda body: repr(body[:12]))
def test_a_body_of_something_else_is_refused(dialect: DialectName, body: bytes) -> None:
    with pytest.raises(PayloadInvalid) as caught:
        open_parser(dialect)(Delivery(READING_HEADERS.get(dialect, {}), body))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_has_accepted_and_ignored_cases_and_a_way_to_prove_itself(
    dialect: DialectName,
) -> None:
    cases = [case for case in CASES if case.dialect == dialect]
    assert any(case.events for case in cases)
    assert any(case.ignored for case in cases)
    assert DIALECTS[dialect].auth


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_names_a_parser(dialect: DialectName) -> None:
    types = get_type_hints(open_parser(dialect))
    assert list(types.values()) == [Delivery, Parsed]


def test_every_parser_is_named_by_a_dialect() -> None:
    folder = ROOT / "app" / "webhooks" / "dialects"
    named = {row.parser for row in DIALECTS.values()}
    assert named == {
        path.stem for path in folder.glob("*.py") if "\ndef parse(" in path.read_text()
    }


def test_hosts_in_payloads_are_never_kept() -> None:
    hostile = [case for case in CASES if b"evil" in case.delivery.body]
    assert len(hostile) > 1
    for case in hostile:
        for event in open_parser(case.dialect)(case.delivery).events:
            assert "evil" not in event.model_dump_json()


def test_event_grid_validation_is_answered_with_its_code() -> None:
    body = (
        b'[{"id":"1","eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","data":'
        b'{"validationCode":"512d38b6","validationUrl":"https://evil.example/"}}]'
    )
    parsed = open_parser("acr-eventgrid")(Delivery({}, body))
    assert parsed.answer == {"validationResponse": "512d38b6"}
    assert parsed.events == ()
    with pytest.raises(PayloadInvalid):
        open_parser("acr-eventgrid")(Delivery({}, body.replace(b"validationCode", b"other")))


def subscription(url: str) -> Delivery:
    (case,) = (c for c in CASES if c.dialect == "ecr-sns" and c.name == "notification")
    body = {**case.body, "Type": "SubscriptionConfirmation", "Token": "t", "SubscribeURL": url}
    return Case("", "ecr-sns", body).delivery


def test_subscription_is_confirmed_only_at_amazon() -> None:
    good = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t"
    assert open_parser("ecr-sns")(subscription(good)).confirm == good


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/",
        "https://sns.eu-west-1.amazonaws.com.evil.example/",
        "https://sns.eu-west-1.amazonaws.com@evil.example/",
        "https://evil.example/sns.eu-west-1.amazonaws.com",
        "https://sns.eu-west-1.amazonaws.com:8443/",
        "https://sns.us-east-1.amazonaws.com/",
        "https://s3.eu-west-1.amazonaws.com/",
        "https://[::1/",
        "",
    ],
)
def test_subscription_elsewhere_is_not(url: str) -> None:
    with pytest.raises(Unauthenticated):
        open_parser("ecr-sns")(subscription(url))


def test_one_delivery_cannot_hold_endless_events() -> None:
    body = {"repository": "team/app", "updated_tags": [f"t{n}" for n in range(1001)]}
    with pytest.raises(PayloadInvalid, match="more than 1000"):
        open_parser("quay")(Case("", "quay", body).delivery)
