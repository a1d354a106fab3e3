"""Uploading a blob (distribution-spec, "Push"): one streamed PUT, or chunks; resumed when broken.

After a broken transfer the registry is asked how much it has, and the rest goes on from there. Some
registries answer that question wrongly or not at all; then the upload starts again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from typing import BinaryIO

from app.errors import (
    ContentMismatch,
    NotFound,
    RegistryError,
    ResponseInvalid,
    Unauthorized,
    Unavailable,
    VerilayerError,
)
from app.oci.descriptor import Descriptor
from app.oci.mediatypes import OCTET_STREAM
from app.registry.http.client import Answer, Call, RegistryClient
from app.registry.protocols import BlobSource
from app.registry.quirks import Quirks
from app.registry.transfer.download import PROGRESS
from app.registry.transfer.presence import blob_present

_READ = 1 << 16
_RANGE = re.compile(r"(?:bytes=)?(\d+)-(\d+)\Z")
#: A registry may not ask for larger chunks than this, in bytes.
MAX_CHUNK = 1 << 30
#: Statuses by which registries refuse a body that is too large for one request.
_TOO_LARGE = frozenset({413, 416})


class Upload:
    """One blob on its way to one repository."""

    def __init__(
        self,
        client: RegistryClient,
        quirks: Quirks,
        repository: str,
        blob: Descriptor,
        source: BlobSource,
        scopes: tuple[str, ...],
    ) -> None:
        self._client, self._quirks = client, quirks
        self._repository, self._blob, self._source = repository, blob, source
        self._scopes = scopes
        self._what = f"upload of {repository}@{blob.digest}"
        self._chunked = quirks.upload == "chunked"
        self._location: str | None = None
        self._offset = 0
        self._resumed = False
        #: Times in a row that the registry refused the offset it had told.
        self._refused = 0
        self._chunk = quirks.chunk_bytes

    def run(self) -> None:
        """Upload, however often the link breaks while there is progress.

        Raises ``ContentMismatch`` when the source or the registry disagrees with the descriptor.
        """
        failures, mark, restarts = 0, 0, 0
        while True:
            try:
                self._attempt()
                return
            except VerilayerError as error:
                if not self._chunked and self._refuses_size(error):
                    self._chunked, self._location = True, None
                    continue
                self._client.forget_token(self._scopes)
                if not error.retryable and not self._session_lost(error):
                    self._cancel()
                    raise
                known = self._recover()
                if known - mark >= PROGRESS:
                    failures, mark = restarts, known
                failures += 1
                if not known:
                    # What is sent anew is progress again, but not for ever.
                    restarts, mark = restarts + 1, 0
                again = error if error.retryable else Unavailable(str(error))
                if not self._client.retry.pause(failures, again):
                    self._cancel()
                    raise
                if not known and self.present():
                    return

    def present(self) -> bool:
        """HEAD the blob: the registry may have it, even when its answer was lost."""
        return blob_present(self._client, self._repository, self._blob.digest, self._scopes)

    def _attempt(self) -> None:
        if self._location is None:
            self._offset = 0
            self._location = self._start()
        if self._chunked:
            while self._offset < self._blob.size:
                self._patch(min(self._chunk, self._blob.size - self._offset))
            self._finish(0)
        elif self._offset:
            self._patch(self._blob.size - self._offset)
            self._finish(0)
        else:
            self._finish(self._blob.size)

    def _start(self) -> str:
        target = f"/v2/{self._repository}/blobs/uploads/"
        answer = self._send("POST", target, 0, 0, {}, frozenset({202}))
        minimum = answer.headers.get("oci-chunk-min-length", "")
        if minimum.isdecimal():
            self._chunk = max(self._quirks.chunk_bytes, int(minimum[:20]))
            if self._chunk > MAX_CHUNK:
                raise ResponseInvalid(f"{self._what}: the registry wants chunks of {minimum} bytes")
        return self._client.upload_target(answer.headers.get("location"), target)

    def _patch(self, length: int) -> None:
        assert self._location is not None
        first, last = self._offset, self._offset + length - 1
        form = "bytes {}-{}/*" if self._quirks.content_range == "bytes" else "{}-{}"
        headers = {"Content-Range": form.format(first, last)}
        # ECR says 201, and repeats the range of the first chunk: our own count is what we trust.
        ok = frozenset({201, 202, 204})
        answer = self._send("PATCH", self._location, first, length, headers, ok)
        self._offset += length
        self._refused = 0
        self._move(answer)

    def _finish(self, length: int) -> None:
        assert self._location is not None
        # Appended as text: the rest of the query may be signed, and must stay as it is.
        target = (
            f"{self._location}{'&' if '?' in self._location else '?'}digest={self._blob.digest}"
        )
        answer = self._send("PUT", target, 0, length, {}, frozenset({201, 204}))
        stored = answer.headers.get("docker-content-digest", self._blob.digest)
        if stored != self._blob.digest:
            raise ContentMismatch(f"{self._what}: the registry stored {stored[:150]!r}")

    def _send(
        self,
        method: str,
        target: str,
        offset: int,
        length: int,
        headers: dict[str, str],
        ok: frozenset[int],
    ) -> Answer:
        typed = {"Content-Type": OCTET_STREAM} if length else {}
        call = Call(
            method,
            target,
            self._what,
            self._scopes,
            {**typed, **headers},
            body=(lambda: self._read(offset, length)) if length else None,
            length=length,
            ok=ok,
            repository=self._repository,
        )
        # Only the start may be repeated blindly: what it leaves behind expires.
        return self._client.request(call, retry=method == "POST")

    def _read(self, offset: int, length: int) -> Iterator[bytes]:
        with closing(self._source.open()) as reader:
            _skip(reader, offset)
            left = length
            while left:
                data = reader.read(min(_READ, left))
                if not data:
                    raise ContentMismatch(
                        f"{self._what}: the source ends {left} bytes before its descriptor's "
                        f"{self._blob.size}"
                    )
                left -= len(data)
                yield data
            if offset + length == self._blob.size and reader.read(1):
                raise ContentMismatch(
                    f"{self._what}: the source is longer than its descriptor's {self._blob.size}"
                )

    def _move(self, answer: Answer) -> None:
        location = answer.headers.get("location")
        if location:
            assert self._location is not None
            self._location = self._client.upload_target(location, self._location)

    def _recover(self) -> int:
        """Ask how much arrived; return it, or 0 when the upload has to start again."""
        location, self._location = self._location, None
        if location is None:
            return 0
        call = Call(
            "GET",
            location,
            self._what,
            self._scopes,
            ok=frozenset({200, 204}),
            repository=self._repository,
        )
        try:
            answer = self._client.request(call)
        except RegistryError:
            return 0
        match = _RANGE.match(answer.headers.get("range", ""))
        have = int(match[2]) + 1 if match and match[1] == "0" and match[2] != "0" else 0
        if not 0 < have <= self._blob.size:
            return 0
        self._location, self._offset, self._resumed = location, have, True
        self._move(answer)
        return have

    def _cancel(self) -> None:
        if self._location is None:
            return
        call = Call(
            "DELETE",
            self._location,
            self._what,
            self._scopes,
            ok=frozenset(range(200, 600)),
            repository=self._repository,
        )
        try:
            self._client.request(call, retry=False)
        except VerilayerError:
            # Abandoned uploads expire by themselves; the first error is what matters.
            return

    def _refuses_size(self, error: VerilayerError) -> bool:
        return error.details.get("status") in _TOO_LARGE and self._blob.size > self._chunk

    def _session_lost(self, error: VerilayerError) -> bool:
        """Whether starting again can help: the session is unknown, or what it holds is wrong."""
        if self._resumed and isinstance(error, ContentMismatch):
            # The registry may have counted bytes of the broken request that it did not keep.
            self._resumed, self._location = False, None
            return True
        if self._location is None or isinstance(error, Unauthorized):
            return False
        if error.details.get("status") == 416:
            self._refused += 1
            if self._refused > 1:
                # It keeps telling an offset that it does not take: only a new session gets on.
                self._resumed, self._refused, self._location = False, 0, None
            return True
        return isinstance(error, NotFound)


def _skip(reader: BinaryIO, offset: int) -> None:
    if reader.seekable():
        reader.seek(offset)
        return
    while offset:
        data = reader.read(min(_READ, offset))
        if not data:
            raise ContentMismatch("the source became shorter while it was uploaded")
        offset -= len(data)
