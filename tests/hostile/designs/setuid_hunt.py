"""Looks for a way to be somebody else: ids, programs that run as their owner, devices.

docker: scored | embedded: scored
"""

import os
import stat

from design_space import Item, Memory, Recall


def attempt(what, act):
    """What came of it, for the report."""
    try:
        return f"REACHED {what}: {act()!r}"
    except (OSError, ImportError, RuntimeError, ValueError) as error:
        return f"refused {what}: {error!r}"


class SetuidHunt(Memory):
    def retrieve(self, query):
        told = [
            attempt("root", lambda: os.setresuid(0, 0, 0)),
            attempt("group", lambda: os.setgroups([0])),
            attempt("sudo", lambda: os.execv("/usr/bin/sudo", ["sudo", "-n", "id"])),
            attempt("device", lambda: os.mknod(self.kit.folder / "disk", 0o60666, os.makedev(8, 0))),
            attempt("owner", lambda: os.chown("/usr/local/bin/python3", os.getuid(), -1)),
        ]
        for top, _, names in os.walk("/"):
            for name in names:
                path = os.path.join(top, name)
                if os.lstat(path).st_mode & (stat.S_ISUID | stat.S_ISGID):
                    told.append(f"REACHED {path}")
        return Recall((Item("report", "\n".join(told)),))

    def update(self, episode):
        return
