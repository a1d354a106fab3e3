"""Every error the service raises, in one tree, by who must act. No HTTP status here.

::

    VerilayerError
    ├── ConfigurationError      the operator: fix the configuration, then start again
    ├── SourceInvalid           the publisher: this image cannot be converted; never retried
    ├── NotConvertible          nobody: a deliberate skip, with a ``reason``
    ├── RegistryError           the registry or its operator
    │   ├── Unauthorized        credentials are missing, wrong or lack a scope
    │   ├── NotFound            the repository, manifest or blob does not exist
    │   ├── RateLimited         retryable; ``retry_after`` seconds when the registry named it
    │   ├── Unavailable         retryable; timeouts, resets, 5xx
    │   ├── LayerAbsent         retryable; an image names a layer that its repository does not hold
    │   ├── ContentMismatch     what was sent is not what its digest or size claims
    │   ├── TagImmutable        an immutable-tag rule refused the referrers fallback tag
    │   ├── ManifestTooLarge    over the 4 MiB that registries accept
    │   ├── ResponseInvalid     the answer breaks the distribution spec or our bounds
    │   └── AccessRefused       our own policy refused to contact an address (SSRF guard)
    ├── DeliveryRefused         the sender of a webhook
    │   ├── Unauthenticated     the delivery does not prove where it comes from
    │   ├── PayloadInvalid      the body is not what the endpoint's dialect sends
    │   └── PayloadTooLarge     the body is over the limit
    ├── SigningError            whoever keeps the keys
    │   ├── SignerUnavailable   retryable; the HSM, KMS or command did not answer
    │   ├── RecordUnproven      retryable; workers that do not have the same evidence key
    │   └── SigningRefused      no key is bound, it is unfit, or other bytes were read
    ├── VerificationFailed      a published bundle is not what it claims to be
    ├── BrokerUnavailable       retryable; Redis or the message broker cannot be reached
    ├── ServiceUnavailable      retryable; the admin API cannot be reached by its client
    ├── SpoolExhausted          retryable; scratch space cannot hold the layer's spool
    └── Cancelled               a person asked for it

``code`` is stable and may be matched by programs; the message names what was wrong, ``advice`` what
to do. Whether a retry can help is a property of the type.
"""

from __future__ import annotations

from typing import ClassVar


class VerilayerError(Exception):
    """Root of all errors; carries a stable ``code``, an optional ``advice`` and ``details``."""

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, advice: str | None = None, **details: object) -> None:
        """Keep the message, what to do about it, and machine-readable details."""
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.details = details

    def __str__(self) -> str:
        return f"{self.message} ({self.advice})" if self.advice else self.message


class ConfigurationError(VerilayerError):
    """The configuration is missing, contradictory or malformed."""

    code = "configuration"


class SourceInvalid(VerilayerError):
    """The publisher's image or layer is malformed, hostile or over a limit."""

    code = "source-invalid"


class NotConvertible(VerilayerError):
    """Conversion is deliberately skipped; ``reason`` is one of the documented skip reasons."""

    code = "not-convertible"

    def __init__(self, reason: str, message: str, **details: object) -> None:
        """Keep the stable skip ``reason`` beside the message for people."""
        super().__init__(message, advice=None, **details)
        self.reason = reason


class RegistryError(VerilayerError):
    """A registry refused, failed or lied."""

    code = "registry"


class Unauthorized(RegistryError):
    """The registry wants other credentials (401) or more rights (403)."""

    code = "registry-unauthorized"


class NotFound(RegistryError):
    """The repository, manifest or blob does not exist (404)."""

    code = "registry-not-found"


class RateLimited(RegistryError):
    """The registry asked us to slow down (429)."""

    code = "registry-rate-limited"
    retryable = True

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        advice: str | None = None,
        **details: object,
    ) -> None:
        """``retry_after`` is in seconds, when the registry named it."""
        super().__init__(message, advice=advice, **details)
        self.retry_after = retry_after


class Unavailable(RegistryError):
    """The registry cannot be reached, timed out, or answered 5xx."""

    code = "registry-unavailable"
    retryable = True


class LayerAbsent(RegistryError):
    """An image's repository does not hold one of its layers, or not yet."""

    code = "registry-layer-absent"
    retryable = True


class ContentMismatch(RegistryError):
    """Bytes received do not have the digest or size that their descriptor claims."""

    code = "registry-content-mismatch"


class TagImmutable(RegistryError):
    """An immutable-tag rule refused an update of the referrers fallback tag."""

    code = "registry-tag-immutable"


class ManifestTooLarge(RegistryError):
    """A manifest exceeds the 4 MiB that registries accept."""

    code = "registry-manifest-too-large"


class ResponseInvalid(RegistryError):
    """A response breaks the distribution spec or our own bounds."""

    code = "registry-response-invalid"


class AccessRefused(RegistryError):
    """Our own policy refused to contact an address or to send credentials to it."""

    code = "registry-access-refused"


class DeliveryRefused(VerilayerError):
    """A webhook delivery is not taken; sending it again as it is cannot help."""

    code = "delivery-refused"


class Unauthenticated(DeliveryRefused):
    """The delivery does not prove that the configured registry sent it."""

    code = "unauthenticated"


class PayloadInvalid(DeliveryRefused):
    """The body is not what the endpoint's dialect sends."""

    code = "payload-invalid"


class PayloadTooLarge(DeliveryRefused):
    """The body is larger than the service accepts."""

    code = "payload-too-large"


class SigningError(VerilayerError):
    """A root hash could not be signed."""

    code = "signing"


class SignerUnavailable(SigningError):
    """The key store did not answer."""

    code = "signer-unavailable"
    retryable = True


class RecordUnproven(SigningError):
    """What is recorded of a layer does not bear the seal of a worker, though just built."""

    code = "record-unproven"
    retryable = True


class SigningRefused(SigningError):
    """No key is bound, key or certificate are unfit, or what was read is not what is claimed.

    In the last case ``reason``, ``layer``, ``recorded`` and ``claimed`` say so.
    """

    code = "signing-refused"


class VerificationFailed(VerilayerError):
    """A published bundle is incomplete, inconsistent or not signed as required."""

    code = "verification-failed"


class BrokerUnavailable(VerilayerError):
    """Redis or the message broker cannot be reached; nothing was accepted."""

    code = "broker-unavailable"
    retryable = True


class ServiceUnavailable(VerilayerError):
    """A client of the admin API cannot reach it, or gets no usable answer."""

    code = "service-unavailable"
    retryable = True


class SpoolExhausted(VerilayerError):
    """Scratch space cannot hold what this layer needs."""

    code = "spool-exhausted"
    retryable = True


class Cancelled(VerilayerError):
    """A person cancelled the work."""

    code = "cancelled"
