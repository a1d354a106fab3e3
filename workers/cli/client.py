"""A typed client of the admin API: ``/v1`` as methods over the schemas that the routes use."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from httpx_sse import EventSource
from pydantic import BaseModel, ValidationError

from app import errors
from app.admin.schemas import (
    AuditPage,
    BatchList,
    EventView,
    ImageView,
    JobList,
    JobView,
    QueuesView,
    Reprocess,
    ReprocessPlan,
    SubmitJob,
    Submitted,
    Verify,
    Whoami,
)
from app.jobs.audit import AuditEntry
from app.jobs.batches import Batch, BatchProgress
from app.jobs.records import Job
from app.jobs.requests import VerificationRequest
from app.jobs.state import JobState
from app.oci.digest import Digest

#: Seconds without a byte; the API sends a keep-alive every 15 s while a job is followed.
TIMEOUT = 45.0

T = TypeVar("T", bound=BaseModel)
Page = TypeVar("Page", JobList, BatchList, AuditPage)


class RequestRefused(errors.VerilayerError):
    """The API refused a request; ``code`` and ``status`` are those of its problem document."""

    status: int = 0


class CallerRefused(RequestRefused, errors.ConfigurationError):
    """The token is missing, unknown or lacks a role, or the request is malformed."""


class AdminClient:
    """Calls one service; a context manager. Every method raises ``VerilayerError``.

    Codes that the service shares with ``app.errors`` come back as those errors, others as
    ``RequestRefused``; a service that cannot be reached is ``ServiceUnavailable``.
    """

    def __init__(self, url: str, token: str, *, timeout: float = TIMEOUT) -> None:
        """``url`` is the service's base address, ``token`` an API token or an OIDC JWT."""
        self._http = httpx.Client(
            base_url=url.rstrip("/"),
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout,
            transport=httpx.HTTPTransport(retries=2),  # of connecting only: nothing runs twice
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # Jobs.

    def submit(self, wanted: SubmitJob) -> Submitted:
        """Ask for a conversion; ``event`` tells what became of it."""
        return self._post("/v1/jobs", Submitted, wanted)

    def event(self, number: int) -> EventView:
        """What became of an accepted event."""
        return self._get(f"/v1/events/{number}", EventView)

    def jobs(
        self,
        *,
        state: JobState | None = None,
        registry: str | None = None,
        repository: str | None = None,
    ) -> Iterator[Job]:
        """Every job, newest first, page by page; ``repository`` needs ``registry``."""
        wanted = {"state": state, "registry": registry, "repository": repository}
        for page in self._pages("/v1/jobs", JobList, wanted):
            yield from page.items

    def job(self, job_id: str) -> JobView:
        """A job with its layers."""
        return self._get(f"/v1/jobs/{_part(job_id)}", JobView)

    def watch(self, job_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Follow a job until it is finished: ``("job" | "progress", document)``."""
        path = f"/v1/jobs/{_part(job_id)}/stream"
        with _reaching(self._http.base_url), self._http.stream("GET", path) as answer:
            if answer.is_error:
                answer.read()
                raise _problem(answer)
            for event in EventSource(answer).iter_sse():
                yield event.event, event.json()

    def cancel(self, job_id: str) -> Job:
        """Cancel a job."""
        return self._post(f"/v1/jobs/{_part(job_id)}/cancel", Job)

    def retry(self, job_id: str, *, force: bool = False) -> Job:
        """Queue a finished job again; ``force`` rebuilds what is there."""
        return self._post(f"/v1/jobs/{_part(job_id)}/retry", Job, params={"force": force})

    # Batches.

    def batches(self) -> Iterator[Batch]:
        """Every batch, newest first."""
        for page in self._pages("/v1/batches", BatchList, {}):
            yield from page.items

    def batch(self, batch_id: str) -> BatchProgress:
        """A batch and how far it is."""
        return self._get(f"/v1/batches/{_part(batch_id)}", BatchProgress)

    def reprocess(self, wanted: Reprocess) -> Batch | ReprocessPlan | tuple[str, ...]:
        """Ask in bulk: a batch, a plan for a dry run, the swept registries for ``missing``."""
        answer = self._send("POST", "/v1/reprocess", wanted)
        if wanted.only == "missing":
            return tuple(answer.json()["sweeps"])
        return _parsed(answer, ReprocessPlan) if wanted.dry_run else _parsed(answer, Batch)

    def pause_batch(self, batch_id: str) -> BatchProgress:
        """Feed nothing more."""
        return self._post(f"/v1/batches/{_part(batch_id)}/pause", BatchProgress)

    def resume_batch(self, batch_id: str) -> BatchProgress:
        """Feed again."""
        return self._post(f"/v1/batches/{_part(batch_id)}/resume", BatchProgress)

    def cancel_batch(self, batch_id: str) -> BatchProgress:
        """Forget what was not fed, cancel what is unfinished."""
        return self._post(f"/v1/batches/{_part(batch_id)}/cancel", BatchProgress)

    # Dead letters and queues.

    def dead_letters(self) -> Iterator[Job]:
        """Every job whose attempts are used up."""
        for page in self._pages("/v1/dead-letters", JobList, {}):
            yield from page.items

    def requeue(self, job_id: str) -> Job:
        """Give a dead letter new attempts."""
        return self._post(f"/v1/dead-letters/{_part(job_id)}/requeue", Job)

    def drop(self, job_id: str) -> Job:
        """Give a dead letter up."""
        return self._post(f"/v1/dead-letters/{_part(job_id)}/drop", Job)

    def queues(self) -> QueuesView:
        """Lanes, pauses and counts by state."""
        return self._get("/v1/queues", QueuesView)

    def set_paused(self, kind: str, name: str, paused: bool) -> QueuesView:
        """Pause or resume; ``kind`` is ``queues`` or ``registries``."""
        verb = "pause" if paused else "resume"
        return self._post(f"/v1/{_part(kind)}/{_part(name)}/{verb}", QueuesView)

    # Images, audit, caller.

    def image(self, registry: str, repository: str, digest: Digest) -> ImageView:
        """What is known of and attached to an image."""
        path = f"/v1/images/{_part(registry)}/{quote(repository)}@{digest}"
        return self._get(path, ImageView)

    def verify(self, wanted: Verify) -> VerificationRequest:
        """Ask for a verification."""
        return self._post("/v1/verify", VerificationRequest, wanted)

    def verification(self, verification_id: str) -> VerificationRequest:
        """A verification and its report."""
        return self._get(f"/v1/verifications/{_part(verification_id)}", VerificationRequest)

    def audit(self) -> Iterator[AuditEntry]:
        """Who changed what, newest first."""
        for page in self._pages("/v1/audit", AuditPage, {}):
            yield from page.items

    def whoami(self) -> Whoami:
        """The caller as the service sees it."""
        return self._get("/v1/whoami", Whoami)

    def _get(self, path: str, model: type[T]) -> T:
        return _parsed(self._send("GET", path), model)

    def _post(
        self,
        path: str,
        model: type[T],
        body: BaseModel | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> T:
        return _parsed(self._send("POST", path, body, params), model)

    def _pages(self, path: str, model: type[Page], filters: Mapping[str, object]) -> Iterator[Page]:
        wanted = {name: value for name, value in filters.items() if value is not None}
        while True:
            answer = self._send("GET", path, params={**wanted, "limit": 200})
            page = _parsed(answer, model)
            yield page
            if page.next is None:
                return
            wanted["cursor"] = page.next

    def _send(
        self,
        method: str,
        path: str,
        body: BaseModel | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> httpx.Response:
        document = None if body is None else body.model_dump(mode="json", exclude_defaults=True)
        headers = {"Idempotency-Key": uuid.uuid4().hex} if method == "POST" else {}
        with _reaching(self._http.base_url):
            answer = self._http.request(method, path, json=document, params=params, headers=headers)
        if answer.is_error:
            raise _problem(answer)
        return answer


@contextmanager
def _reaching(url: object) -> Iterator[None]:
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise errors.ServiceUnavailable(
            f"the service at {url} does not answer: {error}",
            advice="is it running, and is the URL right?",
        ) from error


def _part(text: str) -> str:
    return quote(text, safe="")


def _parsed(answer: httpx.Response, model: type[T]) -> T:
    try:
        return model.model_validate_json(answer.content)
    except ValidationError as error:
        raise errors.ServiceUnavailable(
            f"{answer.request.url} answered something else than expected: {error}",
            advice="is this the URL of a verilayer of this release?",
        ) from None


def _problem(answer: httpx.Response) -> errors.VerilayerError:
    """Turn a problem document into an error."""
    try:
        body = answer.json()
        code, detail, advice = str(body["code"]), str(body["detail"]), body.get("advice")
    except (ValueError, TypeError, KeyError):
        return errors.ServiceUnavailable(
            f"{answer.request.url} answered {answer.status_code} without saying why"
        )
    usage = answer.status_code in (401, 403, 422)
    known = None if usage else _known(errors.VerilayerError, code)
    if known is not None:
        return known(detail, advice=advice)
    error = (CallerRefused if usage else RequestRefused)(detail, advice=advice)
    error.status = answer.status_code
    # The tree has one code a class; here the service is the one to say it.
    vars(error)["code"] = code
    return error


def _known(kind: type[errors.VerilayerError], code: str) -> type[errors.VerilayerError] | None:
    """Find the error of ``app.errors`` that has a code."""
    ours = kind.__module__ == errors.__name__ and kind is not errors.NotConvertible
    if ours and kind.code == code:
        return kind
    found = (_known(below, code) for below in kind.__subclasses__())
    return next((one for one in found if one is not None), None)
