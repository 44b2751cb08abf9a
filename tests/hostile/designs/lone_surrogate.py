"""Fails with a message that no file can hold.

docker: crashed | embedded: crashed
"""

from design_space import Memory, Recall


class LoneSurrogate(Memory):
    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        raise ValueError("\ud800 \udfff")
