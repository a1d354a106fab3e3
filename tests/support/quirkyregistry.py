"""A registry in memory, over real HTTP, that deviates from the spec the way well-known ones do."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

type_reply = tuple[int, dict[str, str], bytes]


@dataclass
class QuirkyRegistry:
    """Content, what was asked for, and the deviations."""

    url: str = ""
    #: GHCR: larger request bodies are refused with 416.
    max_body: int | None = None
    #: ECR: PATCH is answered 201, with the Range of the first chunk.
    sticky_range: bool = False
    #: ACR: ``bytes a-b/*`` is refused.
    plain_range_only: bool = False
    #: Distribution 3.x after a broken request: the first upload takes no chunk but its first,
    #: whatever offset it tells.
    stuck: bool = False
    min_chunk: int | None = None
    #: ECR, Harbor: a tag that exists may not move. The answer's status, code and message.
    immutable: tuple[int, str, str] | None = None
    #: Conditional PUTs are honoured.
    etags: bool = False
    #: A referrers API with pages of this size; 0 claims one but indexes nothing.
    referrers_page: int | None = None
    filters: bool = False
    #: Where blobs and uploads are redirected to, when not served here.
    blobs_at: str | None = None
    uploads_at: str | None = None
    upload_query: str = ""
    #: Signed URLs of some storages are good for GET alone.
    refuses_head: bool = False
    #: Connections accepted, requests under way and the most there were at once.
    connections: int = 0
    active: int = 0
    most: int = 0
    delay: float = 0.0
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str], int]] = field(default_factory=list)
    guard: threading.RLock = field(default_factory=threading.RLock)

    def reply(self, method: str, target: str, headers: dict[str, str], body: bytes) -> type_reply:
        """Answer one request."""
        with self.guard:
            self.requests.append((method, target, headers, len(body)))
            parts = urlsplit(target)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            if self.max_body is not None and len(body) > self.max_body:
                return error(416, "REQUESTED_RANGE_NOT_SATISFIABLE", "too large")
            if self.refuses_head and method == "HEAD":
                return error(403, "SignatureDoesNotMatch", "")
            if found := re.search(r"/blobs/uploads/(\w*)$", parts.path):
                return self._upload(method, parts.path, found[1], query, headers, body)
            if found := re.search(r"/blobs/(sha256:\w+)$", parts.path):
                return self._blob(found[1])
            if found := re.search(r"/manifests/([^/]+)$", parts.path):
                return self._manifest(method, found[1], headers, body)
            if found := re.search(r"/referrers/(sha256:\w+)$", parts.path):
                return self._referrers(parts.path, found[1], query)
            return error(404, "UNSUPPORTED", parts.path)

    def _upload(
        self,
        method: str,
        path: str,
        name: str,
        query: dict[str, str],
        headers: dict[str, str],
        body: bytes,
    ) -> type_reply:
        if method == "POST":
            name = uuid.uuid4().hex
            self.uploads[name] = bytearray()
            extra = {"OCI-Chunk-Min-Length": str(self.min_chunk)} if self.min_chunk else {}
            signed = (self.uploads_at or "") + path + name + self.upload_query
            return 202, {"Location": signed, **extra}, b""
        data = self.uploads.get(name)
        if data is None:
            return error(404, "BLOB_UPLOAD_UNKNOWN", name)
        if method == "PATCH":
            return self._patch(path, data, headers, body)
        if method == "GET":
            return 204, {"Location": path, "Range": f"0-{len(data) - 1}"}, b""
        if method == "DELETE":
            del self.uploads[name]
            return 204, {}, b""
        data += body
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        if digest != query["digest"]:
            return error(400, "DIGEST_INVALID", digest)
        self.blobs[digest] = bytes(data)
        del self.uploads[name]
        return 201, {"Docker-Content-Digest": digest}, b""

    def _patch(
        self, path: str, data: bytearray, headers: dict[str, str], body: bytes
    ) -> type_reply:
        form = r"(\d+)-(\d+)\Z" if self.plain_range_only else r"(?:bytes )?(\d+)-(\d+)(?:/\*)?\Z"
        span = re.match(form, headers.get("content-range", ""))
        if span is None or int(span[1]) != len(data) or int(span[2]) != len(data) + len(body) - 1:
            return error(416, "BLOB_UPLOAD_INVALID", headers.get("content-range", ""))
        if self.stuck and data and len(self.uploads) == 1:
            return error(416, "RANGE_INVALID", "invalid content range")
        first = not data
        data += body
        end = len(data) - 1
        if self.sticky_range:
            self._sticky = end if first else self._sticky
            return 201, {"Location": path, "Range": f"0-{self._sticky}"}, b""
        return 202, {"Location": path, "Range": f"0-{end}"}, b""

    _sticky: int = 0

    def _blob(self, digest: str) -> type_reply:
        data = self.blobs.get(digest)
        if data is None:
            return error(404, "BLOB_UNKNOWN", digest)
        if self.blobs_at is not None:
            return 307, {"Location": f"{self.blobs_at}/v2/x/blobs/{digest}?X-Signature=abc"}, b""
        return 200, {"Content-Type": "application/octet-stream"}, data

    def _manifest(
        self, method: str, reference: str, headers: dict[str, str], body: bytes
    ) -> type_reply:
        digest = reference if ":" in reference else self.tags.get(reference)
        if method == "PUT":
            return self._put(reference, digest, headers, body)
        if digest not in self.manifests:
            return error(404, "MANIFEST_UNKNOWN", reference)
        if method == "DELETE":
            del self.manifests[digest]
            self.tags = {tag: to for tag, to in self.tags.items() if to != digest}
            return 202, {}, b""
        kind, data = self.manifests[digest]
        etag = {"ETag": f'"{digest}"'} if self.etags else {}
        return 200, {"Content-Type": kind, "Docker-Content-Digest": digest, **etag}, data

    def _put(
        self, reference: str, before: str | None, headers: dict[str, str], body: bytes
    ) -> type_reply:
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        if ":" not in reference:
            if before and before != digest and self.immutable:
                return error(*self.immutable)
            wanted = headers.get("if-match")
            stale = wanted is not None and wanted != f'"{before}"'
            if self.etags and (stale or (before and headers.get("if-none-match") == "*")):
                return error(412, "PRECONDITION_FAILED", "the tag has moved")
            self.tags[reference] = digest
        self.manifests[digest] = (headers.get("content-type", ""), body)
        answer = {"Docker-Content-Digest": digest}
        subject = json.loads(body).get("subject")
        if subject and self.referrers_page:
            answer["OCI-Subject"] = subject["digest"]
        return 201, answer, b""

    def _referrers(self, path: str, subject: str, query: dict[str, str]) -> type_reply:
        if self.referrers_page is None:
            return error(404, "NOT_FOUND", "")
        entries: list[dict[str, Any]] = []
        for digest, (kind, data) in self.manifests.items() if self.referrers_page else ():
            document = json.loads(data)
            if document.get("subject", {}).get("digest") == subject:
                entry = {"mediaType": kind, "digest": digest, "size": len(data)}
                entries.append(entry | {"artifactType": document.get("artifactType")})
        wanted = query.get("artifactType")
        if self.filters and wanted:
            entries = [entry for entry in entries if entry["artifactType"] == wanted]
        start, size = int(query.get("last", "0")), self.referrers_page or 1
        headers = {"Content-Type": "application/vnd.oci.image.index.v1+json"}
        if start + size < len(entries):
            headers["Link"] = f'<{path}?last={start + size}>; rel="next"'
        page = {"schemaVersion": 2, "manifests": entries[start : start + size]}
        return 200, headers, json.dumps(page).encode()


def error(status: int, code: str, message: str) -> type_reply:
    """Return an error as the distribution spec has it."""
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return status, {"Content-Type": "application/json"}, body


@contextmanager
def quirky_registry(host: str = "127.0.0.1", **deviations: Any) -> Iterator[QuirkyRegistry]:
    """Serve it on loopback until the end."""
    registry = QuirkyRegistry(**deviations)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            with registry.guard:
                registry.connections += 1

        def _serve(self) -> None:
            with registry.guard:
                registry.active += 1
                registry.most = max(registry.most, registry.active)
            time.sleep(registry.delay)
            try:
                self._answer()
            finally:
                with registry.guard:
                    registry.active -= 1

        def _answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", "0")))
            status, answer, data = registry.reply(self.command, self.path, headers, body)
            self.send_response(status)
            for name, value in answer.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer((host, 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    registry.url = f"http://{host}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
