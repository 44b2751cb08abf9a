"""The contract smoke test: what every design owes before a stream is spent on it. Runs in the sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from design_space.design import Design
from design_space.evaluation import Outcome
from design_space.memory import Episode, Query, Recall, Step
from sandbox.backend import Guest
from sandbox.session import Broker, DesignFault, KeyFreeBroker, MemorySession

NOTHING = (0, 0)
_STEPS = (
    Step("You are in kitchen.\ncupboard is closed\ncarrying nothing", "open cupboard", "A cup is in it.", 0.0),
    Step("You are in kitchen.\ncupboard is open\ncup is in cupboard", "take cup from cupboard", "You take it.", 0.5),
    Step("You are in kitchen.\ncupboard is open\ncarrying cup", "put cup on table", "The cup is on the table.", 0.5),
)
_FAILED = (Step(_STEPS[0].situation, "take cup from shelf", "Nothing happens.", 0.0),)
_GOAL = "bring the cup to the table"
_EPISODES = (
    Episode("1", _GOAL, _STEPS, 1.0),
    Episode("2", _GOAL, _FAILED, 0.0),
    Episode("3", "a talk", (Step("", "", "The user lives in Ulm.", None),), None),
    Episode("4", _GOAL, (), 0.0),
    Episode("5", "naïve ☃ 任務 \u202e\x00 goal", _STEPS, 1.0),
)


@dataclass(frozen=True, slots=True)
class Checked:
    """How the test ended.

    Attributes:
        fault: what the design owes and does not do; None if it holds.
        flags: what is no fault, but makes it useless as a memory; a control may be meant so.
    """

    fault: DesignFault | None
    flags: tuple[str, ...] = ()


def check(design: Design, guest: Guest, folder: str, broker: Broker | None = None) -> Checked:
    """Put a design through what every stream will ask of it.

    An empty memory, an episode that earned something, a failed one, a dialogue without actions or reward, one without
    steps, odd characters; asked before a task and within one; what was stored survives a restart.

    Args:
        broker: answers its model calls; None refuses them.

    Raises:
        SandboxUnavailable: the machine is at fault.
    """
    query = Query(_GOAL, _STEPS[0].situation)
    within = Query(_GOAL, _STEPS[1].situation, 1, ((_STEPS[0].action, _STEPS[0].observation),))
    broker = broker or KeyFreeBroker()
    try:
        session = MemorySession(guest, broker, recall_chars=100_000)
        session.open(design, 0, folder)
        recalls = [session.retrieve(query)[0]]
        for episode in _EPISODES:
            broker.task()
            session.observe(episode.steps[0] if episode.steps else _STEPS[0], NOTHING)
            session.update(episode, [NOTHING] * len(episode.steps), NOTHING)
            recalls.append(session.retrieve(query)[0])
            recalls.append(session.retrieve(within)[0])
        before = session.retrieve(query)[0]
        snapshot, _ = session.snapshot()
        session.close()
        restarted = MemorySession(guest, broker, recall_chars=100_000)
        broker.task()
        restarted.open(design, 0, folder)
        restarted.restore(snapshot)
        after = restarted.retrieve(query)[0]
        restarted.close()
    except DesignFault as fault:
        outcome = Outcome.INVALID if fault.outcome is Outcome.CRASHED else fault.outcome
        return Checked(DesignFault(outcome, f"contract test: {fault.detail}"))
    if before.items and not after.items:
        return Checked(
            DesignFault(Outcome.INVALID, "contract test: what was stored is gone after snapshot() and restore()")
        )
    return Checked(None, _flags(recalls))


def _flags(recalls: Sequence[Recall]) -> tuple[str, ...]:
    """Args: recalls: the first of them of an empty memory."""
    shown = [tuple(item.text for item in recall.items) for recall in recalls]
    if not any(shown):
        return (
            f"it recalled nothing, whatever it was asked: {len(shown)} times, after up to {len(_EPISODES)} episodes",
        )
    if shown[0] and len(set(shown)) == 1:
        return ("what it recalls does not depend on what it was told: the same before any episode and after all",)
    return ()
