"""Following ``Link: rel="next"`` inside a registry, with an end (distribution-spec, pagination)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import httpx

from app.errors import AccessRefused, ResponseInvalid
from app.registry.http.client import Answer, Call, RegistryClient
from app.registry.responses import next_link

MAX_PAGES = 10_000


class Pages:
    """Iterates the answers of a call and of what they link to."""

    def __init__(self, client: RegistryClient, call: Call, max_bytes: int) -> None:
        """``max_bytes`` bounds each page."""
        self._client, self._call, self._max_bytes = client, call, max_bytes

    def __iter__(self) -> Iterator[Answer]:
        """Raise ``ResponseInvalid`` when pages lead in a circle, ``AccessRefused`` elsewhere."""
        call, seen = self._call, {self._call.target}
        for _ in range(MAX_PAGES):
            answer = self._client.request(call, max_bytes=self._max_bytes)
            yield answer
            link = next_link(answer.headers.get("link"))
            if link is None:
                return
            target = self._below(call.target, link)
            if target in seen:
                raise ResponseInvalid(f"{call.what}: its pages lead in a circle")
            seen.add(target)
            call = replace(call, target=target)
        raise ResponseInvalid(f"{self._call.what}: more than {MAX_PAGES} pages")

    def _below(self, current: str, link: str) -> str:
        base = self._client.base
        try:
            url = base.join(current).join(link)
        except (httpx.InvalidURL, ValueError):
            raise ResponseInvalid(f"{self._call.what}: the next page is no URL") from None
        if url.netloc != base.netloc:
            raise AccessRefused(f"{self._call.what}: the next page is at another host, {url.host}")
        return url.raw_path.decode("ascii")
