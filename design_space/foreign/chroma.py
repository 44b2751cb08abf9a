"""A look-alike of `langchain_chroma.Chroma`: a vector store in memory, each instance its own.

What it keeps to: `add_texts` replaces a text whose id is known; the default distance is the squared Euclidean one, as
in Chroma, and ``collection_metadata={"hnsw:space": "cosine"}`` makes it 1 - cosine; scores are distances, the nearest
first. What differs: nothing is written to `persist_directory`, two instances never share texts, ids that nobody gave
are counted instead of drawn, and search is exact.
"""

# ruff: noqa: A002 - arguments are called what langchain calls them

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from design_space.memory import Kit

Metadata = dict[str, Any]


@dataclass
class Document:
    """langchain's `Document`: a text and what is known about it."""

    page_content: str
    metadata: Metadata = field(default_factory=dict)
    id: str | None = None


@dataclass
class Entry:
    """A text in the store; `vector` has the embedder's dimensions."""

    text: str
    metadata: Metadata
    vector: NDArray[np.float64]


def matches(metadata: Mapping[str, Any], where: Mapping[str, Any] | None) -> bool:
    """Whether metadata meets a filter of Chroma's: ``{"a": 1}``, ``{"a": {"$gt": 1}}``, ``{"$and": [{...}, {...}]}``.

    Raises:
        ValueError: the filter has more than one key at a level, or an unknown operator.
    """
    if not where:
        return True
    if len(where) != 1:
        raise ValueError(f"expected a filter with exactly one operator, got {sorted(where)}; join them by '$and'")
    [(key, wanted)] = where.items()
    if key == "$and":
        return all(matches(metadata, part) for part in wanted)
    if key == "$or":
        return any(matches(metadata, part) for part in wanted)
    if not isinstance(wanted, Mapping):
        return key in metadata and bool(metadata[key] == wanted)
    if len(wanted) != 1 or next(iter(wanted)) not in _OPERATORS:
        raise ValueError(f"expected one of {', '.join(_OPERATORS)} for {key!r}, got {list(wanted)}")
    [(operator, value)] = wanted.items()
    if key not in metadata:
        return operator in ("$ne", "$nin")
    try:
        return bool(_OPERATORS[operator](metadata[key], value))
    except TypeError:
        return False  # values that have no order do not match


_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "$eq": lambda a, b: a == b,
    "$ne": lambda a, b: a != b,
    "$gt": lambda a, b: a > b,
    "$gte": lambda a, b: a >= b,
    "$lt": lambda a, b: a < b,
    "$lte": lambda a, b: a <= b,
    "$in": lambda a, b: a in b,
    "$nin": lambda a, b: a not in b,
}


class Chroma:
    """See the module.

    Args:
        embedding_function: an object with `embed_documents` and `embed_query`; None takes the kit's embedder.
        collection_metadata: ``hnsw:space`` is ``l2``, ``cosine`` or ``ip``.

    Other arguments of the original are taken and mean nothing here.
    """

    kit: ClassVar[Kit]

    def __init__(
        self,
        collection_name: str = "langchain",
        embedding_function: Any = None,
        persist_directory: str | None = None,
        collection_metadata: Mapping[str, Any] | None = None,
        **_: object,
    ) -> None:
        self._collection_name = collection_name
        self._embedding_function = embedding_function
        self._space = str((collection_metadata or {}).get("hnsw:space", "l2"))
        self._entries: dict[str, Entry] = {}
        self._made = 0

    def __getattr__(self, name: str) -> Any:
        offered = ", ".join(n for n in dir(Chroma) if not n.startswith("_"))
        raise AttributeError(f"this look-alike of Chroma has no {name!r}; it offers {offered}")

    @property
    def _collection(self) -> Chroma:
        """Upstream's own collection; here only `count`, `get` and `delete` of it are offered."""
        return self

    def count(self) -> int:
        return len(self._entries)

    @property
    def embeddings(self) -> Any:
        return self._embedding_function

    # What goes in

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: Sequence[Mapping[str, Any] | None] | None = None,
        ids: Sequence[str | None] | None = None,
        **_: object,
    ) -> list[str]:
        """Store texts; returns their ids.

        Raises:
            ValueError: ids or metadata do not fit the texts, or a value of metadata is no text, number or truth value.
        """
        whole = [str(text) for text in texts]
        about = [dict(m or {}) for m in metadatas or [None] * len(whole)]
        names = [name or self._fresh() for name in ids or [None] * len(whole)]
        if not len(whole) == len(about) == len(names):
            raise ValueError(f"{len(whole)} texts with {len(about)} metadatas and {len(names)} ids")
        if len(set(names)) != len(names):
            raise ValueError(f"expected ids to be unique, found duplicates among {names}")
        for metadata in about:
            for key, value in metadata.items():
                if value is not None and not isinstance(value, str | int | float | bool):
                    raise ValueError(f"metadata {key!r} is a {type(value).__name__}, wanted str, int, float or bool")
        for name, text, metadata, vector in zip(names, whole, about, self._embed(whole), strict=True):
            self._entries[name] = Entry(text, metadata, vector)
        return names

    def add_documents(self, documents: Sequence[Document], ids: Sequence[str] | None = None, **_: object) -> list[str]:
        """Store documents; returns their ids."""
        names: Sequence[str | None] = ids or [document.id for document in documents]
        return self.add_texts([d.page_content for d in documents], [d.metadata for d in documents], names)

    def update_document(self, document_id: str, document: Document) -> None:
        """Put a document into the place of another."""
        self.add_documents([document], [document_id])

    def update_documents(self, ids: Sequence[str], documents: Sequence[Document]) -> None:
        self.add_documents(documents, ids)

    def delete(
        self, ids: str | Sequence[str] | None = None, where: Mapping[str, Any] | None = None, **_: object
    ) -> None:
        """Forget texts; ids that are not there are passed over."""
        wanted = [ids] if isinstance(ids, str) else ids
        for name in self._named(wanted, where) if wanted is not None or where else []:
            del self._entries[name]

    def delete_collection(self) -> None:
        self._entries.clear()

    def reset_collection(self) -> None:
        self._entries.clear()

    # What comes out

    def get(
        self,
        ids: str | Sequence[str] | None = None,
        where: Mapping[str, Any] | None = None,
        limit: int | None = None,
        offset: int | None = None,
        include: Sequence[str] = ("metadatas", "documents"),
        **_: object,
    ) -> dict[str, Any]:
        """Return ``{"ids", "documents", "metadatas", "embeddings"}`` of the texts asked for, oldest first."""
        names = self._named([ids] if isinstance(ids, str) else ids, where)[offset or 0 :]
        found = [self._entries[name] for name in names[:limit]]
        return {
            "ids": names[:limit],
            "documents": [e.text for e in found] if "documents" in include else None,
            "metadatas": [dict(e.metadata) for e in found] if "metadatas" in include else None,
            "embeddings": [e.vector for e in found] if "embeddings" in include else None,
        }

    def get_by_ids(self, ids: Sequence[str]) -> list[Document]:
        return [self._document(name) for name in ids if name in self._entries]

    def similarity_search_by_vector_with_score(
        self,
        embedding: Any,
        k: int = 4,
        filter: Mapping[str, Any] | None = None,
        **_: object,
    ) -> list[tuple[Document, float]]:
        """The nearest texts and their distances.

        Raises:
            ValueError: k is below 1, or the filter is none of Chroma's.
        """
        if k < 1:
            raise ValueError(f"the number of requested results is {k}, wanted 1 or more")
        names = self._named(None, filter)
        if not names:
            return []
        distances = self._distances(np.asarray(embedding, dtype=np.float64), names)
        nearest = np.argsort(distances, kind="stable")[:k]
        return [(self._document(names[i]), float(distances[i])) for i in nearest]

    def similarity_search_with_score(
        self,
        query: str,
        k: int = 4,
        filter: Mapping[str, Any] | None = None,
        **_: object,
    ) -> list[tuple[Document, float]]:
        """The nearest texts and their distances: less is nearer."""
        return self.similarity_search_by_vector_with_score(self._embed_query(query), k, filter)

    def similarity_search(
        self,
        query: str,
        k: int = 4,
        filter: Mapping[str, Any] | None = None,
        **_: object,
    ) -> list[Document]:
        return [document for document, _ in self.similarity_search_with_score(query, k, filter)]

    def similarity_search_by_vector(
        self,
        embedding: Any,
        k: int = 4,
        filter: Mapping[str, Any] | None = None,
        **_: object,
    ) -> list[Document]:
        return [document for document, _ in self.similarity_search_by_vector_with_score(embedding, k, filter)]

    def similarity_search_with_relevance_scores(
        self,
        query: str,
        k: int = 4,
        filter: Mapping[str, Any] | None = None,
        **_: object,
    ) -> list[tuple[Document, float]]:
        """The nearest texts and their relevance: 1 is the same, by langchain's formula for the space."""
        scale = 2**0.5 if self._space == "l2" else 1.0
        return [(d, 1.0 - distance / scale) for d, distance in self.similarity_search_with_score(query, k, filter)]

    def as_retriever(self, search_kwargs: Mapping[str, Any] | None = None, **_: object) -> Retriever:
        return Retriever(self, dict(search_kwargs or {}))

    async def aadd_texts(self, *arguments: Any, **named: Any) -> list[str]:
        return self.add_texts(*arguments, **named)

    async def aadd_documents(self, *arguments: Any, **named: Any) -> list[str]:
        return self.add_documents(*arguments, **named)

    async def asimilarity_search(self, *arguments: Any, **named: Any) -> list[Document]:
        return self.similarity_search(*arguments, **named)

    async def asimilarity_search_with_score(self, *arguments: Any, **named: Any) -> list[tuple[Document, float]]:
        return self.similarity_search_with_score(*arguments, **named)

    async def adelete(self, *arguments: Any, **named: Any) -> None:
        self.delete(*arguments, **named)

    @classmethod
    def from_texts(
        cls, texts: Iterable[str], embedding: Any = None, metadatas: Any = None, ids: Any = None, **named: Any
    ) -> Chroma:
        made = cls(embedding_function=embedding, **named)
        made.add_texts(texts, metadatas, ids)
        return made

    @classmethod
    def from_documents(cls, documents: Sequence[Document], embedding: Any = None, **named: Any) -> Chroma:
        made = cls(embedding_function=embedding, **named)
        made.add_documents(documents)
        return made

    def _fresh(self) -> str:
        self._made += 1
        return str(uuid.UUID(int=self._made))

    def _named(self, ids: Sequence[str] | None, where: Mapping[str, Any] | None) -> list[str]:
        names = list(self._entries) if ids is None else [name for name in ids if name in self._entries]
        return [name for name in names if matches(self._entries[name].metadata, where)]

    def _document(self, name: str) -> Document:
        entry = self._entries[name]
        return Document(entry.text, dict(entry.metadata), name)

    def _embed(self, texts: list[str]) -> NDArray[np.float64]:
        if not texts:
            return np.zeros((0, 0))
        embedder = self._embedding_function
        return np.asarray(self.kit.embed(texts) if embedder is None else embedder.embed_documents(texts), np.float64)

    def _embed_query(self, text: str) -> NDArray[np.float64]:
        embedder = self._embedding_function
        return np.asarray(self.kit.embed([text])[0] if embedder is None else embedder.embed_query(text), np.float64)

    def _distances(self, vector: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
        stored = np.stack([self._entries[name].vector for name in names])
        if self._space == "l2":
            return np.asarray(((stored - vector) ** 2).sum(axis=1))
        inner = stored @ vector
        if self._space == "cosine":
            norms = np.linalg.norm(stored, axis=1) * np.linalg.norm(vector)
            inner = np.divide(inner, norms, out=np.zeros_like(inner), where=norms > 0.0)
        return np.asarray(1.0 - inner)


@dataclass
class Retriever:
    """What `Chroma.as_retriever` returns."""

    store: Chroma
    search_kwargs: dict[str, Any]

    def invoke(self, query: str, *_: object, **__: object) -> list[Document]:
        return self.store.similarity_search(query, **self.search_kwargs)

    def get_relevant_documents(self, query: str, **_: object) -> list[Document]:
        return self.invoke(query)

    async def ainvoke(self, query: str, *_: object, **__: object) -> list[Document]:
        return self.invoke(query)

    async def aget_relevant_documents(self, query: str, **_: object) -> list[Document]:
        return self.invoke(query)
