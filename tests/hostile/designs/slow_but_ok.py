"""Needs nine tenths of what it may have: of time, memory, threads, files and scratch.

docker: scored | embedded: scored
"""

import threading
import time

from design_space import Item, Memory, Recall


class SlowButOk(Memory):
    def __init__(self, kit, **params):
        super().__init__(kit, **params)
        self.tasks = 0

    def retrieve(self, query):
        self.tasks += 1
        if self.tasks == 1:
            end = time.process_time() + 0.9
            while time.process_time() < end:
                pass
        if self.tasks == 2:
            time.sleep(1.8)
        return Recall((Item("1", str(self.use() if self.tasks == 3 else 0)),))

    def use(self):
        held = bytearray(b"x") * int(0.85 * 256 * 2**20)
        files = [open("/dev/null", "rb") for _ in range(int(0.9 * 64) - 5)]
        (self.kit.folder / "notes").write_bytes(b"x" * int(0.9 * 4 * 2**20))
        gate = threading.Event()
        threads = [threading.Thread(target=gate.wait) for _ in range(int(0.9 * 16) - 1)]
        for thread in threads:
            thread.start()
        gate.set()
        for thread in threads:
            thread.join()
        for file in files:
            file.close()
        (self.kit.folder / "notes").unlink()
        return len(held)

    def update(self, episode):
        return
