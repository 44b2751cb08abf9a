"""Look-alikes of language models and embedders: every call goes to the kit, whatever model was named."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from design_space.memory import Kit, ModelUnavailable

ANSWER_TOKENS = 1_024
"""Most tokens of an answer; the systems that these designs come from set no limit."""
_NO_ANSWER = "Error occur when generating answer."


def ask(kit: Kit, who: str, prompt: str) -> str:
    """Ask the run's model.

    Args:
        who: what the design asked for, to be named if there is no model.

    Raises:
        ModelUnavailable: the run is key-free, or the allowance is used up; the message says who asked.
    """
    try:
        return kit.ask(prompt, max_tokens=ANSWER_TOKENS)
    except ModelUnavailable as error:
        raise ModelUnavailable(f"the design asks a language model, {who}, for an answer; {error}") from error


def rendered(messages: object) -> str:
    """Return chat messages as one text: a line ``role:`` before the content of each; a bare string stays as it is."""
    if isinstance(messages, str):
        return messages
    if not isinstance(messages, Sequence):
        return str(messages)
    return "\n\n".join(_message(message) for message in messages)


def _message(message: object) -> str:
    if not isinstance(message, Mapping):
        return str(message)
    role, content = message.get("role", "user"), message.get("content")
    if isinstance(content, Sequence) and not isinstance(content, str):
        content = "\n".join(str(p.get("text", "")) if isinstance(p, Mapping) else str(p) for p in content)
    return f"{getattr(role, 'value', role)}:\n{content}"


class Agent:
    """ALMA's `utils.hire_agent.Agent`.

    Args:
        system_prompt: stands first in every conversation.
        output_schema: a JSON schema; with it the answer is parsed.
        model: is named in messages; the run's model answers.
    """

    kit: ClassVar[Kit]

    def __init__(
        self, system_prompt: str, output_schema: Mapping[str, Any] | None = None, model: str | None = "gpt-4.1"
    ) -> None:
        self.model = model
        self.output_schema = output_schema
        schema = "" if output_schema is None else json.dumps(output_schema, default=str)
        schema = schema and f"\nAnswer with one JSON object of this schema only:\n{schema}"
        self.messages: list[dict[str, Any]] = [{"role": "system", "content": system_prompt + schema}]

    async def ask(
        self,
        user_input: Any,
        with_full_msg: bool = False,
        with_history: bool = False,
        temperature: float | None = None,
        reasoning_effort: str | None = None,
    ) -> Any:
        """Return the answer: text, or what was parsed of it if there is a schema, or ``{"error", "raw_output"}``.

        Args:
            with_full_msg: `user_input` is a whole list of messages, sent as it is.
            with_history: send the earlier turns too.
            temperature, reasoning_effort: are not passed on.

        Raises:
            ModelUnavailable: see `ask`.
        """
        self.messages.append({"role": "user", "content": user_input})
        sent = self.messages if with_history else [self.messages[0], self.messages[-1]]
        answer = ask(self.kit, f"Agent(model={self.model!r})", rendered(user_input if with_full_msg else sent))
        answer = answer if answer.strip() else _NO_ANSWER
        self.messages.append({"role": "assistant", "content": answer})
        return answer if self.output_schema is None else _parsed(answer)


def _parsed(answer: str) -> Any:
    """The JSON object in an answer, also where it stands in a code block."""
    start, end = answer.find("{"), answer.rfind("}")
    try:
        return json.loads(answer[start : end + 1])
    except ValueError:
        return {"error": "Model output is not valid JSON.", "raw_output": answer}


def cosine(one: Any, other: Any) -> float:
    """Cosine of two vectors, in [-1, 1]; 0 if either is zero."""
    a, b = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norm if norm > 0.0 else 0.0


class Embedding:
    """ALMA's `utils.hire_agent.Embedding`: vectors come from the kit's embedder, as lists of floats."""

    kit: ClassVar[Kit]

    def __init__(self, model: str = "text-embedding-3-small", retries: int = 3, retry_delay: float = 1.0) -> None:
        self.model = model
        self.retries = retries
        self.retry_delay = retry_delay

    def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        return [[float(x) for x in row] for row in self.kit.embed(list(texts))]

    def embed_query(self, text: str) -> list[float]:
        return self([text])[0]

    def embed_documents(self, texts: Sequence[str]) -> list[list[float]]:
        return self(texts)

    async def get_embedding(self, text: str) -> list[float]:
        return self.embed_query(text)

    async def get_batch_embeddings(self, texts: Sequence[str]) -> list[list[float]]:
        return self(texts)

    @staticmethod
    async def compute_similarity(emb1: Any, emb2: Any, metric: str = "cosine") -> float:
        """Cosine of two vectors.

        Raises:
            ValueError: another metric is wanted.
        """
        if metric != "cosine":
            raise ValueError(f"unsupported similarity metric {metric!r}, wanted 'cosine'")
        return cosine(emb1, emb2)

    @staticmethod
    async def compute_one_to_group_similarity(
        emb: Any, group_emb: Sequence[Any], metric: str = "cosine"
    ) -> list[float]:
        """Cosine of a vector with each of a group."""
        return [await Embedding.compute_similarity(emb, other, metric) for other in group_emb]


class ModelText(str):
    """An answer that is text, and has it as `content` too: EvolveLab's providers read either."""

    __slots__ = ()

    @property
    def content(self) -> str:
        return str(self)


class ChatModel:
    """What an EvolveLab provider finds as ``config["model"]``: takes messages, or a bare prompt."""

    model_id = "the run's model"

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    def __call__(self, messages: object, **_: object) -> ModelText:
        return ModelText(ask(self._kit, 'config["model"]', rendered(messages)))


class SentenceTransformer:
    """`sentence_transformers.SentenceTransformer` over the kit's embedder: float32, rows of unit norm.

    Args:
        name: of any model, or a folder to load one from; it is ignored.
    """

    kit: ClassVar[Kit]

    def __init__(self, name: str = "", *_: object, **__: object) -> None:
        self.name = name

    def encode(self, sentences: str | Sequence[str], *_: object, **__: object) -> NDArray[np.float32]:
        """Embed one text, shape (d,), or several, shape (n, d)."""
        if isinstance(sentences, str):
            one: NDArray[np.float32] = self.kit.embed([sentences])[0]
            return one
        return self.kit.embed([str(sentence) for sentence in sentences])

    def get_sentence_embedding_dimension(self) -> int:
        return int(self.kit.embed(["any"]).shape[1])

    def save(self, path: str, *_: object, **__: object) -> None:
        """Make the folder; there is nothing to put into it."""
        Path(path).mkdir(parents=True, exist_ok=True)
