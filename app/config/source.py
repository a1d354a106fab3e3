"""What every configuration model shares: strictness, and secrets named instead of written."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator


class ConfigModel(BaseModel):
    """Frozen; unknown keys are errors; attribute docstrings become the reference."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class SecretSource(ConfigModel):
    """A secret given inline, by environment variable or by file (re-read when it changes)."""

    value: SecretStr | None = None
    """The secret itself; prefer the other two, which keep it out of this file."""
    env: str | None = None
    """Environment variable that holds the secret."""
    file: str | None = None
    """File that holds the secret, such as a mounted Kubernetes secret."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(source is not None for source in (self.value, self.env, self.file)) != 1:
            raise ValueError("give exactly one of value, env, file")
        return self
