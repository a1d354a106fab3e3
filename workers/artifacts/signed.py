"""What was signed of a layer: its facts and its signatures."""

from __future__ import annotations

from dataclasses import dataclass

from app.facts import LayerFacts
from app.oci.descriptor import Descriptor


@dataclass(frozen=True, slots=True)
class SignedLayer:
    """One layer of an image, ready for a bundle; unsigned where no key is bound."""

    #: How the image's manifest describes it.
    layer: Descriptor
    facts: LayerFacts
    #: Detached signatures (DER) over the root hash of each layout.
    signature: bytes | None = None
    single_device_signature: bytes | None = None
