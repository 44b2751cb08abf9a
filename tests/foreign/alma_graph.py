"""Two layers: texts in Chroma, and a graph of which goals were met in which place."""
import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Dict, Optional

import networkx as nx
from langchain_chroma import Chroma

from agents.memo_structure import MemoStructure, Sub_memo_layer
from eval_envs.base_envs import Basic_Recorder
from utils.hire_agent import Embedding


@dataclass
class CaseLayer(Sub_memo_layer):
    layer_intro: str = "whole attempts, found by their goal"
    database: Optional[Any] = field(default_factory=lambda: Chroma(embedding_function=Embedding()))

    async def retrieve(self, **kwargs):
        found = self.database.similarity_search_with_score(kwargs["goal"], k=2, filter={"reward": {"$gt": 0.0}})
        return [{"plan": document.page_content, "distance": score} for document, score in found]

    async def update(self, **kwargs):
        steps = "\n".join(step["action_took"] or step["obs"] for step in kwargs["steps"])
        if steps:
            text = f"{kwargs['goal']}\n{steps}"
            self.database.add_texts([text], metadatas=[{"reward": kwargs["reward"]}])


@dataclass
class PlaceLayer(Sub_memo_layer):
    layer_intro: str = "what was done where"
    database: Optional[Any] = field(default_factory=nx.Graph)

    async def retrieve(self, **kwargs):
        first = kwargs["obs"].split("\n")[0]
        if first not in self.database:
            return []
        return sorted(self.database.neighbors(first))

    async def update(self, **kwargs):
        first = kwargs["obs"].split("\n")[0]
        for step in kwargs["steps"]:
            if step["action_took"]:
                self.database.add_edge(first, step["action_took"], score=step["scores"])


class GraphStructure(MemoStructure):
    def __init__(self):
        super().__init__()
        self.cases = CaseLayer()
        self.places = PlaceLayer()
        self.counts = defaultdict(lambda: {"tries": 0})
        self.lock = asyncio.Lock()

    async def general_retrieve(self, recorder: Basic_Recorder) -> Dict:
        init = recorder.init
        assert recorder.steps == []
        cases, places = await asyncio.gather(
            self.cases.retrieve(goal=init["goal"]), self.places.retrieve(obs=init["obs"])
        )
        return {"similar": cases, "done_here": places, "tries": self.counts[init["goal"]]["tries"]}

    async def general_update(self, recorder: Basic_Recorder) -> None:
        async with self.lock:
            init = recorder.init
            self.counts[init["goal"]]["tries"] += 1
            await self.cases.update(goal=init["goal"], steps=recorder.steps, reward=recorder.reward)
            await asyncio.sleep(0)
            await self.places.update(obs=init["obs"], steps=recorder.steps)
