"""Fails when a task earned little, in the hope of being tried again.

docker: crashed | embedded: crashed
"""

from design_space import Memory, Recall


class CrashIfLosing(Memory):
    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        if (episode.reward or 0.0) < 1.0:
            raise RuntimeError("once more, please")
