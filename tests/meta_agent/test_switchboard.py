"""Claims about the line between workers and the gateway."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

from meta_agent.switchboard import Desk, RemoteModels, Switchboard
from sandbox.calls import Call, CallRefused, Message, ProviderDown, Reply


def call(number: int) -> Call:
    return Call("scope", "agent", number, (Message("user", str(number)),), 10)


class Answers:
    """What a gateway offers to a desk: every third call is refused, every fifth is a fault."""

    def submit(self, asked: Call) -> Future[Reply]:
        future: Future[Reply] = Future()
        if asked.position % 5 == 4:
            future.set_exception(ProviderDown("gone"))
        elif asked.position % 3 == 2:
            future.set_exception(CallRefused("no"))
        else:
            future.set_result(Reply(f"answer {asked.position}", 1, 1, None))
        return future


def test_every_caller_gets_the_answer_to_its_own_call() -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def wait(work):  # type: ignore[no-untyped-def]
        return asyncio.run_coroutine_threadsafe(work, loop).result(timeout=20)

    async def made() -> Switchboard:
        return Switchboard()

    board = wait(made())
    desk = Desk(
        Answers(), lambda: wait(board.take()), lambda t, a: asyncio.run_coroutine_threadsafe(board.give(t, a), loop)
    )  # type: ignore[arg-type]
    remote = RemoteModels(board.ask, wait)
    found: dict[int, object] = {}

    def ask(number: int) -> None:
        try:
            found[number] = remote.ask(call(number)).text
        except (CallRefused, ProviderDown) as error:
            found[number] = type(error)

    callers = [threading.Thread(target=ask, args=(number,)) for number in range(30)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(timeout=20)
    desk.close()
    loop.call_soon_threadsafe(loop.stop)
    thread.join(timeout=20)
    loop.close()
    assert found == {n: ProviderDown if n % 5 == 4 else CallRefused if n % 3 == 2 else f"answer {n}" for n in range(30)}
