"""SNS messages signed with a certificate of the test's own."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

TOPIC = "arn:aws:sns:eu-west-1:111122223333:pushes"
CERTIFICATE_PATH = "/SimpleNotificationService-0123456789abcdef.pem"
CERTIFICATE = f"https://sns.eu-west-1.amazonaws.com{CERTIFICATE_PATH}"
KEY = rsa.generate_private_key(65537, 2048)


def certificate(start: timedelta = timedelta(days=-1), days: int = 30) -> bytes:
    """PEM of a certificate of the signing key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    begin = datetime.now(UTC) + start
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
        .sign(KEY, hashes.SHA256())
    )
    return built.public_bytes(Encoding.PEM)


def message(version: str = "2", **fields: str) -> dict[str, str]:
    """A message with ``fields``, signed."""
    values = {
        "Type": "Notification",
        "MessageId": "165545c9",
        "TopicArn": TOPIC,
        "Message": "hello\nworld",
        "Timestamp": "2026-01-02T03:04:05.000Z",
        "SignatureVersion": version,
        "SigningCertURL": CERTIFICATE,
        **fields,
    }
    signed = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    if values["Type"] != "Notification":
        signed = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    text = "".join(f"{name}\n{values[name]}\n" for name in signed if name in values).encode()
    algorithm: hashes.HashAlgorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
    signature = KEY.sign(text, padding.PKCS1v15(), algorithm)
    return {**values, "Signature": base64.b64encode(signature).decode()}
