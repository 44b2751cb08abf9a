"""Is no Python.

docker: crashed | embedded: crashed
"""

from design_space import Memory, Recall


class SyntaxMistake(Memory:
    def retrieve(self, query)
        return Recall()
