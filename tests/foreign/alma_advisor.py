"""Asks a model for a lesson after each task, without a net."""
from agents.memo_structure import MemoStructure


class Advisor(MemoStructure):
    def __init__(self):
        super().__init__()
        self.lessons = []

    async def general_retrieve(self, recorder):
        return {"lessons": self.lessons}

    async def general_update(self, recorder):
        from utils.hire_agent import Agent

        schema = {"type": "object", "properties": {"lesson": {"type": "string"}}}
        agent = Agent("You distil lessons.", output_schema=schema, model="gpt-4o-mini")
        answer = await agent.ask(f"What is to be learned of {recorder.init['goal']}?")
        self.lessons.append(answer.get("lesson", answer.get("raw_output")))


class Beginner(Advisor):
    """Comes after Advisor in the alphabet, so that nobody takes it."""
