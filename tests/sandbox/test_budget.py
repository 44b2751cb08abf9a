"""Claims about the budget alone: what waits, what is let in, what is given back."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.budget import Amount, Budget, Caps
from sandbox.calls import BudgetUsedUp

costs = st.tuples(st.integers(1, 60), st.integers(0, 60)).map(lambda pair: (max(pair), min(pair)))


@given(st.lists(costs, min_size=1, max_size=30), st.integers(0, 200))
def test_no_cap_is_ever_passed_and_only_what_cannot_be_paid_is_refused(calls: list[tuple[int, int]], cap: int) -> None:
    """Each call reserves the first of its two numbers of tokens, and spends the second."""

    async def spend() -> None:
        budget = Budget(Caps(tokens=cap), Amount())
        set_aside = 0

        async def one(reserved: int, spent: int) -> bool:
            nonlocal set_aside
            try:
                await budget.reserve(Amount(tokens=reserved))
            except BudgetUsedUp:
                assert reserved > cap - budget.spent.tokens
                return False
            set_aside += reserved
            assert budget.spent.tokens + set_aside <= cap
            await asyncio.sleep(0)
            set_aside -= reserved
            await budget.settle(Amount(tokens=reserved), Amount(tokens=spent))
            return True

        paid = await asyncio.gather(*[one(*call) for call in calls])
        assert budget.spent.tokens == sum(spent for (_, spent), came in zip(calls, paid, strict=True) if came)

    asyncio.run(spend())


def test_who_gives_up_waiting_takes_nothing() -> None:
    async def wait() -> None:
        budget = Budget(Caps(calls=1), Amount())
        await budget.reserve(Amount(1))
        waiting = [asyncio.ensure_future(budget.reserve(Amount(1))) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()  # still in the queue
        await budget.settle(Amount(1), Amount())
        waiting[1].cancel()  # its turn has come, and it does not know yet
        await asyncio.wait_for(waiting[2], 5.0)
        assert waiting[0].cancelled()
        assert waiting[1].cancelled()
        await budget.settle(Amount(1), Amount(1))
        with pytest.raises(BudgetUsedUp):
            await budget.reserve(Amount(1))

    asyncio.run(wait())


def test_what_was_spent_before_counts() -> None:
    async def ask() -> None:
        budget = Budget(Caps(dollars=0.01), Amount(3, 100, 9_999_999))
        await budget.reserve(Amount(1, 1, 1))
        await budget.settle(Amount(1, 1, 1), Amount(1, 1, 1))
        with pytest.raises(BudgetUsedUp, match=r"budget\.dollars is 0\.01, .* spent are 4 calls, 101 tokens"):
            await budget.reserve(Amount(1, 1, 1))

    asyncio.run(ask())


def test_what_costs_nobody_knows_what_is_not_told_to_cost_nothing() -> None:
    async def ask() -> None:
        with pytest.raises(BudgetUsedUp, match=r"spent are 3 calls, 100 tokens$"):
            await Budget(Caps(calls=3), Amount(3, 100)).reserve(Amount(1, 1))
        with pytest.raises(BudgetUsedUp, match=r"100 tokens, \$0\.0100$"):
            await Budget(Caps(calls=3), Amount(3, 100, 10_000_000)).reserve(Amount(1, 1))

    asyncio.run(ask())
