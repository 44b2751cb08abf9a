"""Cooking with hidden rules: what a command really does depends on the family and on the kind of food.

A `CookingTable` is such a rule table; `PermutedEnvironment` is a cooking game in which it holds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations, permutations

from sandbox.streams.base import SPLITS, Environment, Observation, Split, generator

COOKS = ("oven", "stove")
"""Tools that may have exchanged their effects. The BBQ stands alone in the backyard: it always grills."""
CUTS = ("chop", "dice", "slice")
KINDS = ("apple", "banana", "carrot", "cheese", "onion", "pepper", "potato")
"""Kinds of food that are fried or roasted in the games of every split. A food of no such kind is an ordinary one."""
ODD_COUNT = 3
"""Kinds of a family that do not follow its rules for ordinary foods: at least one, at most so many."""

# Streams without cutting show no more of a table than this.
_COOKING = tuple(
    (swapped, odd)
    for count in range(1, ODD_COUNT + 1)
    for odd in combinations(KINDS, count)
    for swapped in (False, True)
)
_CUTTING = tuple(permutations(permutations(CUTS), 2))


@dataclass(frozen=True, slots=True)
class CookingTable:
    """The hidden rules of one family: what is carried out when a command is typed.

    Foods fall into two classes, ordinary and odd, by their kind. Odd foods want the other of stove and oven than
    ordinary ones do, and are cut by other commands.

    There are 3,780 tables: 63 sets of odd kinds, stove and oven exchanged or not, 30 pairs of orders of the cuts.
    Where nothing is cut, 126 of them can be told apart; each split has 42 of these for itself, so that splits share
    no table.

    Attributes:
        swapped: for ordinary foods the stove roasts and the oven fries; for odd ones if this is false.
        cuts: what is done to an ordinary food when it is told to be chopped, diced, sliced; a permutation of CUTS.
        odd: the kinds that are odd.
        odd_cuts: the same as `cuts` for odd foods; another permutation.
    """

    swapped: bool
    cuts: tuple[str, ...]
    odd: tuple[str, ...]
    odd_cuts: tuple[str, ...]

    @classmethod
    def draw(cls, split: Split, seed: int, index: int) -> CookingTable:
        """The table of a stream. The first 42 streams of a split and seed differ also where nothing is cut."""
        own = _COOKING[SPLITS.index(split) :: len(SPLITS)]
        order = generator("cooking tables", split, seed).permutation(len(own))
        swapped, odd = own[int(order[index % len(own)])]
        cuts, odd_cuts = _CUTTING[int(generator("cutting", split, seed, index).integers(len(_CUTTING)))]
        return cls(swapped, cuts, odd, odd_cuts)

    @property
    def digest(self) -> str:
        """Names the family: equal tables, equal digests."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    def is_odd(self, food: str) -> bool:
        """Whether a food, by its name, is one of those that do not follow the rules for ordinary foods."""
        return not set(self.odd).isdisjoint(food.split())

    def carried_out(self, command: str) -> str:
        """What a typed command does, in the engine's words: one-to-one, and itself if it processes nothing."""
        return self._replace(command, inverse=False)

    def shown(self, command: str) -> str:
        """How a command of the engine is offered: what has to be typed to have it carried out."""
        return self._replace(command, inverse=True)

    def _replace(self, command: str, inverse: bool) -> str:
        verb, _, rest = command.partition(" ")
        food, _, tool = rest.partition(" with ")
        odd = self.is_odd(food)
        if verb == "cook" and tool in COOKS:
            return f"cook {food} with {COOKS[COOKS.index(tool) ^ (self.swapped ^ odd)]}"
        if verb in CUTS and tool:
            done = self.odd_cuts if odd else self.cuts
            cuts: Mapping[str, str] = dict(zip(done, CUTS, strict=True) if inverse else zip(CUTS, done, strict=True))
            return f"{cuts[verb]} {food} with {tool}"
        return command


class PermutedEnvironment:
    """A cooking game in which commands do what a table says.

    What is seen is true: feedback and scene say what was done, not what was typed. So what the engine tells about the
    use of a tool, which need not be true here, cannot be asked for.

    Args:
        game: as the engine has it; closed with this one.
    """

    def __init__(self, game: Environment, table: CookingTable) -> None:
        self._game = game
        self._table = table
        self._commands: tuple[str, ...] = ()

    def reset(self) -> Observation:
        """Begin again."""
        return self._offer(self._game.reset())

    def step(self, command: str) -> Observation:
        """Carry out what one of the commands on offer means in this family.

        Raises:
            ValueError: the command is not on offer; after the end none is.
        """
        if command not in self._commands:
            raise ValueError(f"{command!r} is not among the {len(self._commands)} commands on offer")
        return self._offer(self._game.step(self._table.carried_out(command)))

    def close(self) -> None:
        """Free the game; may be called twice."""
        self._commands = ()
        self._game.close()

    def _offer(self, seen: Observation) -> Observation:
        shown = {self._table.shown(command) for command in seen.commands if not _tells_use(command)}
        self._commands = tuple(sorted(shown))
        return Observation(seen.feedback, seen.scene, seen.inventory, self._commands, seen.reward, seen.done)


def _tells_use(command: str) -> bool:
    return command.startswith("examine ") and command != "examine cookbook"
