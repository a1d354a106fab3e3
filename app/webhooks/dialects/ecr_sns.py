"""Amazon ECR events that EventBridge sends to an SNS topic, whose messages SNS posts to us.

The signature is checked by ``app.webhooks.proofs.sns`` before this parser runs.
"""

from __future__ import annotations

from app.errors import PayloadInvalid
from app.webhooks.delivery import Delivery, Parsed, Pushes
from app.webhooks.dialects import ecr_eventbridge
from app.webhooks.proofs.sns import NOTIFICATION, SUBSCRIPTION, amazon_address, read_message


def parse(delivery: Delivery) -> Parsed:
    """Keep the push inside a notification; ask to confirm a subscription."""
    message = read_message(delivery)
    if message.type == SUBSCRIPTION:
        url = amazon_address(message.subscribe_url or "", message.topic_arn)
        return Parsed(confirm=url, ignored=("event-type",))
    pushes = Pushes()
    if message.type != NOTIFICATION:
        pushes.ignore("event-type")
        return pushes.parsed()
    try:
        ecr_eventbridge.add(pushes, message.message.encode())
    except (PayloadInvalid, UnicodeEncodeError):
        # A topic may carry other messages; SNS would repeat a refused one for an hour.
        pushes.ignore("event-type")
    return pushes.parsed()
