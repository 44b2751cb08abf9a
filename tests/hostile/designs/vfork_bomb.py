"""Forks past the C library, by every call that makes a process; each is refused.

docker: crashed | embedded: crashed
"""

import ctypes
import os
import platform

from design_space import Memory, Recall

libc = ctypes.CDLL(None, use_errno=True)
CALLS = {"x86_64": (57, 58, 56), "aarch64": (220,)}  # fork, vfork, clone


class VforkBomb(Memory):
    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        for number in CALLS[platform.machine()]:
            if libc.syscall(ctypes.c_long(number), ctypes.c_long(17), 0, 0, 0, 0) == 0:
                os._exit(0)
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
