from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.errors import Unavailable
from app.webhooks.fetch import MAX_BYTES, fetch
from tests.support.http_files import FileServer, serving
from tests.support.ports import free_port


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as files:
        yield files


def test_small_documents_are_read(server: FileServer) -> None:
    server.files["/keys"] = (200, b"{}")
    assert fetch(f"{server.url}/keys") == b"{}"


@pytest.mark.parametrize(
    "answer",
    [(404, b""), (500, b"x"), (302, b"/keys"), (204, b""), (200, b"x" * (MAX_BYTES + 1))],
    ids=lambda answer: str(answer[0]),
)
def test_anything_else_is_unavailable(server: FileServer, answer: tuple[int, bytes]) -> None:
    server.files["/keys"] = (200, b"{}")
    server.files["/odd"] = answer
    with pytest.raises(Unavailable):
        fetch(f"{server.url}/odd")
    assert server.requests == ["/odd"]  # A redirect is not followed.


def test_nobody_there_and_no_address() -> None:
    for url in (f"http://127.0.0.1:{free_port()}/", "http://[", "nonsense"):
        with pytest.raises(Unavailable):
            fetch(url)
