"""Takes memory, 8 MiB at a time.

docker: out_of_memory | embedded: out_of_memory
"""

from design_space import Memory, Recall


class MemoryBomb(Memory):
    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        held = []
        while True:
            held.append(bytearray(8 << 20))
