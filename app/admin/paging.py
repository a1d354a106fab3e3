"""Cursor pages: query parameters, and the ``Link: rel=next`` header (RFC 8288)."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response

CursorQuery = Annotated[str | None, Query(max_length=200, description="From a page's `next`.")]
LimitQuery = Annotated[int, Query(ge=1, le=200)]


def link_next(request: Request, response: Response, cursor: str | None) -> None:
    """Name the next page, if there is one."""
    if cursor is not None:
        url = request.url.include_query_params(cursor=cursor)
        response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
