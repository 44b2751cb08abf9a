"""Makes its pipes fail where the guest's own code waits: nothing to read is an error, and so is no room to write.

docker: crashed | embedded: crashed
"""

import fcntl
import os

from design_space import Item, Memory, Recall


class DeafPipes(Memory):
    def retrieve(self, query):
        for number in (1, 2, 3, 4):
            fcntl.fcntl(number, fcntl.F_SETFL, os.O_NONBLOCK | os.O_APPEND | os.O_DIRECT | 0o20000)
        return Recall((Item("much", "x" * 3_000),))

    def update(self, episode):
        return
