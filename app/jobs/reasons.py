"""What becomes of a push event, and why: one vocabulary for answers, records, metrics and docs.

The webhook's receipt, the event's outcome, ``verilayer_loop_drops_total``, ``verilayer rules test``
and ``POST /v1/rules/test`` say these words. What is wrong with an *image* is ``app.oci.images``'s.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class _Word(StrEnum):
    """A word that programs may rely on, with its meaning for people."""

    meaning: str

    def __new__(cls, word: str, meaning: str) -> Self:
        """Make the member equal to its word."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.meaning = meaning
        return member


class Outcome(_Word):
    """How an accepted event was settled."""

    JOBS = "jobs", "it created jobs, or joined those that were there"
    IGNORED = "ignored", "no rule wants it"
    DROPPED = "dropped", "the loop guard dropped it"
    SKIPPED = "skipped", "nothing of what was pushed can be converted"
    FAILED = "failed", "a permanent error; the reason is its code"
    DEAD = "dead", "still failing after all attempts; the reason is the last error's code"


class Ignored(_Word):
    """Why the configuration does not want an event."""

    UNKNOWN_REGISTRY = "unknown-registry", "its registry is not configured any more"
    NO_RULE = "no-rule", "no rule matches"
    RULE = "rule", "the first rule that matches says ignore"


class Drop(_Word):
    """Why the loop guard drops an event; the cheapest to tell come first.

    Referrers and artifacts are no images, whoever pushed them; all that we push is one or both.
    """

    OWN_ACTOR = "own-actor", "pushed by the account that we push as (the registry's actor)"
    DERIVED_TAG = "derived-tag", "its tag is named by a digest, as tags of referrers and signatures"
    REFERRER = "referrer", "the manifest has a subject: it refers to another one"
    ARTIFACT = "artifact", "the manifest has an artifact type: it is not an image"
    OWN_PUSH = "own-push", "this service pushed that digest a moment ago"
