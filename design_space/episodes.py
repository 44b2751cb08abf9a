"""For an agent of one's own: asks a memory and tells it what happened, in the order in which memories expect it."""

from __future__ import annotations

import uuid

from design_space.memory import Episode, Memory, Query, Recall, Step

HISTORY_COUNT = 20


class EpisodeBuilder:
    """One attempt at a task, from its goal to its reward.

    A memory was selected while it was asked and told in a certain order; this keeps to it::

        builder = EpisodeBuilder(memory, "make tea")
        while not done:
            builder.situation("a kettle, cold")  # what the agent sees
            recall = builder.recall()            # what the memory says to it
            ...                                  # the agent decides and acts
            builder.act("heat kettle", "The water boils.")
        builder.finish(1.0)                      # the memory learns

    Args:
        goal: the task, in words.
        id: names the attempt; None makes a name that is not used again.
        role: which of the agent's roles asks, see `Query`.
    """

    def __init__(self, memory: Memory, goal: str, *, id: str | None = None, role: str = "actor") -> None:  # noqa: A002
        self._memory = memory
        self._goal = goal
        self._id = uuid.uuid4().hex[:16] if id is None else id
        self._role = role
        self._situation = ""
        self._steps: list[Step] = []
        self._before: Recall | None = None
        self._now: Recall | None = None
        self._finished = False

    def situation(self, text: str) -> None:
        """Say what is before the agent now, one fact a line; what it holds last, as "carrying ..."."""
        self._situation = text

    def recall(self) -> Recall:
        """What helps now. The memory is asked once per task, or once per step if its RETRIEVE is ``step``."""
        if self._now is None:
            history = tuple((step.action, step.observation) for step in self._steps[-HISTORY_COUNT:])
            query = Query(self._goal, self._situation, len(self._steps), history, self._role)
            self._now = self._memory.retrieve(query)
            if self._before is None:
                self._before = self._now
        return self._now

    def act(self, action: str, observation: str, reward: float | None = None) -> None:
        """Tell what the agent did and what it was answered.

        Args:
            reward: what this step alone earned, in [0, 1]; None if nobody says.

        Raises:
            ValueError: the reward is not in [0, 1].
            RuntimeError: the attempt is finished.
        """
        self._check(reward)
        step = Step(self._situation, action, observation, reward, self._now or Recall())
        self._steps.append(step)
        self._memory.observe(step)
        if self._memory.RETRIEVE == "step":
            self._now = None

    def finish(self, reward: float | None = None) -> Episode:
        """End the attempt; the memory learns from it.

        Args:
            reward: the whole task's, in [0, 1]; None if nobody says.

        Raises:
            ValueError: the reward is not in [0, 1].
            RuntimeError: the attempt is finished already.
        """
        self._check(reward)
        self._finished = True
        episode = Episode(self._id, self._goal, tuple(self._steps), reward, self._before or Recall())
        self._memory.update(episode)
        return episode

    def _check(self, reward: float | None) -> None:
        if self._finished:
            raise RuntimeError("this attempt is finished; make a new EpisodeBuilder for the next one")
        if reward is not None and not 0.0 <= reward <= 1.0:
            raise ValueError(f"reward is {reward!r}, wanted None or a number in [0, 1]")
