"""The metrics that are declared, with what their help texts list."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType

from prometheus_client.metrics import MetricWrapperBase

from app.observability import metrics

#: ``label: value, value`` after a sentence or at the beginning, up to the next full stop.
_LIST = re.compile(r"(?:^|\. )([a-z_]+): ([^.]+)")


@dataclass(frozen=True, slots=True)
class Family:
    """One metric under the name it is exposed by."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str

    @property
    def listed(self) -> dict[str, list[str]]:
        """Label -> values, as the help text lists them."""
        text = re.sub(r" \([^)]*\)", "", self.help)
        return {label: values.split(", ") for label, values in _LIST.findall(text)}


def declared(module: ModuleType = metrics) -> dict[str, Family]:
    """Name in the module -> what a process counts."""
    found = {}
    for variable, value in vars(module).items():
        if isinstance(value, MetricWrapperBase):
            family = next(iter(value.describe()))
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = tuple(value._labelnames)
            found[variable] = Family(name, family.type, labels, family.documentation)
    return found


def families() -> Mapping[str, Family]:
    """Name -> everything that the service exposes, readings included."""
    readings = [
        Family(name, "gauge", labels, text) for name, (text, labels) in metrics.READINGS.items()
    ]
    return {one.name: one for one in (*declared().values(), *readings)}
