"""Which parser reads which dialect. The endpoint's configuration names it; nothing is detected."""

from __future__ import annotations

from collections.abc import Mapping

from app.config.webhook import Dialect
from app.webhooks import distribution
from app.webhooks.delivery import Parser

PARSERS: Mapping[Dialect, Parser] = {
    "distribution": distribution.parse,
    "gitlab": distribution.parse,
}
