"""Claims about what a sheet makes of evaluations, on made-up ones whose answer is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from archive.certificate import Claim, Subject
from archive.sheets import Evidence, make_sheet
from design_space import DesignId, Evaluation, EvaluationKey, Outcome

SUBJECT = Subject("world", "world", {}, "online", "evidence", "validation", 1_000, 6, 6, "0" * 16)
STREAMS = 6


def made(*rewards: float, protocol: str = "online", steps: int = 4, noise: float = 0.02) -> list[Evaluation]:
    """One evaluation a stream, all with these rewards, moved a little from stream to stream."""
    found = []
    for number in range(STREAMS):
        key = EvaluationKey(DesignId("a" * 16), f"world/{number}", "validation", 0, protocol, "evidence", 0, "g", "c")
        moved = tuple(min(1.0, max(0.0, reward + noise * (number - 2.5) / 2.5)) for reward in rewards)
        found.append(Evaluation(key, Outcome.SCORED, moved, (steps,) * len(rewards), recall_chars=60, bytes_stored=10))
    return found


LOW, HIGH = made(*[0.2] * 6), made(0.2, 0.2, 0.6, 0.6, 0.8, 0.8)


def uneven(evaluations: Sequence[Evaluation], shift: float) -> list[Evaluation]:
    """The same, better on every other stream and worse on the rest."""
    return [
        replace(e, rewards=tuple(min(1.0, max(0.0, r + (shift if i % 2 else -shift))) for r in e.rewards))
        for i, e in enumerate(evaluations)
    ]


@pytest.mark.parametrize(
    ("own", "amnesia", "shuffled", "claim"),
    [
        (HIGH, LOW, LOW, Claim.MEMORY),
        (HIGH, HIGH, HIGH, Claim.ADVICE),
        (HIGH, made(*[0.4] * 6), LOW, Claim.PARTLY),
        (HIGH, LOW, HIGH, Claim.TRANSFER),
        (HIGH, LOW, made(*[0.4] * 6), Claim.PARTLY),
        (HIGH, uneven(made(*[0.35] * 6), 0.3), LOW, Claim.OPEN),
        (HIGH, LOW, uneven(made(*[0.35] * 6), 0.3), Claim.OPEN),
        (uneven(LOW, 0.1), LOW, LOW, Claim.NOTHING),
        (made(*[0.1] * 6), LOW, LOW, Claim.HARM),
        (HIGH, [], [], Claim.MEMORY),
    ],
)
def test_the_claim_follows_from_where_the_gain_remains(
    own: list[Evaluation], amnesia: list[Evaluation], shuffled: list[Evaluation], claim: Claim
) -> None:
    sheet = make_sheet(SUBJECT, Evidence(own, {"no memory": LOW}, amnesia=amnesia, shuffled=shuffled))
    assert sheet.claim is claim
    assert str(sheet.rivals[0].gain) in sheet.sentences[0]


def test_learning_is_the_last_third_against_the_first() -> None:
    sheet = make_sheet(SUBJECT, Evidence(HIGH, {"no memory": LOW}))
    assert [round(third.mean, 6) for third in sheet.curve] == [0.0, 0.4, 0.6]
    assert sheet.learning is not None
    assert sheet.learning.mean == pytest.approx(0.6)
    frozen = make_sheet(replace(SUBJECT, protocol="inject"), Evidence(HIGH, {"no memory": LOW}))
    assert frozen.curve == ()
    assert frozen.learning is None


def test_forgetting_is_against_the_same_tasks_again_or_else_against_the_score() -> None:
    full, half = made(*[1.0] * 6, noise=0.0), made(*[0.5] * 6, noise=0.0)
    for again, lost in ((full, 0.5), ([], HIGH[0].score)):
        sheet = make_sheet(SUBJECT, Evidence(HIGH, {"no memory": LOW}, again=again, interfered=half))
        assert sheet.forgetting is not None
        assert sheet.forgetting.mean == pytest.approx(lost if again else 3.2 / 6 - 0.5, abs=1e-6)


def test_steps_count_where_both_solve_and_orders_where_they_differ() -> None:
    ours, theirs = made(1.0, 1.0, noise=0.0, steps=3), made(1.0, 0.0, noise=0.0, steps=6)
    sheet = make_sheet(SUBJECT, Evidence(ours, {"no memory": theirs}, orders=[made(0.5, 0.5, noise=0.0)]))
    assert sheet.steps_ratio is not None
    assert sheet.steps_ratio.mean == 0.5
    assert sheet.order_robustness is not None
    assert sheet.order_robustness.mean == pytest.approx(1.0 - 0.5 / 0.75)


def test_failed_evaluations_stay_in_the_score_and_are_told() -> None:
    failed = [replace(e, outcome=Outcome.CRASHED, rewards=(0.0,) * 6, detail="update: x\nmore") for e in HIGH[:2]]
    sheet = make_sheet(SUBJECT, Evidence([*failed, *HIGH[2:]], {"no memory": LOW}))
    assert sheet.outcomes == {"crashed": 2, "scored": 4}
    assert sheet.faults == ("update: x",)
    assert sheet.score.n == 6
    assert sheet.score.mean < 0.4


def test_gold_is_told_by_competence() -> None:
    own = [replace(e, found=(True, True, False, True, False, False)) for e in HIGH]
    kinds = {e.key.stream: ("recall",) * 3 + ("order",) * 3 for e in own}
    sheet = make_sheet(SUBJECT, Evidence(own, {"no memory": LOW}, competences=kinds))
    assert sheet.found is not None
    assert sheet.found.mean == 0.5
    assert [(kind.name, round(kind.found.mean, 3)) for kind in sheet.competences] == [
        ("order", 0.333),
        ("recall", 0.667),
    ]
    assert sheet.steps_ratio is None
