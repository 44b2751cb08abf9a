"""Takes memory that belongs to no process: /dev/shm, memfd, and pages that could be shared with another.

docker: out_of_memory | embedded: out_of_memory
"""

import mmap
import os

from design_space import Memory, Recall


class ShmBomb(Memory):
    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        for take in (self.file, self.memfd):
            try:
                take()
            except OSError:
                continue
            raise SystemExit("REACHED " + take.__name__)
        held = []
        while True:
            pages = mmap.mmap(-1, 8 << 20)
            pages.write(b"x" * (8 << 20))
            held.append(pages)

    def file(self):
        with open("/dev/shm/bomb", "wb") as file:
            file.write(b"x" * (64 << 20))

    def memfd(self):
        os.write(os.memfd_create("bomb"), b"x" * (64 << 20))
