"""Which parser reads which dialect. The endpoint's configuration names it; nothing is detected."""

from __future__ import annotations

from collections.abc import Mapping

from app.config.webhook import Dialect
from app.webhooks.delivery import Parser
from app.webhooks.dialects import (
    acr,
    acr_eventgrid,
    artifactory,
    cloudevents,
    distribution,
    dockerhub,
    ecr_eventbridge,
    ecr_sns,
    gar,
    generic,
    ghcr,
    gitea,
    harbor,
    harness,
    nexus,
    quay,
    zot,
)

PARSERS: Mapping[Dialect, Parser] = {
    "distribution": distribution.parse,
    "gitlab": distribution.parse,
    "harbor": harbor.parse,
    "zot": zot.parse,
    "quay": quay.parse,
    "dockerhub": dockerhub.parse,
    "ghcr": ghcr.parse,
    "gitea": gitea.parse,
    "acr": acr.parse,
    "acr-eventgrid": acr_eventgrid.parse,
    "ecr-eventbridge": ecr_eventbridge.parse,
    "ecr-sns": ecr_sns.parse,
    "gar": gar.parse,
    "artifactory": artifactory.parse,
    "nexus": nexus.parse,
    "harness": harness.parse,
    "cloudevents": cloudevents.parse,
    "generic-hmac": generic.parse,
}
