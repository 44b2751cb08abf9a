"""Computes with numpy on as many threads as it likes.

docker: scored | embedded: scored
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from design_space import Item, Memory, Recall


class NumpyThreads(Memory):
    def retrieve(self, query):
        def work(seed):
            square = np.random.default_rng(seed).random((150, 150))
            return float(np.linalg.svd(square @ square.T)[1].sum())

        with ThreadPoolExecutor(8) as pool:
            total = sum(pool.map(work, range(8)))
        return Recall((Item("1", str(round(total))),))

    def update(self, episode):
        return
