"""A real HTTP server on loopback that serves bytes by path, counts requests, and can fail."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer:
    """``files`` maps paths to (status, body); anything else is 404."""

    def __init__(self) -> None:
        """Bind a free port; nothing is served before ``serving``."""
        self.files: dict[str, tuple[int, bytes]] = {}
        self.requests: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(self.path)
                status, body = outer.files.get(self.path, (404, b""))
                self.send_response(status)
                if status in (301, 302, 307):
                    self.send_header("Location", body.decode())
                    body = b""
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def serving() -> Iterator[FileServer]:
    """Serve until the block ends."""
    files = FileServer()
    thread = threading.Thread(target=files.server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield files
    finally:
        files.server.shutdown()
        thread.join()
        files.server.server_close()
