"""Sets the machine's clock.

docker: scored | embedded: scored
"""

import ctypes
import time

from design_space import Item, Memory, Recall


def attempt(what, act):
    """What came of it, for the report."""
    try:
        return f"REACHED {what}: {act()!r}"
    except (OSError, ImportError, RuntimeError, ValueError) as error:
        return f"refused {what}: {error!r}"


libc = ctypes.CDLL(None, use_errno=True)


def adjust():
    if libc.adjtimex(ctypes.create_string_buffer(b"\1" + bytes(511))) < 0:
        raise OSError(ctypes.get_errno(), "adjtimex")


class ClockSet(Memory):
    def retrieve(self, query):
        told = [
            attempt("clock", lambda: time.clock_settime(time.CLOCK_REALTIME, 0.0)),
            attempt("adjustment", adjust),
            attempt("device", lambda: open("/dev/rtc0", "wb")),
        ]
        return Recall((Item("report", "\n".join(told)),))

    def update(self, episode):
        return
