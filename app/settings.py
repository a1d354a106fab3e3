"""Process settings, read once from the environment (``VERILAYER_*``) by the composition roots.

What to convert, for which registries and with which keys is not here but in the configuration file
that ``config_file`` names. Where ``VERILAYER_SECRETS_DIR`` is set, a setting may also be a file in
that folder, named as the variable in lower case: ``verilayer_redis_url``.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

SECRETS_DIR = "VERILAYER_SECRETS_DIR"


class Settings(BaseSettings):
    """How this process runs."""

    model_config = SettingsConfigDict(env_prefix="VERILAYER_", frozen=True, extra="ignore")

    config_file: Path = Field(
        default=Path("verilayer.yaml"), description="The configuration document (YAML)."
    )
    redis_url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"),
        description="Redis of the ledger, locks and rate limits.",
    )
    broker_url: SecretStr | None = Field(
        default=None, description="Celery broker; the ledger's Redis when absent."
    )
    state_dir: Path = Field(
        default=Path(".state"), description="Keys made here, audit log, embedded Redis data."
    )
    evidence_key_file: Path | None = Field(
        default=None,
        description="Key with which workers seal what they read, the same for all of them; "
        "made in state_dir when absent. The API must not have it.",
    )
    spool_dir: Path | None = Field(
        default=None, description="Scratch space for verity leaves; state_dir/spool when absent."
    )
    spool_max_bytes: int = Field(
        default=16 << 30, ge=1 << 20, description="Scratch space all workers of a host may use."
    )
    host: str = Field(default="127.0.0.1", description="Address the API listens on.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port the API listens on.")
    worker_concurrency: int = Field(default=2, ge=1, description="Layer builds at once.")
    webhook_max_bytes: int = Field(
        default=1 << 20, ge=1024, description="Largest webhook body accepted, in bytes."
    )
    log_format: str = Field(default="json", pattern="^(json|console)$", description="Log lines.")
    log_level: str = Field(default="INFO", description="Least severe level that is logged.")
    metrics_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Port on which a worker serves /metrics; none when absent. "
        "The API serves them on its own port.",
    )
    otlp_endpoint: str | None = Field(
        default=None,
        pattern="^https?://",
        description="OTLP/HTTP collector that traces are sent to; tracing is off when absent.",
    )
    heartbeat_file: Path | None = Field(
        default=None, description="File a worker touches while it consumes, for liveness probes."
    )
    #: Celery redelivers unacknowledged tasks after this many seconds; see docs/reliability.md.
    visibility_timeout: int = Field(
        default=4 * 3600, ge=60, description="Seconds until an unacknowledged task is redelivered."
    )
    task_time_limit: int = Field(
        default=3600, ge=30, description="Hard limit of one task, in seconds."
    )
    lease_seconds: float = Field(
        default=30.0, ge=1, description="Seconds after which the work of a silent worker is redone."
    )
    reap_seconds: float = Field(
        default=5.0, ge=0.5, description="Period of the reaper, in seconds."
    )
    retry_seconds: float = Field(
        default=4.0, gt=0, description="First back-off after a failure, doubled per attempt."
    )
    max_attempts: int = Field(default=5, ge=1, description="Attempts before a job is dead.")
    job_retention_days: float = Field(default=30.0, gt=0, description="How long jobs are kept.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment, then files of the secrets folder."""
        directory = os.environ.get(SECRETS_DIR)
        if directory is None:
            return init_settings, env_settings
        files = SecretsSettingsSource(settings_cls, secrets_dir=directory)
        return init_settings, env_settings, files
