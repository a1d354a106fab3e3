"""Streaming a blob: checked while it flows, resumed where it broke (distribution-spec, "Pull")."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace

import httpx

from app.errors import ContentMismatch, ResponseInvalid, Unavailable, VerilayerError
from app.oci.descriptor import Descriptor
from app.oci.digest import verified
from app.registry.http.client import Call, RegistryClient, transport_errors
from app.registry.http.retrying import RetryPolicy

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)\Z")
#: A transfer that moved this much since its last failure may fail again, in bytes.
PROGRESS = 1 << 20


class Download:
    """One blob on its way; iterate ``chunks`` once, then ``close``."""

    def __init__(
        self, client: RegistryClient, repository: str, blob: Descriptor, scopes: tuple[str, ...]
    ) -> None:
        self._client, self._blob, self._retry = client, blob, client.retry
        self._what = f"blob {repository}@{blob.digest}"
        self._call = Call(
            "GET",
            f"/v2/{repository}/blobs/{blob.digest}",
            self._what,
            scopes,
            ok=frozenset({200, 206}),
            repository=repository,
            any_type=True,
        )
        self._offset = 0
        self._etag: str | None = None

    def chunks(self) -> Generator[bytes, None, None]:
        """Yield the content; raises ``ContentMismatch`` at the latest when it ends."""
        with closing(self._resumed(self._retry)) as parts:
            yield from verified(parts, self._blob.digest, self._blob.size)

    def _resumed(self, retry: RetryPolicy) -> Generator[bytes, None, None]:
        failures, mark = 0, 0
        while True:
            try:
                yield from self._once()
                return
            except VerilayerError as error:
                if self._offset - mark >= PROGRESS:
                    failures, mark = 0, self._offset
                failures += 1
                if not retry.pause(failures, error):
                    raise

    def _once(self) -> Generator[bytes, None, None]:
        if self._offset and self._offset == self._blob.size:
            return
        headers = {}
        if self._offset:
            headers["Range"] = f"bytes={self._offset}-"
            if self._etag:
                headers["If-Range"] = self._etag
        call = replace(self._call, headers=headers)
        with self._client.stream(call) as response:
            skip = self._check(response)
            with transport_errors(self._what):
                for chunk in response.iter_raw():
                    fresh = chunk[skip:]
                    skip = max(0, skip - len(chunk))
                    if fresh:
                        self._offset += len(fresh)
                        yield fresh
        if self._offset < self._blob.size and "content-length" not in response.headers:
            raise Unavailable(f"{self._what}: ended after {self._offset} bytes")

    def _check(self, response: httpx.Response) -> int:
        """Check what the headers claim; return how many bytes come that we already have."""
        etag = response.headers.get("etag")
        self._etag = etag if etag and etag.startswith('"') else None
        length = response.headers.get("content-length")
        if response.status_code == 200:
            if length is not None and length != str(self._blob.size):
                raise ContentMismatch(
                    f"{self._what} has {length} bytes, its descriptor says {self._blob.size}"
                )
            return self._offset
        match = _RANGE.match(response.headers.get("content-range", ""))
        if not self._offset or match is None or int(match[1]) > self._offset:
            raise ResponseInvalid(f"{self._what}: the registry sent a range that was not asked for")
        if match[3] not in ("*", str(self._blob.size)):
            raise ContentMismatch(
                f"{self._what} has {match[3]} bytes, its descriptor says {self._blob.size}"
            )
        return self._offset - int(match[1])
