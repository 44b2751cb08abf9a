"""Asks the cloud for the credentials of the machine.

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


def get(host):
    connection = socket.create_connection((host, 80), 0.2)
    connection.sendall(b"GET /latest/meta-data/iam/security-credentials/ HTTP/1.0\r\n\r\n")
    return connection.recv(1_000)


class MetadataIp(Memory):
    def retrieve(self, query):
        hosts = ("169.254.169.254", "fd00:ec2::254", "169.254.170.2", "100.100.100.200", "metadata.google.internal")
        return Recall((Item("report", "\n".join(attempt(host, lambda: get(host)) for host in hosts)),))

    def update(self, episode):
        return
