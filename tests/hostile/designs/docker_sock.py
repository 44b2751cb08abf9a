"""Asks the Docker daemon, or any other that listens on a path or an abstract name.

docker: scored | embedded: scored
"""

import os
import socket

from design_space import Item, Memory, Recall


def attempt(what, act):
    """What came of it, for the report."""
    try:
        return f"REACHED {what}: {act()!r}"
    except (OSError, ZeroDivisionError, ImportError, RuntimeError, ValueError) as error:
        return f"refused {what}: {error!r}"


def call(path):
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(0.2)
    connection.connect(path)
    connection.sendall(b"GET /containers/json HTTP/1.0\r\n\r\n")
    return connection.recv(1_000)


class DockerSock(Memory):
    def retrieve(self, query):
        paths = ["/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "\0/containerd-shim"]
        told = [attempt(path, lambda: call(path)) for path in paths]
        told.append(attempt("list", lambda: open("/proc/net/unix").read()))
        told.append(attempt("any", lambda: [name for name in os.listdir("/tmp") if call("/tmp/" + name)] or 1 / 0))
        return Recall((Item("report", "\n".join(told)),))

    def update(self, episode):
        return
