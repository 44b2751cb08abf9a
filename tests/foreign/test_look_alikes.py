"""Claims about the stand-ins for other people's modules."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from design_space.foreign.chroma import Chroma, Document
from design_space.foreign.models import Agent, ChatModel, Embedding, rendered
from design_space.foreign.state import NotTold, dump, load
from design_space.foreign.tfidf import TfidfVectorizer, cosine_similarity
from design_space.kit import GuestKit
from design_space.memory import ModelUnavailable


@pytest.fixture
def kit(tmp_path: Path) -> GuestKit:
    def answer(op: str, arg: dict[str, str]) -> dict[str, object]:
        return {"text": f'Here: {{"seen": {len(arg["prompt"])}}}', "calls": None, "tokens": None}

    return GuestKit(0, tmp_path, answer)


@pytest.fixture
def store(kit: GuestKit) -> Chroma:
    made = type("Chroma", (Chroma,), {"kit": kit})()
    made.add_texts(["red apple", "green apple", "blue car"], [{"n": 1}, {"n": 2, "x": "y"}, None], ["a", "b", "c"])
    return made


def test_the_nearest_texts_come_first_with_their_distances(store: Chroma) -> None:
    found = store.similarity_search_with_score("red apple", k=9)
    assert [document.page_content for document, _ in found] == ["red apple", "green apple", "blue car"]
    assert found[0][1] == pytest.approx(0.0, abs=1e-6)
    assert found[2][1] == pytest.approx(2.0, abs=1e-6), "squared distance of unit vectors without a common word"
    assert [d.id for d in store.as_retriever(search_kwargs={"k": 1}).get_relevant_documents("car")] == ["c"]


def test_cosine_space_gives_one_minus_cosine(kit: GuestKit) -> None:
    made = type("Chroma", (Chroma,), {"kit": kit})(collection_metadata={"hnsw:space": "cosine"})
    made.add_texts(["blue car"])
    assert made.similarity_search_with_score("red apple")[0][1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ({"n": 2}, ["b"]),
        ({"n": {"$gte": 1}}, ["a", "b"]),
        ({"n": {"$ne": 1}}, ["b", "c"]),
        ({"x": {"$in": ["y", "z"]}}, ["b"]),
        ({"$and": [{"n": {"$lt": 2}}, {"n": {"$gt": 0}}]}, ["a"]),
        ({"$or": [{"n": 1}, {"x": "y"}]}, ["a", "b"]),
        (None, ["a", "b", "c"]),
    ],
)
def test_filters(store: Chroma, where: dict[str, object] | None, names: list[str]) -> None:
    assert store.get(where=where)["ids"] == names
    assert sorted(str(d.id) for d in store.similarity_search("apple car", k=9, filter=where)) == names


def test_filters_and_metadata_that_chroma_refuses_are_refused(store: Chroma) -> None:
    with pytest.raises(ValueError, match="exactly one operator"):
        store.similarity_search("apple", filter={"n": 1, "x": "y"})
    with pytest.raises(ValueError, match="metadata 'tags' is a list"):
        store.add_texts(["text"], [{"tags": ["a"]}])
    with pytest.raises(AttributeError, match="has no 'persist'; it offers aadd_documents"):
        store.persist()


def test_texts_are_replaced_by_id_and_forgotten(store: Chroma) -> None:
    store.add_documents([Document("yellow pear", {"n": 3}, "a")])
    store.delete(["b", "nobody"])
    assert store.get() == {
        "ids": ["a", "c"],
        "documents": ["yellow pear", "blue car"],
        "metadatas": [{"n": 3}, {}],
        "embeddings": None,
    }


def test_stores_are_strangers_to_each_other(store: Chroma) -> None:
    other = type(store)(persist_directory="same")
    assert other.count() == 0
    assert store.count() == 3


def test_an_agent_speaks_with_the_run_s_model_and_parses_what_a_schema_asks_for(kit: GuestKit) -> None:
    hired = type("Agent", (Agent,), {"kit": kit})
    agent = hired("Be brief.", output_schema={"type": "object"})
    first = asyncio.run(agent.ask("one"))
    second = asyncio.run(agent.ask("two", with_history=True))
    assert first["seen"] < second["seen"]
    assert [message["role"] for message in agent.messages] == ["system", "user", "assistant", "user", "assistant"]
    assert asyncio.run(hired("Be brief.").ask("one")).startswith("Here")


def test_a_refused_call_says_what_the_design_asked_for(tmp_path: Path) -> None:
    kit = GuestKit(0, tmp_path, None)
    with pytest.raises(ModelUnavailable, match=r"Agent\(model='gpt-4o-mini'\).*no language model"):
        asyncio.run(type("Agent", (Agent,), {"kit": kit})("x", model="gpt-4o-mini").ask("y"))
    with pytest.raises(ModelUnavailable, match=r'config\["model"\]'):
        ChatModel(kit)([{"role": "user", "content": "hello"}])


def test_messages_of_every_shape_become_one_text() -> None:
    assert rendered("plain") == "plain"
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert (
        rendered([{"role": "system", "content": "s"}, {"role": "user", "content": parts}])
        == "system:\ns\n\nuser:\na\nb"
    )


def test_embeddings_are_the_kit_s(kit: GuestKit) -> None:
    embedding = type("Embedding", (Embedding,), {"kit": kit})()
    one, other = embedding(["red apple", "blue car"])
    assert np.allclose(one, kit.embed(["red apple"])[0])
    assert asyncio.run(Embedding.compute_one_to_group_similarity(one, [one, other])) == pytest.approx([1.0, 0.0])


def test_tfidf_weighs_as_scikit_learn_does() -> None:
    vectorizer = TfidfVectorizer()
    rows = vectorizer.fit_transform(["red apple", "red car", "a red"])
    assert list(vectorizer.get_feature_names_out()) == ["apple", "car", "red"]
    idf = np.log(np.array([4 / 2, 4 / 2, 4 / 4])) + 1.0
    expected = np.array([[1, 0, 1], [0, 1, 1], [0, 0, 1]]) * idf
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.allclose(rows.toarray(), expected)
    assert np.allclose(cosine_similarity(rows, rows).diagonal(), 1.0)
    with pytest.raises(ValueError, match="empty vocabulary"):
        TfidfVectorizer(stop_words="english").fit(["the", "of"])


def test_state_holds_lambdas_closures_and_locks() -> None:
    factor = 3
    value = {"times": lambda x: x * factor, "lock": asyncio.Lock(), "numbers": np.arange(3)}
    again = load(dump(value))
    assert again["times"](2) == 6
    assert again["numbers"].tolist() == [0, 1, 2]
    with pytest.raises(NotTold, match="generator"):
        dump(x for x in "ab")
