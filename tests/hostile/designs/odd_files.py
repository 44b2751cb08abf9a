"""Leaves files and folders in its scratch that are hard to name, to enter or to remove.

docker: scored | embedded: scored
"""

import os

from design_space import Item, Memory, Recall

NAMES = (b"\xff\xfe\x80", b"two\nlines", b"-rf", b"~", b"\x1b[2J", b"x" * 255, b"\\", b" ", b"*", b"..  ")


class OddFiles(Memory):
    def __init__(self, kit, **params):
        super().__init__(kit, **params)
        self.top = os.fsencode(kit.folder)
        self.made = 0

    def retrieve(self, query):
        return Recall((Item("made", str(self.made)),))

    def update(self, episode):
        if self.made:
            return
        for name in NAMES:
            path = os.path.join(self.top, name, name)
            os.makedirs(path)
            with open(os.path.join(path, b"file"), "w") as file:
                os.fchmod(file.fileno(), 0)
            self.made += 1
        for name in NAMES:
            os.link(os.path.join(self.top, name, name, b"file"), os.path.join(self.top, name, b"again"))
            os.symlink(b"/proc/1/root", os.path.join(self.top, name, b"link"))

    def snapshot(self):
        for top, folders, _ in os.walk(os.fsencode(self.kit.folder), topdown=False):
            for name in folders:
                path = os.path.join(top, name)
                if not os.path.islink(path):
                    os.utime(path, (2**33, 2**33))
                    os.chmod(path, 0)
        os.chmod(self.kit.folder, 0)
        return super().snapshot()

    def restore(self, snapshot):
        return
