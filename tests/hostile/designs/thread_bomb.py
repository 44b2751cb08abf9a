"""Starts threads until none can be started.

docker: too_many_processes | embedded: too_many_processes
"""

import threading
import time

from design_space import Memory, Recall


class ThreadBomb(Memory):
    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        while True:
            threading.Thread(target=time.sleep, args=(60.0,), daemon=True).start()
