"""``POST /v1/rules/test``: what would become of a push, and why; nothing is contacted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.config.model import ServiceConfig
from app.jobs.push import PushEvent
from app.jobs.triage import foretell
from app.oci.reference import Reference
from app.problems import Problem


class RuleQuestion(BaseModel):
    """Either ``reference``, or ``registry`` and ``repository`` with an optional tag."""

    model_config = ConfigDict(extra="forbid")

    reference: str | None = Field(default=None, max_length=600)
    registry: str | None = Field(default=None, max_length=63)
    repository: str | None = Field(default=None, max_length=255)
    tag: str | None = Field(default=None, max_length=128)

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.reference is None) == (self.registry is None or self.repository is None):
            raise ValueError("give reference, or registry and repository")
        return self


def rules_router(config: Callable[[], ServiceConfig]) -> APIRouter:
    """Routes under ``/v1/rules``; the caller adds authentication."""
    router = APIRouter(prefix="/v1/rules", tags=["rules"])

    @router.post("/test")
    def test(question: RuleQuestion) -> dict[str, Any]:
        """Say which rule matches and why the earlier ones do not, or why none is asked."""
        current = config()
        registry, repository, tag = _place(question, current)
        answer = {"registry": registry, "repository": repository, "tag": tag}
        return answer | foretell(current, registry, PushEvent(repository=repository, tag=tag))

    return router


def _place(question: RuleQuestion, config: ServiceConfig) -> tuple[str, str, str | None]:
    if question.reference is None:
        assert question.registry is not None
        assert question.repository is not None
        if config.registry(question.registry) is None:
            raise Problem(404, "registry-unknown", f"no registry {question.registry!r}")
        return question.registry, question.repository, question.tag
    try:
        reference = Reference.parse(question.reference)
    except ValueError as error:
        raise Problem(422, "reference-invalid", str(error)) from None
    for registry in config.registries:
        if registry.reference_host == reference.registry:
            return registry.id, reference.repository, reference.tag
    raise Problem(404, "registry-unknown", f"no registry of host {reference.registry!r}")
