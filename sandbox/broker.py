"""Carries out what designs ask of models, within an allowance."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from design_space.memory import Budget, ModelUnavailable
from sandbox.calls import CallRefused, Line, Message, Models
from sandbox.embedders import Embedder, EmbedderName, has_words, open_embedder
from sandbox.guest.wire import EMBED_CHARS
from sandbox.session import AllowanceUsedUp, Answer

ANSWER_CHARS = 200_000
"""More than any model says at once; what a server says beyond its limit must not burst the frame to the guest."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a design may use of models in one evaluation. Every field's name says its unit.

    Attributes:
        calls_per_task: of `ask`, between one task (or session that is told) and the next; what it asks for when it is
            made counts as a task.
        calls_per_stream: of `ask`, over the whole evaluation.
        tokens_per_stream: of `ask`, prompts and answers.
        prompt_chars: of one prompt; a longer one is refused.
        embed_texts_per_stream: texts of `embed` that leave the guest, which remembers what it has asked for.
        embed_chars_per_stream: characters of these texts.
        embed_chars_per_text: what is beyond them is cut; no more than 8,000 come out of a sandbox anyway.
    """

    calls_per_task: int = 8
    calls_per_stream: int = 200
    tokens_per_stream: int = 200_000
    prompt_chars: int = 20_000
    embed_texts_per_stream: int = 20_000
    embed_chars_per_stream: int = 4_000_000
    embed_chars_per_text: int = EMBED_CHARS

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < 0:
                raise ValueError(f"{name} is {value}, wanted at least 0")

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


class ModelBroker:
    """The `sandbox.session.Broker` of one evaluation in a run with models, or with an embedder of its own.

    A call that could exceed the allowance is refused before it is made, with the worst that it could cost: every byte
    of the prompt a token, and an answer as long as it may be. So the allowance holds, if the provider keeps to
    `max_tokens`; what a provider answers beyond that is handed over, and the allowance is used up.

    Args:
        memory: what answers `ask`; None refuses it.
        embedder: None leaves `embed` to the guest.
    """

    def __init__(
        self, memory: Line | None = None, embedder: Embedder | None = None, allowance: Allowance | None = None
    ) -> None:
        self._memory = memory
        self._embedder = embedder
        self._allowance = allowance or Allowance()
        self._earlier_calls = 0  # before this task
        self._texts = 0
        self._chars = 0

    @property
    def calls(self) -> int:
        return sum(line.calls for line in self._lines())

    @property
    def tokens(self) -> int:
        return sum(line.tokens for line in self._lines())

    @property
    def dollars(self) -> float | None:
        known = [line.dollars for line in self._lines() if line.dollars is not None]
        return sum(known) if len(known) == len(self._lines()) else None

    @property
    def left(self) -> Budget:
        if self._memory is None:
            return Budget(0, 0)
        allowance, used = self._allowance, self._memory
        calls = min(allowance.calls_per_task + self._earlier_calls, allowance.calls_per_stream) - used.calls
        return Budget(max(0, calls), max(0, allowance.tokens_per_stream - used.tokens))

    @property
    def dimensions(self) -> int | None:
        return None if self._embedder is None else self._embedder.dimensions

    def task(self) -> None:
        self._earlier_calls = 0 if self._memory is None else self._memory.calls

    def ask(self, prompt: str, max_tokens: int) -> Answer:
        """See `sandbox.session.Broker`.

        Raises:
            AllowanceUsedUp: it says which field of the allowance forbids the call.
            ModelUnavailable: there is no model, nothing is asked, or the provider refuses and says why.
            ModelFault: the run must stop.
        """
        if self._memory is None:
            raise ModelUnavailable("this run offers no language model")
        messages = (Message("user", prompt),)
        room = self._room(self._memory, messages)
        try:
            reply = self._memory.ask(messages, min(max_tokens, room))
        except CallRefused as error:
            raise ModelUnavailable(f"the model refuses this call: {error}") from error
        left = self.left
        return Answer(reply.text[:ANSWER_CHARS], left.calls, left.tokens)

    def _room(self, memory: Line, messages: Sequence[Message]) -> int:
        """How many tokens an answer may have; at least one.

        Raises:
            AllowanceUsedUp: the allowance forbids the call.
            ModelUnavailable: nothing is asked.
        """
        allowance, prompt = self._allowance, messages[0].content
        if not has_words(prompt):
            raise ModelUnavailable("the prompt has no words")
        if len(prompt) > allowance.prompt_chars:
            raise AllowanceUsedUp(
                f"prompt_chars: a prompt of {len(prompt)} characters, {allowance.prompt_chars} are allowed"
            )
        if memory.calls >= allowance.calls_per_stream:
            raise AllowanceUsedUp(f"calls_per_stream: all {allowance.calls_per_stream} calls are used up")
        if memory.calls - self._earlier_calls >= allowance.calls_per_task:
            raise AllowanceUsedUp(f"calls_per_task: all {allowance.calls_per_task} calls of this task are used up")
        left = max(0, allowance.tokens_per_stream - memory.tokens)
        room = left - memory.next(messages).input_bytes
        if room < 1:
            raise AllowanceUsedUp(
                f"tokens_per_stream: {left} of {allowance.tokens_per_stream} tokens are left, too few for this prompt"
            )
        return room

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `sandbox.session.Broker`.

        Raises:
            AllowanceUsedUp, ModelUnavailable: as of `ask`; then none of the texts is embedded.
            ModelFault: the run must stop.
        """
        if self._embedder is None:
            raise ModelUnavailable("this run embeds texts in the sandbox")
        allowance = self._allowance
        cut = [text[: allowance.embed_chars_per_text] for text in texts]
        chars = sum(map(len, cut))
        if self._texts + len(cut) > allowance.embed_texts_per_stream:
            left = allowance.embed_texts_per_stream - self._texts
            raise AllowanceUsedUp(f"embed_texts_per_stream: {len(cut)} texts, {left} are left to embed")
        if self._chars + chars > allowance.embed_chars_per_stream:
            left = allowance.embed_chars_per_stream - self._chars
            raise AllowanceUsedUp(f"embed_chars_per_stream: {chars} characters, {left} are left to embed")
        self._texts += len(cut)
        self._chars += chars
        try:
            return self._embedder.embed(cut)
        except CallRefused as error:
            raise ModelUnavailable(f"the model refuses to embed these texts: {error}") from error

    def _lines(self) -> list[Line]:
        embedding = None if self._embedder is None else self._embedder.line
        return [line for line in (self._memory, embedding) if line is not None]


def model_brokers(
    models: Models | None,
    answer_tokens: int | None = None,
    embedder: EmbedderName = "hashed",
    allowance: Allowance | None = None,
) -> Callable[[str], ModelBroker]:
    """Return what makes the broker of an evaluation from its scope, as `sandbox.evaluate.Evaluator` wants it.

    Args:
        models: None where the run has none.
        answer_tokens: most tokens of an answer, `ModelSpec.max_tokens` of the role `memory`; None where no model has
            that role: then designs can embed, but not ask.

    Raises:
        ProviderRefused: the embedder is not to be had.
        ModelFault: the embedding model is not.
    """
    embedders = open_embedder(embedder, models)

    def broker(scope: str) -> ModelBroker:
        memory = None
        if models is not None and answer_tokens is not None:
            memory = Line(models, scope, "memory", answer_tokens)
        return ModelBroker(memory, embedders(scope), allowance)

    return broker
