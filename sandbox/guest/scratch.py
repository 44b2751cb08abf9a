"""Empties the scratch folder of whatever a design left in it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def wipe(folder: str) -> None:
    """Remove everything in `folder`: any mode, any depth; links are not followed. Nothing may be using it.

    A tree may be deeper than a path can be long, so the folders in a folder are moved up before it is removed.
    """
    Path(folder).chmod(0o700)
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        while entries := _entries(root):
            for name, is_folder in entries:
                if is_folder:
                    _remove_folder(root, name)
                else:
                    os.unlink(name, dir_fd=root)
    finally:
        os.close(root)


def _entries(folder: int) -> list[tuple[str, bool]]:
    with os.scandir(folder) as found:
        return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]


def _remove_folder(root: int, name: str) -> None:
    os.chmod(name, 0o700, dir_fd=root)
    folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=root)
    try:
        for inner, is_folder in _entries(folder):
            if is_folder:
                # To move a folder one must be allowed to write to it, since its parent is written there.
                os.chmod(inner, 0o700, dir_fd=folder)
                os.rename(inner, secrets.token_hex(8), src_dir_fd=folder, dst_dir_fd=root)
            else:
                os.unlink(inner, dir_fd=folder)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=root)
