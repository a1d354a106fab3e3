from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.config.explain import decide
from app.config.model import ServiceConfig

CONFIG = ServiceConfig.model_validate(
    {
        "signers": [{"name": "k", "kind": "ephemeral"}],
        "defaults": {"signer": "k"},
        "rules": [
            {"name": "scratch", "repositories": ["scratch/*"], "action": "ignore"},
            {"name": "elsewhere", "registry": "other"},
            {"name": "releases", "tags": ["v*"], "profiles": ["verilayer"], "priority": "high"},
            {"name": "latest", "repositories": ["team/*"], "tags": ["latest"]},
        ],
    }
)


def told(repository: str, tag: str | None) -> tuple[str | None, list[str]]:
    decision = decide(CONFIG, "main", repository, tag)
    return (
        decision.rule.name if decision.rule else None,
        [verdict.because for verdict in decision.verdicts],
    )


def test_the_first_match_wins_and_misses_say_why() -> None:
    assert told("team/app", "v1") == (
        "releases",
        [
            "repository team/app matches none of scratch/*",
            "registry main is not other",
            "registry *; repositories *; tags v*",
        ],
    )
    assert told("scratch/v", "v1")[0] == "scratch"
    assert told("team/app", "dev")[1][2:] == [
        "tag dev matches none of v*",
        "tag dev matches none of latest",
    ]
    assert told("team/app", None)[1][2] == "the push has no tag, and the rule wants one of v*"


def test_what_a_rule_leaves_open_comes_from_the_defaults() -> None:
    release = decide(CONFIG, "main", "team/app", "v1")
    assert (release.profiles, release.signer) == (("verilayer",), "k")
    assert decide(CONFIG, "main", "team/app", "latest").profiles == ("containerd-erofs",)
    ignored = decide(CONFIG, "main", "scratch/x", None)
    assert (ignored.converts, ignored.profiles, ignored.signer) == (False, (), None)
    assert decide(CONFIG, "main", "x", "y").wire()["action"] == "ignore"


@given(
    registry=st.sampled_from(["main", "other"]),
    repository=st.sampled_from(["team/app", "scratch/a/b", "x"]),
    tag=st.sampled_from([None, "v1", "latest", "dev", "V1"]),
)
def test_it_agrees_with_what_the_service_does(
    registry: str, repository: str, tag: str | None
) -> None:
    matched = CONFIG.match(registry, repository, tag)
    assert decide(CONFIG, registry, repository, tag).rule == matched
