"""The contract smoke test: what every design owes before a stream is spent on it. Runs in the sandbox."""

from __future__ import annotations

from design_space.design import Design
from design_space.evaluation import Outcome
from design_space.memory import Episode, Query, Step
from sandbox.backend import Guest
from sandbox.session import Broker, DesignFault, KeyFreeBroker, MemorySession

NOTHING = (0, 0)
_STEPS = (
    Step("You are at shelf.\ncarrying nothing", "take cup from shelf", "You take the cup.", 0.5),
    Step("You are at shelf.\ncarrying cup", "put cup on table", "Nothing happens.", 0.0),
)
_GOAL = "bring the cup to the table"
_EPISODES = (
    Episode("1", _GOAL, _STEPS, 0.5),
    Episode("2", _GOAL, _STEPS[1:], 0.0),
    Episode("3", "a talk", (Step("", "", "The user lives in Ulm.", None),), None),
    Episode("4", _GOAL, (), 0.0),
    Episode("5", "naïve ☃ 任務 \u202e\x00 goal", _STEPS, 1.0),
)


def check(design: Design, guest: Guest, folder: str, broker: Broker | None = None) -> DesignFault | None:
    """Put a design through what every stream will ask of it; None if it holds.

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
        session.retrieve(query)
        for episode in _EPISODES:
            session.observe(episode.steps[0] if episode.steps else _STEPS[0], NOTHING)
            session.update(episode, [NOTHING] * len(episode.steps), NOTHING)
            session.retrieve(query)
            session.retrieve(within)
        before = session.retrieve(query)[0]
        snapshot, _ = session.snapshot()
        session.close()
        restarted = MemorySession(guest, broker, recall_chars=100_000)
        restarted.open(design, 0, folder)
        restarted.restore(snapshot)
        after = restarted.retrieve(query)[0]
        restarted.close()
    except DesignFault as fault:
        outcome = Outcome.INVALID if fault.outcome is Outcome.CRASHED else fault.outcome
        return DesignFault(outcome, f"contract test: {fault.detail}")
    if before.items and not after.items:
        return DesignFault(Outcome.INVALID, "contract test: what was stored is gone after snapshot() and restore()")
    return None
