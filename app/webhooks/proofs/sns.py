"""Amazon SNS over HTTP(S): message form, signature, subscription confirmation.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html. The message names
the certificate that signed it, so that address is the whole security: https, exactly the SNS host
of the topic's region, a topic we were told about. Certificates are kept by address.
"""

from __future__ import annotations

import base64
import binascii
import re
import threading
from datetime import UTC, datetime
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pydantic import Field

from app.errors import PayloadInvalid, Unauthenticated
from app.webhooks.delivery import Delivery, Payload, decode
from app.webhooks.fetch import Fetch
from app.webhooks.proofs.kinds import Origin

_HOST = re.compile(r"sns\.([a-z0-9-]{1,40})\.amazonaws\.com(?:\.cn)?\Z")
_CERTIFICATE_PATH = re.compile(r"/SimpleNotificationService-[A-Za-z0-9]{1,64}\.pem\Z")
_MOST_CERTIFICATES = 16

NOTIFICATION = "Notification"
SUBSCRIPTION = "SubscriptionConfirmation"


class Message(Payload):
    """One SNS message; field names are Amazon's."""

    type: str = Field(alias="Type")
    message_id: str = Field(alias="MessageId")
    topic_arn: str = Field(alias="TopicArn")
    message: str = Field(alias="Message")
    timestamp: str = Field(alias="Timestamp")
    signature_version: str = Field(alias="SignatureVersion")
    signature: str = Field(alias="Signature")
    signing_cert_url: str = Field(alias="SigningCertURL")
    subject: str | None = Field(default=None, alias="Subject")
    token: str | None = Field(default=None, alias="Token")
    subscribe_url: str | None = Field(default=None, alias="SubscribeURL")

    def signed_text(self) -> bytes:
        """The lines that are signed: names and values in alphabetical order of the names."""
        pairs = [("Message", self.message), ("MessageId", self.message_id)]
        if self.type == NOTIFICATION:
            pairs += [("Subject", self.subject)] if self.subject is not None else []
            pairs += [("Timestamp", self.timestamp)]
        else:
            pairs += [("SubscribeURL", self.subscribe_url or ""), ("Timestamp", self.timestamp)]
            pairs += [("Token", self.token or "")]
        pairs += [("TopicArn", self.topic_arn), ("Type", self.type)]
        return "".join(f"{name}\n{value}\n" for name, value in pairs).encode()


def read_message(delivery: Delivery) -> Message:
    """Read the body; raises ``PayloadInvalid``."""
    return decode(Message, delivery.body, "SNS")


def amazon_address(url: str, topic_arn: str) -> str:
    """Return ``url`` when it is https on the SNS host of the topic's region, and nothing else.

    Raises ``Unauthenticated``: such an address must never be contacted.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Unauthenticated("the message names a malformed address") from None
    host = _HOST.match(parts.netloc)
    region = (topic_arn.split(":") + [""] * 4)[3]
    if parts.scheme != "https" or port is not None or not host or host.group(1) != region:
        raise Unauthenticated("the message names an address that is not Amazon's for its topic")
    return url


class SnsSignature:
    """The body is a message that SNS signed, of an accepted topic."""

    def __init__(self, topics: tuple[str, ...], fetch: Fetch) -> None:
        self._topics = frozenset(topics)
        self._fetch = fetch
        self._lock = threading.Lock()
        self._certificates: dict[str, x509.Certificate] = {}

    def readable(self) -> None:
        """No secret is involved; certificates are fetched with the first delivery."""

    def check(self, delivery: Delivery, origin: Origin) -> None:
        """See ``Proof``; ``Unavailable`` when the certificate cannot be had."""
        try:
            message = read_message(delivery)
        except PayloadInvalid as error:
            raise Unauthenticated(f"the body is no signed message: {error.message}") from None
        if message.topic_arn not in self._topics:
            raise Unauthenticated("the message is of a topic that is not accepted here")
        url = amazon_address(message.signing_cert_url, message.topic_arn)
        if not _CERTIFICATE_PATH.match(urlsplit(url).path) or urlsplit(url).query:
            raise Unauthenticated("the message names an address that is no SNS certificate")
        self._verify(message, self._certificate(url))

    def _verify(self, message: Message, certificate: x509.Certificate) -> None:
        algorithm = {"1": hashes.SHA1(), "2": hashes.SHA256()}.get(message.signature_version)  # noqa: S303
        key = certificate.public_key()
        moment = datetime.now(UTC)
        if not certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc:
            raise Unauthenticated("the message's certificate is not valid now")
        if algorithm is None or not isinstance(key, RSAPublicKey):
            raise Unauthenticated("the message is signed in a way SNS does not")
        try:
            signature = base64.b64decode(message.signature, validate=True)
            key.verify(signature, message.signed_text(), padding.PKCS1v15(), algorithm)
        except (binascii.Error, ValueError, InvalidSignature):
            raise Unauthenticated("the message's signature does not verify") from None

    def _certificate(self, url: str) -> x509.Certificate:
        with self._lock:
            found = self._certificates.get(url)
        if found is not None:
            return found
        try:
            found = x509.load_pem_x509_certificate(self._fetch(url))
        except ValueError:
            raise Unauthenticated("the message's certificate is malformed") from None
        with self._lock:
            if len(self._certificates) >= _MOST_CERTIFICATES:
                self._certificates.clear()
            self._certificates[url] = found
        return found
