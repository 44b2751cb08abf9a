"""Claims about foreign designs as they run; in this process, with the recorder, the messages and the items in view."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from foreign_files import FIRST, MADE, TALK, TEA, Opener, design_of

from design_space import Design, Outcome, Query
from design_space.foreign import wrap
from design_space.memory import Budget, Snapshot
from sandbox.session import Answer, DesignFault, KeyFreeBroker, MemorySession

NOTHING = (0, 0)
MIRROR = """
import json
from agents.memo_structure import MemoStructure
class Mirror(MemoStructure):
    def __init__(self):
        super().__init__()
        self.seen = []
    async def general_retrieve(self, recorder):
        shown = {"init": dict(recorder.init), "steps": list(recorder.steps), "seen": list(self.seen)}
        recorder.init["obs"] = "changed"
        return json.dumps(shown)
    async def general_update(self, recorder):
        self.seen.append([recorder.init, recorder.steps, recorder.reward, recorder.memory_retrieved])
"""
LISTENER = """
from EvolveLab.base_memory import BaseMemoryProvider
from EvolveLab.memory_types import MemoryItem, MemoryResponse, MemoryType
import json, os
class Listener(BaseMemoryProvider):
    made = 0
    def __init__(self, config):
        super().__init__(MemoryType.LISTENER, config)
        Listener.made += 1
    def initialize(self):
        return True
    def log(self, *row):
        with open("log.txt", "a") as file:
            file.write(json.dumps(row) + "\\n")
    def provide_memory(self, request):
        self.log(request.status.value, request.query, request.context, request.additional_params, Listener.made)
        return MemoryResponse([MemoryItem("a", open("log.txt").read(), {})], self.memory_type, 1)
    def take_in_memory(self, data):
        self.log("took", data.query, data.trajectory, data.result, data.metadata)
        return True, ""
"""


def alma(text: str) -> Design:
    return Design(wrap.wrap("alma", text))


def told(session: MemorySession, query: Query = FIRST) -> str:
    return "\n".join(item.text for item in session.retrieve(query)[0].items)


def test_recorders_hold_what_alma_s_hold_and_are_copies(memory: Opener) -> None:
    session = memory(alma(MIRROR))
    first = json.loads(told(session))
    init = {"obs": f"{FIRST.situation}\n\nYour task is to: {TEA}", "goal": TEA, "actions_list": []}
    assert first == {"init": init, "steps": [], "seen": []}
    session.update(MADE, [NOTHING] * 2, NOTHING)
    session.update(TALK, [NOTHING], NOTHING)
    attempt, talk = json.loads(told(session))["seen"]
    assert attempt[0] == init
    assert attempt[1] == [
        {
            "action_took": "take cup from shelf",
            "obs": f"You take the cup.\n{MADE.steps[1].situation}",
            "scores": 0.5,
            "dones": False,
            "actions_list": [],
        },
        {"action_took": "boil water", "obs": "The water boils.", "scores": 1.0, "dones": True, "actions_list": []},
    ]
    assert attempt[2] == 1.0
    assert json.loads(attempt[3]) == first
    assert [(row["action_took"], row["obs"]) for row in talk[1]] == [("", "My cat is called Tom.")]
    assert talk[2] == 1.0


def test_each_leaf_of_what_alma_returns_is_an_item_and_says_its_place(memory: Opener) -> None:
    session = memory(design_of("alma_graph"))
    assert [(item.id, item.text) for item in session.retrieve(FIRST)[0].items] == [("tries", "tries: 0")]
    session.update(MADE, [NOTHING] * 2, NOTHING)
    items = {item.id: item.text for item in session.retrieve(FIRST)[0].items}
    assert items["similar[0].plan"] == "similar[0].plan:\nmake tea\ntake cup from shelf\nboil water"
    assert items["done_here[1]"] == "done_here[1]:\ntake cup from shelf"
    assert items["tries"] == "tries: 1"
    assert len(items) == 5


def test_the_working_directory_is_the_caller_s_again_after_each_call(memory: Opener, tmp_path: Path) -> None:
    text = MIRROR.replace("return json.dumps(shown)", "import os; return os.getcwd()")
    assert told(memory(alma(text))).endswith("/work")
    assert Path.cwd() == tmp_path


def test_what_is_no_json_is_invalid_in_words(memory: Opener) -> None:
    text = MIRROR.replace("return json.dumps(shown)", "return {'seen': {1, 2}}")
    with pytest.raises(DesignFault, match="general_retrieve\\(\\) returned a dict that is no JSON") as caught:
        told(memory(alma(text)))
    assert caught.value.outcome is Outcome.INVALID


def test_an_error_shows_the_foreign_file_s_own_lines(memory: Opener) -> None:
    text = MIRROR.replace("return json.dumps(shown)", "return len(5)")
    with pytest.raises(DesignFault) as caught:
        told(memory(alma(text)))
    assert caught.value.outcome is Outcome.CRASHED
    assert 'File "design.py", line 11, in general_retrieve\n    return len(5)' in caught.value.detail


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("import torch", "No module named 'torch'. Inside the sandbox there are .* torch: it is not offered"),
        ("from sklearn.cluster import KMeans", "of scikit-learn only"),
        ("from utils.hire_agent import Nobody", "cannot import name 'Nobody'"),
    ],
)
def test_a_failed_import_says_what_is_offered(memory: Opener, line: str, wanted: str) -> None:
    with pytest.raises(DesignFault, match=wanted):
        memory(alma(line + MIRROR))


def test_a_design_that_catches_a_failed_import_goes_on(memory: Opener) -> None:
    told(memory(alma("try:\n    import torch\nexcept ImportError:\n    torch = None\n" + MIRROR)))


class Teacher(KeyFreeBroker):
    """A broker whose model always says the same."""

    left = Budget(None, None)

    def ask(self, prompt: str, max_tokens: int) -> Answer:
        return Answer('{"lesson": "water first"}', None, None)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("alma_advisor", r"update: ModelUnavailable: the design asks a language model, Agent\(model='gpt-4o-mini'\)"),
        ("evolvelab_asker", r'retrieve: ModelUnavailable: the design asks a language model, config\["model"\]'),
    ],
)
def test_without_a_model_a_design_that_asks_one_ends_with_a_word_about_it(
    memory: Opener, name: str, wanted: str
) -> None:
    session = memory(design_of(name))
    call = partial(session.update, MADE, [NOTHING] * 2, NOTHING) if "update" in wanted else partial(told, session)
    with pytest.raises(DesignFault, match=wanted + ".*key-free"):
        call()


@pytest.mark.parametrize("name", ["alma_advisor", "evolvelab_asker"])
def test_with_a_model_it_is_answered(memory: Opener, name: str) -> None:
    session = memory(design_of(name), Teacher())
    session.update(MADE, [NOTHING] * 2, NOTHING)
    assert "water first" in told(session)


@pytest.mark.parametrize("name", ["alma_graph", "evolvelab_cases"])
def test_what_was_stored_comes_back_in_another_process(memory: Opener, name: str) -> None:
    session = memory(design_of(name))
    session.update(MADE, [NOTHING] * 2, NOTHING)
    snapshot, size = session.snapshot()
    shown = told(session)
    again = memory(design_of(name))
    assert "boil water" not in told(again)
    again.restore(snapshot)
    assert told(again) == shown
    assert "boil water" in shown
    more = memory(design_of(name))
    more.restore(snapshot)
    more.update(TALK, [NOTHING], NOTHING)
    assert more.snapshot()[1] > size


def test_a_design_whose_state_cannot_be_written_down_is_told_everything_again(memory: Opener) -> None:
    text = MIRROR.replace("self.seen = []", "self.seen = []\n        self.open = (x for x in 'ab')")
    session = memory(alma(text))
    session.update(MADE, [NOTHING] * 2, NOTHING)
    snapshot, _ = session.snapshot()
    assert "cannot be written down" in snapshot.data["why"]
    shown = told(session)
    again = memory(alma(text))
    again.restore(snapshot)
    assert told(again) == shown
    with pytest.raises(DesignFault, match="the snapshot holds no state"):
        memory(alma(text)).restore(Snapshot({**snapshot.data, "told": None}))


def test_what_exceeds_a_snapshot_is_left_out_and_listed_and_fails_nobody(memory: Opener) -> None:
    text = MIRROR.replace("self.seen = []", "self.seen = []\n        self.much = bytes(3 << 20)")
    text += '        open("big.bin", "wb").write(bytes(2 << 20))\n        open("small.bin", "wb").write(bytes(9))\n'
    session = memory(alma(text))
    session.update(MADE, [NOTHING] * 2, NOTHING)
    snapshot, size = session.snapshot()
    assert list(snapshot.data["files"]) == ["small.bin"]
    assert snapshot.data["left_out"] == {"big.bin": 2 << 20}
    assert 4 << 20 < size < 6 << 20
    more = memory(alma(text.replace("3 << 20", "5 << 20")))
    told = more.snapshot()[0]
    assert "more than the 4,194,304" in told.data["why"]
    assert not told.arrays


def test_a_provider_hears_what_evolvelab_s_runner_tells(memory: Opener) -> None:
    session = memory(Design(wrap.wrap("evolvelab", LISTENER)))
    session.retrieve(FIRST)
    session.retrieve(Query(TEA, "You are at stove.", 1, (("take cup from shelf", "You take the cup."),)))
    session.update(MADE, [NOTHING] * 2, NOTHING)
    session.update(TALK, [NOTHING], NOTHING)
    text = session.retrieve(Query("How is my cat called?", role="reader"))[0].items[-1].text
    log = [json.loads(line) for line in text.splitlines()]
    assert [row[0] for row in log] == ["begin", "in", "in", "took", "took", "begin"]
    assert [row[3] for row in log[:3]] == [{"step_number": 0}, {"step_number": 1}, {"step_number": 2}]
    assert log[2][2] == (
        "user: make tea\nassistant: take cup from shelf\nuser: You take the cup.\nuser: You are at stove."
    )
    assert [row[1] for row in log[:4]] == [TEA] * 4
    took, heard = log[3], log[4]
    assert [(m["role"], m["content"][0]["text"]) for m in took[2]][:3] == [
        ("user", TEA),
        ("user", MADE.steps[0].situation),
        ("assistant", "take cup from shelf"),
    ]
    assert took[4]["is_correct"] is took[4]["task_success"] is True
    assert heard[2][1]["content"][0]["text"] == "My cat is called Tom."
    assert heard[4]["is_correct"] is True
    assert [row[4] for row in log if row[0] == "begin"] == [1, 3], "an instance for each task"


def test_what_begin_gave_stays_and_items_without_content_go(memory: Opener) -> None:
    session = memory(design_of("evolvelab_cases"))
    session.update(MADE, [NOTHING] * 2, NOTHING)
    first = session.retrieve(FIRST)[0].items
    second = session.retrieve(Query(TEA, "", 1))[0].items
    assert first[0] == second[0]
    assert "boil water" in first[0].text
    assert [item.text for item in (*first[1:], *second[1:])] == ["this is step 1", "this is step 2"]
