"""What a memory design is, the parts it is made of, and every known design."""

from design_space.design import Design, DesignId
from design_space.evaluation import Evaluation, EvaluationKey, Outcome
from design_space.memory import (
    Budget,
    Episode,
    Item,
    Kit,
    Memory,
    ModelUnavailable,
    Query,
    Recall,
    Snapshot,
    Step,
    Tool,
)
from design_space.space import Choice, Float, Int, Space

__all__ = [
    "Budget",
    "Choice",
    "Design",
    "DesignId",
    "Episode",
    "Evaluation",
    "EvaluationKey",
    "Float",
    "Int",
    "Item",
    "Kit",
    "Memory",
    "ModelUnavailable",
    "Outcome",
    "Query",
    "Recall",
    "Snapshot",
    "Space",
    "Step",
    "Tool",
]
