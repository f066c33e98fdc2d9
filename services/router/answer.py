"""The answer to one partner about one record: the first of its purposes that policy permits."""

from __future__ import annotations

from dataclasses import dataclass

from services.kernel.attestation import Claims
from services.router.facts import Facts, facts_of
from services.router.partners import Partner, Purpose, Standing
from services.router.policy import DEFAULT, Policies, Ruling
from services.router.view_compile import Holds


@dataclass(frozen=True, slots=True)
class Answer:
    """What was decided for one partner, for which of its purposes, and on which facts."""

    partner: Partner
    purpose: Purpose
    facts: Facts
    ruling: Ruling

    @property
    def named(self) -> tuple[str, ...]:
        """Every policy that decided, also those whose name stays out of the open ledger."""
        shown = () if self.ruling.sealed and self.ruling.policies == (DEFAULT,) else self.ruling.policies
        return tuple(sorted((*shown, *self.ruling.sealed)))


def ask(
    policies: Policies,
    partner: Partner,
    claims: Claims,
    *,
    standing: Standing,
    started: frozenset[str],
    consented: frozenset[str],
    residual: bool,
    holds: Holds,
) -> Answer:
    """Ask about each purpose of the partner; the first that is permitted, else the answer to its first.

    Args:
        standing: what holds for the partner on the day.
        started: codes of the boroughs that are in the pilot on that day.
        consented: purposes for which the consent is recorded.
        holds: what the partner's view of this feed has room for.
    """
    refused: Answer | None = None
    for purpose in partner.purposes:
        facts = facts_of(
            partner, purpose, claims, standing=standing, pilot_started=claims.area in started,
            consent_given=purpose in consented, residual=residual, holds=holds,
        )  # fmt: skip
        answer = Answer(partner, purpose, facts, policies.decide(partner.id, partner.view, facts))
        if answer.ruling.allowed:
            return answer
        refused = refused or answer
    assert refused is not None  # noqa: S101 - the registry holds no partner without a purpose
    return refused
