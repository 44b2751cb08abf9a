"""Owes a method."""
from agents.memo_structure import MemoStructure


class Half(MemoStructure):
    async def general_retrieve(self, recorder):
        return {}
