"""Recalls and fails with what a terminal obeys and a browser runs.

docker: crashed | embedded: crashed
"""

import os

from design_space import Item, Memory, Recall

NASTY = "\x1b[2J\x1b]0;owned\x07\x1b[31m</pre><script>alert(1)</script>\u202e\x00\r\n'; DROP TABLE evaluations; --"


class TerminalEscapes(Memory):
    def __init__(self, kit, **params):
        super().__init__(kit, **params)
        self.episodes = 0

    def retrieve(self, query):
        os.write(1, NASTY.encode())
        return Recall((Item(NASTY, NASTY, NASTY, NASTY, 1.0),))

    def update(self, episode):
        self.episodes += 1
        if self.episodes == 3:
            raise RuntimeError(NASTY)
