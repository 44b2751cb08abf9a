"""Claims about the agent that is a language model: what it is shown, what it may answer, what else becomes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scripted_models import ScriptedModels

from design_space import Design, Item, Outcome, Recall
from sandbox.agents.base import Offer
from sandbox.agents.llm import OFFER_TOKENS, RECALL_TOKENS, TOOL_USES, LLMAgent
from sandbox.backend import Labels, Limits
from sandbox.calls import Call, CallRefused, Line, Reply
from sandbox.evaluate import Evaluator, Result, Setting
from sandbox.inprocess import InProcessBackend
from sandbox.streams.base import Observation
from sandbox.streams.household import HouseholdSettings, HouseholdSource
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


LOOK_UP = {"thought": "", "command": "", "tool": "look_up", "arguments": [{"name": "thing", "value": "egg"}]}
OPEN = {"thought": "", "command": "open oven", "tool": "", "arguments": []}


class Box:
    """One tool, which says what it was asked."""

    offers = (Offer("look_up", "where things were seen", {"thing": "its name"}),)

    def use(self, name: str, arguments: object) -> str:
        return f"{name} was asked for {arguments}"


def test_it_uses_tools_of_its_memory_before_it_decides() -> None:
    made, models = agent(LOOK_UP, LOOK_UP, OPEN)
    made.equip(Box())
    assert made.choose(SEEN, Recall()) == "open oven"
    first, _, last = (call.messages for call in models.calls)
    assert "* look_up (thing: its name): where things were seen" in first[-1].content
    assert [message.role for message in last] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert "look_up was asked for {'thing': 'egg'}" in last[-1].content


def test_its_uses_are_counted_and_then_it_decides() -> None:
    made, models = agent(*[LOOK_UP] * TOOL_USES, {"thought": "", "command": "open oven"})
    made.equip(Box())
    assert made.choose(SEEN, Recall()) == "open oven"
    assert "without a tool" in models.calls[-1].messages[-1].content


def test_it_uses_tools_before_it_answers_a_question_too() -> None:
    using = {"thought": "", "answer": "", "tool": "look_up", "arguments": []}
    made, models = agent(using, {"thought": "", "answer": "Ulm", "tool": "", "arguments": []})
    made.equip(Box())
    assert made.answer("Where?", Recall()) == "Ulm"
    assert len(models.calls) == 2


def test_whatever_tools_say_of_themselves_and_return_is_capped() -> None:
    class Endless:
        offers = tuple(Offer(f"tool{i}", "words " * 40, {}) for i in range(50))

        def use(self, name: str, arguments: object) -> str:
            return "\N{SMILING FACE WITH OPEN MOUTH} and so on " * 20_000

    made, models = agent({**LOOK_UP, "tool": "tool1", "arguments": []}, OPEN)
    made.equip(Endless())
    assert made.choose(SEEN, Recall()) == "open oven"
    assert count_tokens(models.calls[0].messages[-1].content) < OFFER_TOKENS + 200
    assert count_tokens(models.calls[1].messages[-1].content) < RECALL_TOKENS + 20


NOTEBOOK = """
from design_space import Memory, Recall, Snapshot, Tool
class Notebook(Memory):
    def __init__(self, kit, **params):
        super().__init__(kit, **params)
        self.notes = []
    def note(self, text):
        {body}
    def tools(self):
        return (Tool("note", "keeps a text", {{"text": "what to keep"}}, self.note),)
    def retrieve(self, query):
        return Recall()
    def update(self, episode):
        pass
    def snapshot(self):
        return Snapshot(self.notes)
"""
KEEP = 'self.notes.append(text)\n        return f"{len(self.notes)} notes"'


def played(body: str, name: str, source: str = NOTEBOOK, **arguments: str) -> tuple[Result, ScriptedModels]:
    """A stream of one task of one step, whose agent calls a tool of its memory once before it acts."""

    def answer(call: Call) -> Reply:
        used = {"tool": "", "arguments": []}
        if len(call.messages) == 2:
            given = [{"name": key, "value": value} for key, value in arguments.items()]
            used = {"tool": name, "arguments": given}
        return Reply(json.dumps({"thought": "", "command": "look", **used}), 10, 5, 0.0, seconds=0.5)

    models, backend = ScriptedModels(answer), InProcessBackend(Limits())
    tasks = HouseholdSource(HouseholdSettings(tasks_count=1, max_steps=1))
    setting = Setting("online", "llm", 100, 0, "test")
    evaluator = Evaluator(tasks, LLMAgent, backend, setting, line=lambda scope: Line(models, scope, "agent", 1_000))
    design, stream = Design(source.format(body=body)), tasks.stream("search", 0, 0)
    with backend.open(Labels("test", design.id)) as guest:
        result = evaluator.evaluate(design, stream, guest, evaluator.key(design, stream))
    backend.close()
    return result, models


def test_what_a_tool_was_told_is_in_the_memory_and_what_it_says_counts_as_recalled() -> None:
    result, models = played(KEEP, "note", text="eggs are cold")
    assert result.snapshot is not None
    assert result.snapshot.data == ["eggs are cold"]
    assert "note: 1 notes" in models.calls[1].messages[-1].content
    assert result.evaluation.recall_chars == len("1 notes")
    other, _ = played(KEEP + " + ' or so'", "note", text="eggs are cold")
    assert other.evaluation.recalls != result.evaluation.recalls, "two designs that say different things are not one"


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("forget", {"text": "a"}, "there is no tool 'forget'; there are: note"),
        ("note", {}, "'note' takes: text"),
        ("note", {"text": "a", "when": "now"}, "'note' takes: text"),
    ],
)
def test_a_wrong_call_is_the_agents_mistake(name: str, arguments: dict[str, str], told: str) -> None:
    result, models = played(KEEP, name, **arguments)
    assert result.evaluation.outcome is Outcome.SCORED
    assert told in models.calls[1].messages[-1].content


def test_a_tool_that_fails_is_the_designs_and_one_that_says_much_is_cut() -> None:
    assert played("raise KeyError(text)", "note", text="a")[0].evaluation.outcome is Outcome.CRASHED
    result, _ = played("return text * 10_000", "note", text="ab")
    assert result.evaluation.outcome is Outcome.SCORED
    assert result.evaluation.recall_chars == 100


@pytest.mark.parametrize(
    ("offered", "outcome"),
    [
        ("Tool('note', None, {'text': 3}, self.note)", Outcome.SCORED),
        ("Tool('note', chr(0xD800) + 'x' * 1_000_000, {'text': ''}, self.note)", Outcome.SCORED),
        ("*[Tool(f'note{i}', 'x' * 900, {'text': 'y' * 900}, self.note) for i in range(1_000)]", Outcome.SCORED),
        ("Tool('note', 'keeps', None, self.note)", Outcome.INVALID),
        ("'note'", Outcome.INVALID),
    ],
)
def test_tools_of_any_kind_are_offered_within_bounds_or_are_the_designs_fault(offered: str, outcome: Outcome) -> None:
    usual = 'Tool("note", "keeps a text", {{"text": "what to keep"}}, self.note)'
    assert usual in NOTEBOOK
    odd = NOTEBOOK.replace(usual, offered.replace("{", "{{").replace("}", "}}"))
    result, models = played("return chr(0xDC00) + text", "note", odd, text="a")
    assert result.evaluation.outcome is outcome, result.evaluation.detail
    for call in models.calls:
        for message in call.messages:
            assert len(message.content.encode()) < 20_000
