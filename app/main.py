"""Composition root of the web process: ``uvicorn --factory app.main:from_environment``."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI
from redis import Redis
from starlette.responses import JSONResponse, Response

from app import problems
from app.admin.routes import include_admin
from app.admin.services import AdminServices
from app.composition import open_engine, open_queue
from app.config.file import load_config
from app.config.live import Live
from app.config.model import ServiceConfig
from app.config.schema import json_schema
from app.console.routes import console_router
from app.health import health_router
from app.jobs.intake import RedisIntake
from app.jobs.readings import readings
from app.jobs.scripts import broker_errors
from app.observability import logging, tracing
from app.observability.http import RequestContext, metrics_router
from app.settings import Settings
from app.webhooks.endpoint import Endpoints, build_endpoints
from app.webhooks.fetch import Fetch, fetch
from app.webhooks.routes import Receiver, webhook_router


@dataclass(frozen=True, slots=True)
class WebConfiguration:
    """What the web process derives from the configuration; replaced as a whole."""

    config: ServiceConfig
    endpoints: Endpoints


def from_environment() -> FastAPI:
    """Create the application from ``VERILAYER_*``; raises ``ConfigurationError``."""
    settings = Settings()
    logging.configure(settings.log_format, settings.log_level)
    tracing.configure("verilayer-api", settings.otlp_endpoint)
    return create_app(settings)


def create_app(settings: Settings, *, outside: Fetch = fetch) -> FastAPI:
    """Wire the web process. ``outside`` contacts issuers and SNS; tests replace it.

    Raises ``ConfigurationError`` when the file cannot be used or an endpoint has no secret.
    """

    def load(path: Path) -> WebConfiguration:
        config = load_config(path)
        return WebConfiguration(config, build_endpoints(config, outside))

    live = Live(settings.config_file, load)
    queue = open_queue(settings)
    engine = open_engine(settings, queue)
    intake = RedisIntake(engine.redis, queue.drain_intake)
    app = FastAPI(
        title="verilayer",
        redirect_slashes=False,
        lifespan=_lifespan(live, engine.redis),
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(RequestContext)
    problems.install(app)
    receiver = Receiver(lambda: live.current.endpoints, intake, settings.webhook_max_bytes, outside)
    app.include_router(webhook_router(receiver))
    app.include_router(health_router(lambda: _ping(engine.redis), lambda: live.problem))
    app.include_router(metrics_router(lambda: readings(engine)))
    services = AdminServices.over(engine, intake, lambda: live.current.config, queue.verify)
    access = include_admin(app, services)
    app.include_router(console_router(services, access), include_in_schema=False)
    app.add_route("/config.schema.json", _schema, include_in_schema=False)
    return app


def _ping(redis: Redis) -> None:
    with broker_errors("answering a readiness probe"):
        redis.ping()


async def _schema(_request: object) -> Response:
    return JSONResponse(json_schema(), media_type="application/schema+json")


def _lifespan(
    live: Live[WebConfiguration], redis: Redis
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def run(_app: FastAPI) -> AsyncIterator[None]:
        live.start()
        # Signals belong to the main thread; in tests the application may run in another.
        main = threading.current_thread() is threading.main_thread()
        if main:
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, live.request_reload)
        try:
            yield
        finally:
            if main:
                asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
            live.stop()
            redis.close()
            # uvicorn ends by the signal that stopped it: nothing registered atexit would run.
            await asyncio.to_thread(tracing.shutdown)

    return run
