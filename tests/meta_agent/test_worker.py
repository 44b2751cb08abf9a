"""Claims about what a worker hands over: the archive reads back whatever it packs."""

from __future__ import annotations

from archive.episodes import parse_episode
from design_space import Evaluation, EvaluationKey, Outcome
from design_space.memory import Episode, Snapshot, Step
from meta_agent.worker import pack
from sandbox.attempt import Played
from sandbox.evaluate import Result
from sandbox.streams.base import Task


def test_half_a_character_in_an_observation_or_a_memory_leaves_the_episode_readable() -> None:
    cut = "cut in half: \ud83d"
    played = Played(Task("t", "a goal", 1), Episode("t", "a goal", (Step("é", "look", cut),), 1.0))
    key = EvaluationKey("a" * 16, "house:0", "search", 0, "online", "evidence", 7, "guest", "config")
    evaluation = Evaluation(key, Outcome.SCORED, (1.0,), (1,))
    (packed,) = pack(Result(evaluation, (played,), Snapshot({"items": [{"id": "1", "text": cut}]})))
    episode = parse_episode(packed, "an episode")
    assert (episode.steps[0].situation, episode.steps[0].observation) == ("é", "cut in half: ?")
    assert episode.stored is not None
    assert episode.stored.added == ("cut in half: ?",)
