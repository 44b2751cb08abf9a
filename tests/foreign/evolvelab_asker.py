"""Lets the model write what is shown."""
from ..base_memory import BaseMemoryProvider
from ..memory_types import MemoryItem, MemoryRequest, MemoryResponse, MemoryType, TrajectoryData


class AskerProvider(BaseMemoryProvider):
    def __init__(self, config=None):
        super().__init__(MemoryType.DILU, config)
        self.model = self.config["model"]

    def initialize(self):
        return True

    def provide_memory(self, request: MemoryRequest) -> MemoryResponse:
        messages = [{"role": "user", "content": [{"type": "text", "text": f"Advice for: {request.query}"}]}]
        item = MemoryItem(id="advice", content=self.model(messages).content, metadata={}, score=1.0)
        return MemoryResponse([item], self.memory_type, 1)

    def take_in_memory(self, trajectory_data: TrajectoryData):
        return True, ""
