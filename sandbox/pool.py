"""Boxes that are up before anyone asks for one: made in the background, each handed out once."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable

from sandbox.backend import SandboxUnavailable
from sandbox.remote import Box


class Pool:
    """Keeps `size` boxes ready.

    Args:
        make: brings one up, which takes long; called by several threads at once.
    """

    def __init__(self, make: Callable[[], Box], size: int) -> None:
        self._make = make
        self._size = size
        self._ready: queue.SimpleQueue[Box] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._coming: set[threading.Thread] = set()
        self._closed = False

    def put(self, box: Box) -> None:
        self._ready.put(box)

    def take(self) -> Box:
        """Return a box that nobody has used.

        Raises:
            SandboxUnavailable: none can be made.
        """
        box: Box | None = None
        with contextlib.suppress(queue.Empty):
            while box is None:
                found = self._ready.get_nowait()
                if found.alive():
                    box = found
                else:
                    found.close()
        taken = box or self._make()
        self._refill()
        return taken

    def _refill(self) -> None:
        with self._lock:
            wanted = self._size - self._ready.qsize() - len(self._coming)
            if self._closed:
                return
            for _ in range(wanted):
                thread = threading.Thread(target=self._bring, name="sandbox-prestart", daemon=True)
                self._coming.add(thread)
                thread.start()

    def _bring(self) -> None:
        box: Box | None = None
        # Whoever takes the next one will make it himself, and be told why that fails.
        with contextlib.suppress(SandboxUnavailable):
            box = self._make()
        with self._lock:
            self._coming.discard(threading.current_thread())
            if box is not None and not self._closed:
                self._ready.put(box)
                return
        if box is not None:
            box.close()

    def close(self) -> None:
        """Close the boxes that nobody took."""
        with self._lock:
            self._closed = True
            coming = list(self._coming)
        for thread in coming:
            thread.join(timeout=60.0)
        with contextlib.suppress(queue.Empty):
            while True:
                self._ready.get_nowait().close()
