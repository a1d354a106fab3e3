"""``PushEvent``: the one thing every webhook dialect is turned into."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from app.oci.digest import Digest


class PushEvent(BaseModel):
    """Something was pushed to a repository of the registry that the endpoint is configured for.

    Hosts named in payloads are never kept, so that they cannot be dialled: registries take them
    from the ``Host`` header of whoever pushed. At least one of ``tag`` and ``digest`` is set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    repository: str
    tag: str | None = None
    digest: Digest | None = None
    #: Media type of the pushed manifest, artifact type and subject, where the dialect tells them.
    media_type: str | None = None
    artifact_type: str | None = None
    has_subject: bool = False
    #: Who pushed, as the registry names them; the first, cheap layer of the loop guard.
    actor: str | None = None
    #: Delivery or event id, for the replay cache; unique per dialect and registry.
    delivery_id: str | None = Field(default=None, max_length=256)

    def under(self, prefix: str) -> Self:
        """Return the event with a prefix before its repository's name, as an endpoint may add."""
        if not prefix:
            return self
        return self.model_copy(update={"repository": prefix + self.repository})
