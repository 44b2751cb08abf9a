"""Claims about designs that ask models: answered, metered, and never beyond their allowance."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from scripted_models import DIMENSIONS, DOLLARS, ScriptedModels, echo

from design_space import Design, Outcome
from design_space.memory import Budget, ModelUnavailable
from sandbox.agents.evidence import EvidenceAgent
from sandbox.backend import Backend, Labels, Limits
from sandbox.broker import Allowance, ModelBroker, model_brokers
from sandbox.calls import Call, CallRefused, Line, Message, ProviderDown, Reply
from sandbox.contract import check
from sandbox.evaluate import Evaluator, Experience, Protocol, Result, Setting
from sandbox.inprocess import InProcessBackend
from sandbox.session import Broker, KeyFreeBroker
from sandbox.streams.household import HouseholdSettings, HouseholdSource

TASKS = 4
DESIGN = """
import numpy as np
from design_space import Budget, Item, Memory, ModelUnavailable, Recall, Snapshot
class Subject(Memory):
    def __init__(self, kit, **params):
        super().__init__(kit, **params)
        self.seen = []
    def attempt(self, call):
        try:
            return call()
        except ModelUnavailable as error:
            return str(error)
    def retrieve(self, query):
        kit, seen = self.kit, self.seen
{retrieve}
        return Recall((Item("1", "try the shelf"),))
    def update(self, episode):
        kit, seen = self.kit, self.seen
{update}
    def snapshot(self):
        return Snapshot(self.seen)
"""
ASKER = 'seen.append(self.attempt(lambda: kit.ask("what of " + query.goal)))'
FLOOD = 'seen.append([self.attempt(lambda: kit.ask(f"say {n}")) for n in range(1000)][-1])'


def design(retrieve: str, update: str = "pass") -> Design:
    return Design(DESIGN.format(retrieve=textwrap.indent(retrieve, " " * 8), update=textwrap.indent(update, " " * 8)))


@pytest.fixture(scope="module")
def here() -> Iterator[Backend]:
    backend = InProcessBackend(Limits())
    yield backend
    backend.close()


def evaluate(
    backend: Backend,
    subject: Design,
    brokers: Callable[[str], Broker],
    protocol: Protocol = "online",
    experience: Experience = "own",
) -> Result:
    source = HouseholdSource(HouseholdSettings(tasks_count=TASKS, max_steps=4))
    evaluator = Evaluator(source, EvidenceAgent, backend, Setting(protocol, "evidence", 1_000, 0, "test"), brokers)
    stream = source.stream("search", 0, 0)
    with backend.open(Labels("test", subject.id)) as guest:
        key = evaluator.key(subject, stream, experience=experience)
        return evaluator.evaluate(subject, stream, guest, key, experience)


def seen(result: Result) -> list[object]:
    assert result.evaluation.outcome is Outcome.SCORED, result.evaluation.detail
    assert result.snapshot is not None
    return list(result.snapshot.data)


def timeless(result: Result) -> tuple[object, ...]:
    return replace(result.evaluation, seconds=0.0, cpu_seconds=None), result.played, seen(result)


# Answers, and what they cost


def test_a_design_that_asks_is_answered_and_what_it_used_is_counted(here: Backend) -> None:
    models = ScriptedModels(echo)
    result = evaluate(here, design(ASKER), model_brokers(models, 100))
    assert all(str(said).startswith("you say what of ") for said in seen(result))
    calls = models.of(result.evaluation.key.digest)
    assert len(calls) == len(models.calls) == result.evaluation.model_calls == TASKS
    assert [call.position for call in calls] == list(range(TASKS))
    words = sum(len(call.messages[0].content.split()) + 5 for call in calls)
    assert result.evaluation.model_tokens == words


def test_dollars_are_summed_and_unknown_once_one_is() -> None:
    priced = broker(ScriptedModels(echo))
    priced.ask("one", 5)
    priced.embed(["a text"])
    assert (priced.calls, priced.dollars) == (2, pytest.approx(2 * DOLLARS))
    unpriced = broker(ScriptedModels(lambda call: replace(echo(call), dollars=None)))
    unpriced.ask("one", 5)
    assert unpriced.dollars is None


def test_it_knows_what_is_left_at_every_moment(here: Backend) -> None:
    note = "seen.append([kit.budget.calls, kit.budget.tokens])"
    subject = design(f'{note}\nkit.ask("a b c")\n{note}\nkit.ask("d")\n{note}', note)
    allowance = Allowance(calls_per_task=3, calls_per_stream=8, tokens_per_stream=2_000)
    said = seen(evaluate(here, subject, model_brokers(ScriptedModels(echo), 100, allowance=allowance)))
    expected = []
    for task in range(TASKS):
        calls, tokens = min(3, 8 - 2 * task), 2_000 - 14 * task
        expected += [[calls, tokens], [calls - 1, tokens - 8], [calls - 2, tokens - 14], [calls - 2, tokens - 14]]
    assert said == expected


def test_equal_evaluations_are_equal_to_the_last_bit(here: Backend) -> None:
    brokers = model_brokers(ScriptedModels(echo), 100, "model")
    subject = design(ASKER + '\nseen.append(kit.embed([query.goal, "b"]).tolist())')
    assert timeless(evaluate(here, subject, brokers)) == timeless(evaluate(here, subject, brokers))


# What is refused costs nothing


def broker(models: ScriptedModels, allowance: Allowance | None = None) -> ModelBroker:
    return model_brokers(models, 100, "model", allowance)("scope")


@pytest.mark.parametrize(
    ("allowance", "prompt", "told"),
    [
        (Allowance(prompt_chars=10), "x" * 11, "prompt_chars: a prompt of 11 characters, 10 are allowed"),
        (Allowance(calls_per_task=0), "why?", "calls_per_task: all 0 calls"),
        (Allowance(calls_per_stream=0), "why?", "calls_per_stream: all 0 calls"),
        (Allowance(tokens_per_stream=20), "why?", "tokens_per_stream: 20 of 20 tokens are left, too few"),
        (Allowance(), " \n?", "no words"),
    ],
)
def test_a_cap_refuses_before_anything_is_spent(allowance: Allowance, prompt: str, told: str) -> None:
    models = ScriptedModels(echo)
    refusing = broker(models, allowance)
    with pytest.raises(ModelUnavailable, match=told):
        refusing.ask(prompt, 10)
    assert not models.of("scope")
    assert (refusing.calls, refusing.tokens, refusing.dollars) == (0, 0, 0.0)


@pytest.mark.parametrize(
    ("allowance", "told"),
    [
        (Allowance(embed_texts_per_stream=3), "embed_texts_per_stream: 2 texts, 1 are left"),
        (Allowance(embed_chars_per_stream=11), "embed_chars_per_stream: 8 characters, 3 are left"),
    ],
)
def test_texts_beyond_the_allowance_are_refused_whole(allowance: Allowance, told: str) -> None:
    models = ScriptedModels(echo)
    refusing = broker(models, allowance)
    refusing.embed(["one", "five!"])
    with pytest.raises(ModelUnavailable, match=told):
        refusing.embed(["four", "more"])
    assert len(models.of("scope", "embedding")) == 1
    assert refusing.embed(["one"]).shape == (1, DIMENSIONS), "what still fits is embedded"


def test_a_long_text_is_cut_before_it_is_embedded() -> None:
    models = ScriptedModels(echo)
    broker(models, Allowance(embed_chars_per_text=4)).embed(["abcdefgh"])
    assert models.of("scope", "embedding")[0].messages[0].content == "abcd"


def test_the_calls_of_a_task_are_counted_anew_and_those_of_a_stream_are_not() -> None:
    asked = broker(ScriptedModels(echo), Allowance(calls_per_task=2, calls_per_stream=3))
    asked.ask("one", 5)
    asked.ask("two", 5)
    with pytest.raises(ModelUnavailable, match="calls_per_task"):
        asked.ask("three", 5)
    asked.task()
    assert asked.left.calls == 1
    asked.ask("three", 5)
    asked.task()
    with pytest.raises(ModelUnavailable, match="calls_per_stream"):
        asked.ask("four", 5)


def test_an_answer_is_bounded_by_role_design_and_allowance() -> None:
    models = ScriptedModels(echo)
    bound = Call("", "memory", 0, (Message("user", "four"),), 0).input_bytes
    asked = broker(models, Allowance(tokens_per_stream=bound + 60))
    for wanted in (10**9, 30):
        asked.ask("four", wanted)
    assert [call.max_tokens for call in models.calls[-2:]] == [60, 30]
    roomy = broker(models)
    roomy.ask("four", 10**9)
    assert models.calls[-1].max_tokens == 100


def test_an_answer_that_costs_more_than_was_allowed_is_handed_over_and_is_the_last() -> None:
    models = ScriptedModels(lambda call: Reply("long", 5, 1_000, 0.0) if call.role == "memory" else echo(call))
    asked = broker(models, Allowance(tokens_per_stream=700))
    answer = asked.ask("why?", 10)
    assert (answer.text, answer.tokens) == ("long", 0)
    with pytest.raises(ModelUnavailable, match="tokens_per_stream: 0 of 700"):
        asked.ask("why?", 10)


def test_without_a_model_for_memories_there_is_nothing_to_ask() -> None:
    mute = model_brokers(ScriptedModels(echo), None, "model")("scope")
    assert mute.left == Budget(0, 0)
    with pytest.raises(ModelUnavailable, match="offers no language model"):
        mute.ask("why?", 5)
    assert model_brokers(None)("scope").dimensions is None


# Designs that mean harm, in a real sandbox


HOSTILE = {
    "llm_flood": (FLOOD, "pass"),
    "llm_flood_in_threads": (
        "import threading\n"
        'ask = lambda: [self.attempt(lambda: kit.ask("now")) for _ in range(50)]\n'
        "threads = [threading.Thread(target=ask) for _ in range(8)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]",
        "pass",
    ),
    "max_tokens_hog": ('seen.append(self.attempt(lambda: kit.ask("all of it", max_tokens=10 ** 30)))', "pass"),
    "embed_flood": (
        "for n in range(60):\n"
        '    said = self.attempt(lambda: kit.embed([f"{query.goal} {n} {m}" for m in range(40)]))\n'
        "seen.append(said if isinstance(said, str) else len(said))",
        "pass",
    ),
    "cache_buster": (
        "for n in range(20):\n"
        '    self.attempt(lambda: kit.embed([f"{len(seen)} {n} {m} " + "é" * 500 for m in range(20)]))\n'
        '    self.attempt(lambda: kit.embed(["the same"] * 100))\n'
        "seen.append(0)",
        "pass",
    ),
}
SPENT = {
    "llm_flood": (10, 0),
    "llm_flood_in_threads": (10, 0),
    "max_tokens_hog": (4, 0),
    "embed_flood": (0, 480),
    "cache_buster": (0, 481),
}
NEIGHBOUR = design(ASKER + '\nseen.append(kit.embed([query.goal, "the same", "say 1"]).tolist())')
SMALL = Allowance(calls_per_task=3, calls_per_stream=10, tokens_per_stream=1_500, embed_texts_per_stream=500)


@pytest.mark.parametrize("case", HOSTILE)
def test_a_flood_stays_within_its_allowance_and_its_neighbour_notices_nothing(backend: Backend, case: str) -> None:
    models = ScriptedModels(echo)
    brokers = model_brokers(models, 100, "model", SMALL)
    before = timeless(evaluate(backend, NEIGHBOUR, brokers))
    result = evaluate(backend, design(*HOSTILE[case]), brokers)
    assert result.evaluation.outcome is Outcome.SCORED, result.evaluation.detail
    scope = result.evaluation.key.digest
    calls, texts = models.of(scope), [m.content for c in models.of(scope, "embedding") for m in c.messages]
    assert (len(calls), len(texts)) == SPENT[case]
    left = SMALL.tokens_per_stream
    for call in calls:
        assert call.input_bytes + call.max_tokens <= left
        left -= echo(call).input_tokens + echo(call).output_tokens
    assert texts.count("the same") <= 1
    assert timeless(evaluate(backend, NEIGHBOUR, brokers)) == before


@pytest.mark.parametrize("case", ["embed_flood", "cache_buster"])
def test_a_neighbour_that_shares_the_encoder_notices_nothing(here: Backend, case: str) -> None:
    few = replace(SMALL, embed_texts_per_stream=100)
    brokers = model_brokers(ScriptedModels(echo), 100, "use", few)
    before = timeless(evaluate(here, NEIGHBOUR, brokers))
    evaluate(here, design(*HOSTILE[case]), brokers)
    assert timeless(evaluate(here, NEIGHBOUR, brokers)) == before
    assert timeless(evaluate(here, NEIGHBOUR, model_brokers(ScriptedModels(echo), 100, "use", few))) == before


def test_a_flood_of_one_call_is_refused_all_but_the_first(backend: Backend) -> None:
    models = ScriptedModels(echo)
    said = seen(evaluate(backend, design(FLOOD), model_brokers(models, 100, allowance=SMALL)))
    assert len(models.calls) == SMALL.calls_per_stream
    assert str(said[0]).startswith("calls_per_task: all 3 calls")
    assert str(said[-1]).startswith("calls_per_stream: all 10 calls")


# Whose fault it is


def test_a_refusal_of_the_provider_is_an_exception_that_a_design_may_catch(here: Backend) -> None:
    models = ScriptedModels(lambda call: CallRefused("against the rules"))
    said = seen(evaluate(here, design(ASKER), model_brokers(models, 100)))
    assert said == ["the model refuses this call: against the rules"] * TASKS
    careless = evaluate(here, design("kit.ask('why?')"), model_brokers(models, 100)).evaluation
    assert careless.outcome is Outcome.CRASHED
    assert "ModelUnavailable" in careless.detail


@pytest.mark.parametrize("code", [ASKER, 'self.attempt(lambda: kit.embed(["a text"]))'])
def test_a_fault_of_the_models_stops_the_run_and_is_not_charged_to_the_design(here: Backend, code: str) -> None:
    down = ScriptedModels(
        lambda call: echo(call) if call.scope.startswith("dimensions") else ProviderDown("no answer", "wait")
    )
    with pytest.raises(ProviderDown, match="no answer") as caught:
        evaluate(here, design(code), model_brokers(down, 100, "model"))
    assert caught.value.hint == "wait"


def test_after_a_fault_of_the_models_the_same_place_evaluates_the_next(here: Backend) -> None:
    down = model_brokers(ScriptedModels(lambda call: ProviderDown("no answer")), 100)
    source = HouseholdSource(HouseholdSettings(tasks_count=TASKS, max_steps=4))
    stream, subject = source.stream("search", 0, 0), design(ASKER)
    with here.open(Labels("test", subject.id)) as guest:
        for brokers, outcome in ((down, None), (model_brokers(ScriptedModels(echo), 100), Outcome.SCORED)):
            setting = Setting("online", "evidence", 1_000, 0, "test")
            evaluator = Evaluator(source, EvidenceAgent, here, setting, brokers)
            key = evaluator.key(subject, stream)
            if outcome is None:
                with pytest.raises(ProviderDown):
                    evaluator.evaluate(subject, stream, guest, key)
            else:
                assert evaluator.evaluate(subject, stream, guest, key).evaluation.outcome is outcome


UPCALLS = [
    ("sing", {}),
    ("ask", None),
    ("ask", {"prompt": "why?"}),
    ("ask", {"prompt": "why?", "max_tokens": 1, "more": 1}),
    ("ask", {"prompt": 1, "max_tokens": 1}),
    ("ask", {"prompt": "why?", "max_tokens": True}),
    ("ask", {"prompt": "why?", "max_tokens": 0}),
    ("ask", {"prompt": "why?", "max_tokens": 1.0}),
    ("embed", None),
    ("embed", ["a text"]),
    ("embed", {"texts": "a text"}),
    ("embed", {"texts": []}),
    ("embed", {"texts": [1]}),
    ("embed", {"texts": [["a text"]]}),
    ("embed", {"texts": ["a text"] * 257}),
    ("embed", {"texts": ["x" * 8_001]}),
    ("embed", {"texts": ["a text"], "more": 1}),
]


@pytest.mark.parametrize(("op", "arg"), UPCALLS)
def test_a_malformed_call_ends_the_evaluation_as_a_breach_of_protocol(here: Backend, op: str, arg: object) -> None:
    models = ScriptedModels(echo)
    result = evaluate(here, design(f"kit._upcall({op!r}, {arg!r})"), model_brokers(models, 100, "model"))
    assert result.evaluation.outcome is Outcome.PROTOCOL
    assert not models.of(result.evaluation.key.digest, "memory" if op == "ask" else "embedding")


@pytest.mark.parametrize(
    "frame", ['{"call":true,"op":"ask"}', '{"call":1,"op":"embed"}', '{"call":1,"op":[],"arg":1}', '{"id":1}']
)
def test_a_forged_frame_is_a_breach_of_protocol(backend: Backend, frame: str) -> None:
    code = f"import os, struct\nbody = {frame.encode()!r}\nos.write(4, struct.pack('>I', len(body)) + body)"
    result = evaluate(backend, design(code), model_brokers(ScriptedModels(echo), 100, "model"))
    assert result.evaluation.outcome is Outcome.PROTOCOL, result.evaluation.detail


@pytest.mark.parametrize("call", ["kit.ask(1)", "kit.ask('x', max_tokens=0.5)", "kit.embed([1])"])
def test_a_mistaken_argument_is_invalid_and_not_a_breach(here: Backend, call: str) -> None:
    result = evaluate(here, design(call), model_brokers(ScriptedModels(echo), 100, "model")).evaluation
    assert result.outcome is Outcome.INVALID
    assert "wants" in result.detail


def test_half_characters_are_replaced_before_anyone_else_sees_them(here: Backend) -> None:
    models = ScriptedModels(echo)
    code = 'seen.append(kit.ask("half \\ud800"))\nseen.append(kit.embed(["half \\udfff"]).shape[1])'
    assert seen(evaluate(here, design(code), model_brokers(models, 100, "model")))[:2] == [
        "you say half ?",
        DIMENSIONS,
    ]
    assert all(message.content.isascii() for call in models.calls for message in call.messages)


def test_the_contract_test_gives_each_episode_an_allowance_of_its_own(here: Backend) -> None:
    subject = design('kit.ask("what now?")', 'kit.ask("what is learned?")')
    brokers = model_brokers(ScriptedModels(echo), 100, allowance=Allowance(calls_per_task=4))
    with here.open(Labels("test", subject.id)) as guest:
        assert check(subject, guest, here.folder, brokers("contract")).fault is None


@pytest.mark.parametrize("experience", ["own", "amnesia"])
@pytest.mark.parametrize("protocol", ["online", "static", "inject"])
def test_each_task_of_every_protocol_has_its_allowance(
    here: Backend, protocol: Protocol, experience: Experience
) -> None:
    subject = design('kit.ask("before")', 'kit.ask("after")')
    brokers = model_brokers(ScriptedModels(echo), 100, allowance=Allowance(calls_per_task=2))
    assert evaluate(here, subject, brokers, protocol, experience).evaluation.outcome is Outcome.SCORED


def test_a_key_free_run_refuses_and_counts(here: Backend) -> None:
    made: list[KeyFreeBroker] = []

    def key_free(scope: str) -> Broker:
        made.append(KeyFreeBroker(scope))
        return made[0]

    result = evaluate(here, design(ASKER + "\nseen.append(list(kit.embed(['a b']).shape))"), key_free)
    assert seen(result)[:2] == ["this run is key-free: no language model is to be had", [1, 256]]
    assert made[0].refused == TASKS
    assert (result.evaluation.model_calls, result.evaluation.model_tokens) == (0, 0)
    with pytest.raises(ModelUnavailable, match="embedded in the sandbox"):
        made[0].embed(["a text"])


def test_one_line_may_be_asked_without_an_embedder() -> None:
    alone = ModelBroker(Line(ScriptedModels(echo), "scope", "memory", 50))
    assert alone.ask("why?", 5).text == "you say why?"
    with pytest.raises(ModelUnavailable, match="in the sandbox"):
        alone.embed(["a text"])
    assert np.isclose(alone.dollars or 0.0, DOLLARS)


# Over its budget, or crashed


OVER = {
    "calls of a task": ('[kit.ask(f"say {n}") for n in range(9)]', Allowance(calls_per_task=3)),
    "calls of a stream": ('kit.ask("now")', Allowance(calls_per_stream=2)),
    "tokens": ('kit.ask("now")', Allowance(tokens_per_stream=10)),
    "a long prompt": ('kit.ask("now " * 9)', Allowance(prompt_chars=10)),
    "texts": ('kit.embed([f"{query.goal} {n}" for n in range(9)])', Allowance(embed_texts_per_stream=4)),
    "characters": ('kit.embed(["a text"])', Allowance(embed_chars_per_stream=3)),
}
CRASHED = {
    "its own word": 'raise ModelUnavailable("calls_per_task: all 3 calls of this task are used up")',
    "another error": 'self.attempt(lambda: kit.ask("now " * 99))\nraise ValueError("prompt_chars")',
    "an earlier refusal": (
        'if seen:\n    raise ModelUnavailable(seen[0])\nseen.append(self.attempt(lambda: kit.ask("now " * 99)))'
    ),
    "no words": 'kit.ask("?")',
}


@pytest.mark.parametrize("case", OVER)
def test_who_fails_by_a_refusal_for_lack_of_allowance_is_over_its_budget(backend: Backend, case: str) -> None:
    code, allowance = OVER[case]
    made = evaluate(backend, design(code), model_brokers(ScriptedModels(echo), 100, "model", allowance)).evaluation
    assert made.outcome is Outcome.OVER_BUDGET, made.detail
    assert "ModelUnavailable" in made.detail


@pytest.mark.parametrize("case", CRASHED)
def test_only_a_refusal_that_we_made_within_the_request_is_evidence_of_it(backend: Backend, case: str) -> None:
    brokers = model_brokers(ScriptedModels(echo), 100, "model", Allowance(prompt_chars=100))
    made = evaluate(backend, design(CRASHED[case]), brokers).evaluation
    assert made.outcome is Outcome.CRASHED, made.detail


def test_a_refusal_that_is_caught_is_scored_and_one_that_is_wrapped_is_told_by_what_it_says(backend: Backend) -> None:
    brokers = model_brokers(ScriptedModels(echo), 100, allowance=Allowance(calls_per_stream=0))
    assert evaluate(backend, design(ASKER), brokers).evaluation.outcome is Outcome.SCORED
    wrapped = 'raise ModelUnavailable(f"the design asks in vain; {self.attempt(lambda: kit.ask(query.goal))}")'
    assert evaluate(backend, design(wrapped), brokers).evaluation.outcome is Outcome.OVER_BUDGET


@pytest.mark.parametrize("brokers", [KeyFreeBroker, model_brokers(None)], ids=["key-free", "no model"])
def test_without_any_model_it_is_no_budget_that_is_exceeded(backend: Backend, brokers: Callable[[str], Broker]) -> None:
    assert evaluate(backend, design('kit.ask("now")'), brokers).evaluation.outcome is Outcome.CRASHED
