"""Configuration types made from the tables of ``app.catalog``: a new row is a new choice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from app.catalog.builders import offered
from app.catalog.dialects import DIALECTS, DialectName
from app.catalog.profiles import PROFILES, ProfileName
from app.catalog.signers import SIGNERS, SignerName
from app.catalog.vocabulary import Role


@dataclass(frozen=True, slots=True)
class OneOf:
    """Marks a ``str`` that is one of ``names``: what ``Literal`` does, for names kept in a table.

    Errors, JSON Schema and docs/configuration.md are those of the ``Literal`` of the same names.
    """

    names: Iterable[str]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """See pydantic's "Customizing validation with __get_pydantic_core_schema__"."""
        return core_schema.literal_schema(list(self.names))


BuilderChoice: TypeAlias = Annotated[str, OneOf(offered())]
DialectChoice: TypeAlias = Annotated[DialectName, OneOf(DIALECTS)]
ProfileChoice: TypeAlias = Annotated[ProfileName, OneOf(PROFILES)]
RoleChoice: TypeAlias = Annotated[str, OneOf(Role.__members__)]
SignerChoice: TypeAlias = Annotated[SignerName, OneOf(SIGNERS)]
