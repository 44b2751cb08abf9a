"""Claims about the agent that is a language model: what it is shown, what it may answer, what else becomes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scripted_models import ScriptedModels

from design_space import Item, Recall
from sandbox.agents.llm import RECALL_TOKENS, LLMAgent
from sandbox.calls import Call, CallRefused, Line, Reply
from sandbox.streams.base import Observation
from sandbox.tokens import count_tokens

SEEN = Observation("You are here.", "a kitchen\nThe oven is here.", "an egg", ("open oven", "take egg from oven"))


def agent(*answers: object) -> tuple[LLMAgent, ScriptedModels]:
    """One that is answered so, one answer after the other."""
    left = list(answers)

    def answer(call: Call) -> Reply | CallRefused:
        told = left.pop(0)
        if isinstance(told, CallRefused):
            return told
        return Reply(told if isinstance(told, str) else json.dumps(told), 10, 5, 0.0, seconds=0.5)

    models = ScriptedModels(answer)
    made = LLMAgent(np.random.default_rng(0))
    made.connect(Line(models, "scope", "agent", 1_000))
    made.begin("boil an egg")
    return made, models


def test_it_does_what_it_says_if_that_is_on_offer() -> None:
    made, models = agent({"thought": "hot", "command": "Open  the oven"}, {"thought": "", "command": "open oven"})
    assert [made.choose(SEEN, Recall()) for _ in range(2)] == ["open oven", "open oven"]
    assert {call.role for call in models.calls} == {"agent"}


def test_its_prompt_holds_goal_recall_past_situation_and_commands() -> None:
    made, models = agent({"thought": "", "command": "open oven"}, {"thought": "", "command": "open oven"})
    made.choose(SEEN, Recall((Item("1", "ovens are hot", "at oven", "open {x}", 0.9),)))
    made.learn("open oven", SEEN, Observation("It is open now.", "", "", ()))
    made.choose(SEEN, Recall())
    first, second = (call.messages[-1].content for call in models.calls)
    for told in ("boil an egg", "when at oven: open {x} (worth 0.90) ovens are hot", "carrying an egg", "* open oven"):
        assert told in first
    assert "> open oven\nIt is open now." in second


def test_a_memory_that_replaces_the_history_has_it_left_out() -> None:
    made, models = agent({"thought": "", "command": "open oven"})
    made.learn("open oven", SEEN, Observation("It is open now.", "", "", ()))
    made.choose(SEEN, Recall((Item("1", "all there is"),), "replace"))
    assert "It is open now." not in models.calls[0].messages[-1].content


def test_what_is_not_on_offer_is_complained_of_once_and_then_is_a_lost_step() -> None:
    made, models = agent({"thought": "", "command": "fly"}, {"thought": "", "command": "fly away"})
    assert made.choose(SEEN, Recall()) == "fly away"
    assert "'fly' is not among the commands" in models.calls[1].messages[-1].content


@pytest.mark.parametrize("answers", [("prose", "more prose"), (CallRefused("no"),), ('{"command": 3}', "{}")])
def test_what_cannot_be_used_is_a_lost_step_and_no_crash(answers: tuple[object, ...]) -> None:
    made, _ = agent(*answers)
    assert made.choose(SEEN, Recall()) not in SEEN.commands


def test_recall_is_capped_in_tokens_whatever_is_stuffed_into_it() -> None:
    made, models = agent({"thought": "", "command": "open oven"})
    stuffed = tuple(Item(str(i), "\N{SMILING FACE WITH OPEN MOUTH}" * 50) for i in range(400))
    made.choose(SEEN, Recall(stuffed))
    assert count_tokens(models.calls[0].messages[-1].content) < RECALL_TOKENS + 500


def test_a_question_is_answered_in_a_few_words() -> None:
    made, models = agent({"thought": "line 1", "answer": "Ulm"})
    assert made.answer("Where?", Recall((Item("1", "The user lives in Ulm."),))) == "Ulm"
    assert "The user lives in Ulm." in models.calls[0].messages[-1].content


def test_without_a_model_it_says_what_to_do() -> None:
    made = LLMAgent(np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"models\.agent"):
        made.choose(SEEN, Recall())
