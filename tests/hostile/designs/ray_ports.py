"""Looks for a Ray cluster, a database or anything else on the machine's own address.

docker: scored | embedded: scored
"""

import socket

from design_space import Item, Memory, Recall


def attempt(what, act):
    """What came of it, for the report."""
    try:
        return f"REACHED {what}: {act()!r}"
    except (OSError, ImportError, RuntimeError, ValueError) as error:
        return f"refused {what}: {error!r}"


class RayPorts(Memory):
    def retrieve(self, query):
        told = set()
        for port in (6379, 8265, 10001, 8076, 5432, *range(1_024, 65_536, 5)):
            told.add(attempt("a port", lambda port=port: socket.create_connection(("127.0.0.1", port), 0.05)))
        return Recall((Item("report", "\n".join(sorted(told))),))

    def update(self, episode):
        return
