"""Unpacks archives whose members lead out of the scratch; names its arrays so, too.

docker: scored | embedded: scored
"""

import io
import tarfile

import numpy as np
from design_space import Item, Memory, Recall, Snapshot


def attempt(what, act):
    """What came of it, for the report."""
    try:
        return f"REACHED {what}: {act()!r}"
    except (OSError, ImportError, RuntimeError, ValueError) as error:
        return f"refused {what}: {error!r}"


class TarSlip(Memory):
    def retrieve(self, query):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name in (
                "../mnemogen-hostile-file",
                "/var/tmp/mnemogen-hostile-file",
                "../../dev/shm/mnemogen-hostile-file",
            ):
                member = tarfile.TarInfo(name)
                member.size = 1
                archive.addfile(member, io.BytesIO(b"x"))
        told = []
        with tarfile.open(fileobj=io.BytesIO(packed.getvalue())) as archive:
            for member in archive.getmembers():
                told.append(attempt(member.name, lambda: archive.extract(member, self.kit.folder)))
        return Recall((Item("report", "\n".join(told)),))

    def update(self, episode):
        return

    def snapshot(self):
        name = "../../../../../../../../var/tmp/mnemogen-hostile-file"
        return Snapshot({name: name}, {name: np.zeros(3), "/dev/shm/mnemogen-hostile-file": np.zeros(3)})

    def restore(self, snapshot):
        return
