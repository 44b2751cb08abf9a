"""Asks the model a thousand times at once.

docker: scored | embedded: scored
"""

import threading

from design_space import Item, Memory, ModelUnavailable, Recall


def attempt(call):
    try:
        return str(call())[:40]
    except ModelUnavailable as error:
        return f"refused: {error}"[:200]


class LlmFlood(Memory):
    def __init__(self, kit, **params):
        super().__init__(kit, **params)
        self.done = False

    def retrieve(self, query):
        if self.done:
            return Recall()
        self.done = True
        told = []

        def ask(number):
            for n in range(100):
                told.append(attempt(lambda: self.kit.ask(f"{number} {n}")))

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return Recall((Item("report", f"{len(told)} asked, {sum(t.startswith('refused') for t in told)} refused"),))

    def update(self, episode):
        return
