"""Draws from generators that nobody gave it.

docker: scored | embedded: scored
"""

import os
import random
import time
import uuid

import numpy as np
from design_space import Item, Memory, Recall


class Nondeterministic(Memory):
    def retrieve(self, query):
        rng = np.random.default_rng()
        return Recall(
            (Item(str(uuid.uuid4()), f"{random.random()} {rng.random()} {time.time()} {os.urandom(4).hex()}"),)
        )

    def update(self, episode):
        return
