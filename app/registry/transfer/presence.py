"""Asking whether a blob is there (distribution-spec, "Checking if content exists")."""

from __future__ import annotations

from dataclasses import replace

from app.errors import RegistryError
from app.oci.digest import Digest
from app.registry.http.client import Call, RegistryClient


def blob_present(
    client: RegistryClient, repository: str, digest: Digest, scopes: tuple[str, ...]
) -> bool:
    """HEAD a blob; where its storage refuses HEAD, ask for its first byte.

    Signed URLs are often good for GET alone.
    """
    call = Call(
        "HEAD",
        f"/v2/{repository}/blobs/{digest}",
        f"blob {repository}@{digest}",
        scopes,
        ok=frozenset({200, 404}),
        repository=repository,
    )
    try:
        return client.request(call).status == 200
    except RegistryError as error:
        if "foreign" not in error.details or error.retryable:
            raise
    ranged = replace(
        call,
        method="GET",
        headers={"Range": "bytes=0-0"},
        # An empty blob has no first byte.
        ok=frozenset({200, 206, 404, 416}),
        any_type=True,
    )

    def once() -> bool:
        with client.stream(ranged) as response:
            return response.status_code != 404

    return client.retry.call(once)
