"""Makes time stand still, for whoever measures it beside the design.

docker: scored | embedded: scored
"""

import time

from design_space import Item, Memory, Recall

for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time", "time_ns", "monotonic_ns"):
    setattr(time, name, lambda: 0)
time.sleep = lambda seconds: None


class PatchTime(Memory):
    def retrieve(self, query):
        return Recall((Item("1", f"it is {time.time()}"),))

    def update(self, episode):
        return
