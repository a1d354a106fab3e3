from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app import problems
from app.admin.rules import rules_router
from app.config.model import ServiceConfig

CONFIG = ServiceConfig.model_validate(
    {
        "registries": [{"id": "main", "url": "https://registry.example"}],
        "rules": [{"name": "releases", "tags": ["v*"]}],
    }
)


def ask(question: dict[str, Any]) -> httpx.Response:
    app = FastAPI()
    problems.install(app)
    app.include_router(rules_router(lambda: CONFIG))

    async def post() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.post("/v1/rules/test", json=question)

    return asyncio.run(post())


@pytest.mark.parametrize(
    "question",
    [
        {"reference": "registry.example/team/app:v1"},
        {"registry": "main", "repository": "team/app", "tag": "v1"},
    ],
)
def test_it_says_which_rule_and_why(question: dict[str, str]) -> None:
    answer = ask(question)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["registry"], body["repository"], body["rule"]) == ("main", "team/app", "releases")
    assert body["verdicts"][0]["matches"] is True


@pytest.mark.parametrize(
    ("question", "status"),
    [
        ({}, 422),
        ({"reference": "x", "registry": "main", "repository": "y"}, 422),
        ({"reference": "not a reference"}, 422),
        ({"reference": "other.example/x:1"}, 404),
        ({"registry": "other", "repository": "x"}, 404),
        ({"registry": "main", "repository": "x", "extra": 1}, 422),
    ],
)
def test_wrong_questions(question: dict[str, Any], status: int) -> None:
    answer = ask(question)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
