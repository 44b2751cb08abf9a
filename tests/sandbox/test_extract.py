"""Claims about the reader that quotes: it finds the sentence, trusts the order, and says when it is not told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sandbox.agents.extract import ANSWER_WORDS, read
from sandbox.streams.grading import NOT_TOLD

CATS = ["I had soup today. My cat is called Tom. It rained.", "My dog is called Rex."]


def test_it_quotes_the_sentence_that_holds_most_of_what_is_asked() -> None:
    assert read("How is my cat called?", CATS, 0.2) == "My cat is called Tom."
    assert read("How is my dog called?", CATS, 0.2) == "My dog is called Rex."


def test_of_equal_sentences_it_takes_the_one_that_was_recalled_first() -> None:
    for texts in (["Ann lives in Rome.", "Ann lives in Oslo."], ["Ann lives in Oslo.", "Ann lives in Rome."]):
        assert read("Where does Ann live?", texts, 0.2) == texts[0]


def test_it_says_so_where_it_is_not_told() -> None:
    assert read("Which car does my neighbour drive?", CATS, 0.2) == NOT_TOLD
    assert read("How is my cat called?", [], 0.2) == NOT_TOLD
    assert read("?", CATS, 0.2) == NOT_TOLD


def test_how_an_answer_is_wanted_and_when_it_is_asked_does_not_count() -> None:
    question = (
        "What was the A1C value? Give the value in % rounded to the nearest tenth (ex: 7.9).\nAsked on 2023/05/30."
    )
    texts = ["To the nearest tenth I gave 7.9 in May.", "My A1C was 6.9%, just above the target."]
    assert read(question, texts, 0.2) == texts[1]


def test_a_question_without_a_question_mark_counts_whole() -> None:
    assert read("Name my cat.", CATS, 0.2) == "My cat is called Tom."


@given(st.text(max_size=80), st.lists(st.text(max_size=400), max_size=5), st.floats(0.0, 1.0))
def test_whatever_is_asked_the_answer_is_a_short_quotation(question: str, texts: list[str], coverage: float) -> None:
    said = read(question, texts, coverage)
    assert len(said.split()) <= ANSWER_WORDS
    assert said == NOT_TOLD or any(said in " ".join(text.split()) for text in texts)
