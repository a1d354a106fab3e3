"""``Idempotency-Key``: the same key and body give the same answer for 24 hours.

The key is claimed before the work starts, so two simultaneous requests do it once; a request that
fails gives the key back.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, cast

from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from redis import Redis

from app.admin.authorization import Principal
from app.jobs.keys import key
from app.jobs.scripts import broker_errors
from app.problems import Problem

KEEP = 24 * 3600
#: Longest time one request may work under a claimed key, in seconds.
CLAIM = 60
_LONGEST = 128


def once(
    redis: Redis,
    request: Request,
    principal: Principal,
    body: BaseModel,
    work: Callable[[], tuple[dict[str, Any], str]],
) -> JSONResponse:
    """Answer 202 with ``work()``'s document and Location, doing it once per key.

    Raises ``Problem`` 422 for the same key with another body, 409 while the first is under way.
    """
    given = request.headers.get("Idempotency-Key")
    if not given:
        return _accepted(*work())
    if len(given) > _LONGEST:
        raise Problem(422, "idempotency-key-invalid", f"longer than {_LONGEST} characters")
    told = hashlib.sha256(f"{request.url.path}\n{body.model_dump_json()}".encode()).hexdigest()
    owner = hashlib.sha256(f"{principal.name}\n{given}".encode()).hexdigest()
    name = key("idempotency", owner)
    with broker_errors("claiming an idempotency key"):
        claimed = redis.set(name, json.dumps({"body": told}), nx=True, ex=CLAIM)
        known = None if claimed else cast(str | None, redis.get(name))
    if known is not None:
        return _answer(json.loads(known), told)
    try:
        document, location = work()
    except Exception:
        with broker_errors("giving an idempotency key back"):
            redis.delete(name)
        raise
    stored = {"body": told, "document": document, "location": location}
    with broker_errors("keeping an idempotent answer"):
        redis.set(name, json.dumps(stored), ex=KEEP)
    return _accepted(document, location)


def _answer(known: dict[str, Any], told: str) -> JSONResponse:
    if known["body"] != told:
        raise Problem(422, "idempotency-key-reused", "this key was used with another request")
    if "document" not in known:
        raise Problem(
            409, "idempotency-in-progress", "the first request with this key is under way",
            headers={"Retry-After": "1"},
        )  # fmt: skip
    return _accepted(known["document"], known["location"])


def _accepted(document: dict[str, Any], location: str) -> JSONResponse:
    return JSONResponse(document, status_code=202, headers={"Location": location})
