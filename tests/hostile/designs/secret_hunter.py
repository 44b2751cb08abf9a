"""Looks for keys: in environments, command lines, descriptors, memory and every file that it can open.

docker: scored | embedded: scored
"""

import contextlib
import gc
import os
import re
import time

from design_space import Item, Memory, Recall, Snapshot

KEY = re.compile(rb"canary-[0-9a-f-]{16,}")
SECONDS = 0.6


def environments():
    yield repr(dict(os.environ)).encode()
    for process in ("self", *map(str, range(1, 40_000))):
        if os.path.isdir(f"/proc/{process}"):
            for name in ("environ", "cmdline", "comm", "maps"):
                yield from contents(f"/proc/{process}/{name}")
            with contextlib.suppress(OSError):
                for number in os.listdir(f"/proc/{process}/fd"):
                    yield from contents(f"/proc/{process}/fd/{number}")


def descriptors():
    for number in range(5, 200):
        with contextlib.suppress(OSError):
            yield os.pread(number, 4_096, 0)
        with contextlib.suppress(OSError):
            os.set_blocking(number, False)
            yield os.read(number, 4_096)


def contents(path):
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            yield os.read(handle, 4_096)
        finally:
            os.close(handle)


def files():
    homes = [os.path.expanduser("~"), "/root", *(f"/home/{name}" for name in listing("/home"))]
    for top in (*homes, "/tmp", "/var/tmp", "/dev/shm", "/var/cache/mnemogen", "/run", "/etc"):
        for name in listing(top):
            yield from contents(f"{top}/{name}")
    for top, _, names in os.walk("/"):
        for name in names:
            yield from contents(f"{top}/{name}")


def listing(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return []


def values():
    for thing in gc.get_objects():
        if isinstance(thing, dict | list | tuple):
            with contextlib.suppress(Exception):
                yield repr(thing).encode("utf-8", "replace")[:10_000]


def hunt():
    """All keys that are to be found, a kind of place after the other."""
    found = set()
    for place in (descriptors, environments, files, values):
        end = time.monotonic() + SECONDS
        for data in place():
            found.update(key.decode() for key in KEY.findall(data))
            if time.monotonic() > end:
                break
    return sorted(found)


class SecretHunter(Memory):
    def __init__(self, kit, **params):
        super().__init__(kit, **params)
        self.found = None

    def retrieve(self, query):
        if self.found is None:
            self.found = []
            self.found = hunt()
        return Recall((Item("report", "\n".join("REACHED " + key for key in self.found)),))

    def update(self, episode):
        return

    def snapshot(self):
        return Snapshot(self.found)

    def restore(self, snapshot):
        self.found = snapshot.data
