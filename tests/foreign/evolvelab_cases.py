"""Keeps whole tasks in a JSON file and shows the most similar one."""
import json
import os
import sys
import uuid
from typing import List, Optional

import numpy as np
from sentence_transformers import SentenceTransformer
from sklearn.metrics.pairwise import cosine_similarity

sys.path.append(os.path.join(os.path.dirname(__file__), "../../"))
from ..base_memory import BaseMemoryProvider
from ..memory_types import (
    MemoryItem,
    MemoryItemType,
    MemoryRequest,
    MemoryResponse,
    MemoryStatus,
    MemoryType,
    TrajectoryData,
)


def text_of(message) -> str:
    return " ".join(part.get("text", "") for part in message["content"])


class CasesProvider(BaseMemoryProvider):
    def __init__(self, config: Optional[dict] = None):
        super().__init__(MemoryType.MY_OWN_CASES, config)
        self.path = self.config.get("store_path", "./storage/cases/cases.json")
        self.cases: List[dict] = []

    def initialize(self) -> bool:
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        self.model = SentenceTransformer("sentence-transformers/all-MiniLM-L6-v2")
        if os.path.exists(self.path):
            with open(self.path) as file:
                self.cases = json.load(file)["memories"]
        return True

    def provide_memory(self, request: MemoryRequest) -> MemoryResponse:
        items = []
        if request.status == MemoryStatus.BEGIN and self.cases:
            own = self.model.encode([request.query])
            others = np.array([case["embedding"] for case in self.cases])
            best = int(np.argmax(cosine_similarity(own, others)[0]))
            items.append(MemoryItem(id=self.cases[best]["id"], content=self.cases[best]["text"], metadata={}))
        if request.status == MemoryStatus.IN:
            number = request.additional_params["step_number"]
            items.append(MemoryItem(id="step", content=f"this is step {number}", metadata={}))
            items.append(MemoryItem(id="nothing", content=None, metadata={}, type=MemoryItemType.TEXT))
        return MemoryResponse(memories=items, memory_type=self.memory_type, total_count=len(items))

    def take_in_memory(self, trajectory_data: TrajectoryData):
        if not trajectory_data.metadata.get("is_correct") and not trajectory_data.metadata.get("reward"):
            return False, "only what earned something is kept"
        text = "\n".join(text_of(message) for message in trajectory_data.trajectory)
        case = {"id": str(uuid.uuid4()), "text": text, "embedding": self.model.encode(text).tolist()}
        self.cases.append(case)
        with open(self.path, "w") as file:
            json.dump({"memories": self.cases}, file)
        return True, "kept"
