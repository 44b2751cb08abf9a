"""Prints nine tenths of what it may.

docker: scored | embedded: scored
"""

import sys

from design_space import Memory, Recall


class LogsALot(Memory):
    def retrieve(self, query):
        sys.stdout.write("noise" * int(0.9 * 64 * 1024 / 5 / 8))
        return Recall()

    def update(self, episode):
        sys.stderr.write("noise" * int(0.9 * 64 * 1024 / 5 / 8))
