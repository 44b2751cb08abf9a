"""What may be spent on models, and what is: reserved before a call, settled after it, so that no cap is overshot."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from sandbox.calls import BudgetUsedUp

NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Amount:
    """Something to be spent. Dollars are counted in whole billionths: sums of them are exact."""

    calls: int = 0
    tokens: int = 0
    nanodollars: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.calls + other.calls, self.tokens + other.tokens, self.nanodollars + other.nanodollars)

    def __sub__(self, other: Amount) -> Amount:
        return self + Amount(-other.calls, -other.tokens, -other.nanodollars)

    @property
    def dollars(self) -> float:
        return self.nanodollars / NANO


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that may be spent; None is no cap."""

    calls: int | None = None
    tokens: int | None = None
    dollars: float | None = None

    def breach(self, amount: Amount) -> str:
        """The first cap that the amount would pass, empty if none."""
        if self.calls is not None and amount.calls > self.calls:
            return f"budget.calls is {self.calls}"
        if self.tokens is not None and amount.tokens > self.tokens:
            return f"budget.tokens is {self.tokens}"
        if self.dollars is not None and amount.nanodollars > int(self.dollars * NANO):
            return f"budget.dollars is {self.dollars:g}"
        return ""


class Budget:
    """The one authority on what a run spends. Lives on one event loop.

    A call that does not fit beside what others have reserved waits for them, since most give back the greater part.
    Those who wait come in the order in which they asked; what is given back costs no more the longer their queue is.

    Args:
        spent: by earlier sessions; calls that a crash cut off stay charged at their reservation.
    """

    def __init__(self, caps: Caps, spent: Amount) -> None:
        self._caps = caps
        self._spent = spent
        self._reserved = Amount()
        self._queue: deque[tuple[Amount, asyncio.Future[None]]] = deque()

    @property
    def spent(self) -> Amount:
        return self._spent

    async def reserve(self, amount: Amount) -> None:
        """Set something aside; `settle` must follow.

        Raises:
            BudgetUsedUp: it does not fit, also when nobody else has anything reserved.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((amount, turn))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.exception() is None:
                # Its turn and its end came at once.
                self._reserved -= amount
            self._admit()
            raise

    async def settle(self, reserved: Amount, spent: Amount) -> None:
        """Replace a reservation by what the call has cost."""
        self._reserved -= reserved
        self._spent += spent
        self._admit()

    def _admit(self) -> None:
        """Give those who wait what they want, as far as it is there."""
        while self._queue:
            amount, turn = self._queue[0]
            if not turn.done():
                breach = self._caps.breach(self._spent + self._reserved + amount)
                if breach and self._reserved != Amount():
                    return
                if breach:
                    turn.set_exception(self._used_up(breach))
                else:
                    self._reserved += amount
                    turn.set_result(None)
            self._queue.popleft()

    def _used_up(self, breach: str) -> BudgetUsedUp:
        left = f"spent are {self._spent.calls} calls, {self._spent.tokens} tokens"
        if self._spent.nanodollars:  # else they were for nothing, or nobody knows their price
            left += f", ${self._spent.dollars:.4f}"
        return BudgetUsedUp(
            f"{breach}, which does not pay for the next call; {left}",
            "`mnemogen resume RUN --set KEY=VALUE` goes on with a higher one",
        )
