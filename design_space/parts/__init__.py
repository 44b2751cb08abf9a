"""Parts of modular memories. What is imported here is what a composed design (or a model that writes one) may use."""

from design_space.parts.effects import EffectEncoder
from design_space.parts.encoders import Encoder, FactEncoder, NoteEncoder, RuleEncoder, StepEncoder, TrajectoryEncoder
from design_space.parts.entries import Entry
from design_space.parts.keys import BothKey, GoalKey, Key, ObjectKey, SituationKey
from design_space.parts.managers import Fifo, KeepAll, Manager, MergeSimilar, UtilityPruning
from design_space.parts.modular import ModularMemory, Parts
from design_space.parts.retrievers import Bm25, Cosine, RankFusion, Recency, Retriever
from design_space.parts.values import CausalCredit, Credit, ImmediateCredit, NoValue, QValue, Utility, ValueTerm

__all__ = [
    "Bm25",
    "BothKey",
    "CausalCredit",
    "Cosine",
    "Credit",
    "EffectEncoder",
    "Encoder",
    "Entry",
    "FactEncoder",
    "Fifo",
    "GoalKey",
    "ImmediateCredit",
    "KeepAll",
    "Key",
    "Manager",
    "MergeSimilar",
    "ModularMemory",
    "NoValue",
    "NoteEncoder",
    "ObjectKey",
    "Parts",
    "QValue",
    "RankFusion",
    "Recency",
    "Retriever",
    "RuleEncoder",
    "SituationKey",
    "StepEncoder",
    "TrajectoryEncoder",
    "Utility",
    "UtilityPruning",
    "ValueTerm",
]
