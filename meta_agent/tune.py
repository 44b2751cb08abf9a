"""Proposes parameter values for a design: TPE over its SPACE by Optuna's ask and tell (Akiba et al. 2019)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from archive.selection import Selection
from design_space import Design, DesignId
from design_space.source import space_of
from design_space.space import Choice, Float, Space, Value
from meta_agent.compose import random_genome
from meta_agent.proposer import Draft, Parent

if TYPE_CHECKING:
    import optuna

WARM_UP = 4
"""Trials of a study before TPE has something to learn from; until then it samples at random."""


class TuneProposer:
    """One study for each source; the source stays, its parameters change.

    Args:
        seed: of the studies' samplers.
    """

    name = "tune"

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._studies: dict[str, optuna.Study] = {}
        self._open: dict[DesignId, tuple[optuna.Study, optuna.trial.Trial]] = {}

    def propose(self, parents: tuple[Parent, ...], rng: np.random.Generator, prompt: str = "") -> Draft:
        if not parents:
            return self._afresh(rng, "there is no parent")
        parent = parents[0]
        space = space_of(parent.design.source)
        if not space:
            return self._afresh(rng, "the parent has no parameters")
        study = self._study(parent, space)
        trial = study.ask({name: _distribution(space, name) for name in space})
        values: dict[str, Value] = {name: trial.params[name] for name in space}
        params = {name: value for name, value in values.items() if value != space[name].default}
        design = Design(parent.design.source, params, parent.design.name)
        self._open[design.id] = (study, trial)
        note = f"trial {trial.number + 1}: " + ", ".join(f"{name}={_short(v)}" for name, v in params.items())
        return Draft(design, (parent.design.id,), self.name, "tuning", note)

    def _afresh(self, rng: np.random.Generator, why: str) -> Draft:
        return Draft(random_genome(rng).design(), (), self.name, "random", f"{why}; composed afresh")

    def selection(self, prompt: str) -> Selection | None:
        return None

    def observe(self, design: Design, score: float | None) -> None:
        import optuna

        study, trial = self._open.pop(design.id, (None, None))
        if study is not None and trial is not None:
            state = optuna.trial.TrialState.FAIL if score is None else optuna.trial.TrialState.COMPLETE
            study.tell(trial, score, state=state)

    def _study(self, parent: Parent, space: Space) -> optuna.Study:
        import optuna

        source = parent.design.source
        if source not in self._studies:
            optuna.logging.set_verbosity(logging.WARNING)
            digest = int(Design(source).id[:8], 16)
            sampler = optuna.samplers.TPESampler(seed=(self._seed + digest) % 2**32, n_startup_trials=WARM_UP)
            study = optuna.create_study(direction="maximize", sampler=sampler)
            # The parent's own values are the study's first finished trial, so that TPE knows where it starts.
            known = space.fill(dict(parent.design.params))
            study.add_trial(
                optuna.trial.create_trial(
                    params=dict(known),
                    distributions={name: _distribution(space, name) for name in space},
                    value=parent.score,
                )
            )
            self._studies[source] = study
        return self._studies[source]


def _distribution(space: Space, name: str) -> optuna.distributions.BaseDistribution:
    import optuna

    parameter = space[name]
    if isinstance(parameter, Choice):
        return optuna.distributions.CategoricalDistribution(parameter.options)
    if isinstance(parameter, Float):
        return optuna.distributions.FloatDistribution(parameter.low, parameter.high, log=parameter.log)
    return optuna.distributions.IntDistribution(parameter.low, parameter.high, log=parameter.log)


def _short(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
