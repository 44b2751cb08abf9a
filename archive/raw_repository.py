"""A run's repository, read without git: its refs, and the designs that its commits hold."""

from __future__ import annotations

import re
from pathlib import Path

from archive.card import Card
from archive.objects import GitObject, ObjectStore
from archive.repository import EPOCH, PERSON, REPOSITORY_CONFIG
from design_space import Design

HEAD = "ref: refs/heads/main\n"
CONFIG = REPOSITORY_CONFIG
DESIGNS, TAGS, MAIN = "refs/designs/", "refs/tags/", "refs/heads/main"
_PACKED = re.compile(rb"([0-9a-fA-F]{40}) (refs/[^\x00-\x20\x7f~^:?*\[\\]+)")
_REFUSED = re.compile(rb"\.\.|//|/\.|@\{|\.lock(/|$)|[./]$")  # by git, in names of refs


class Refs:
    """The refs of a repository, read without git.

    Attributes:
        names: the object that each names.
        damaged: files that are not what was written.
    """

    def __init__(self, repository: Path) -> None:
        self.names: dict[str, str] = {}
        self.damaged: dict[Path, str] = {}
        packed = repository / "packed-refs"
        if packed.is_file():
            self._read_packed(packed)
        for path in sorted((repository / "refs").rglob("*")):
            if path.is_file() and path.suffix != ".lock":
                content = path.read_bytes()
                if re.fullmatch(rb"[0-9a-fA-F]{40}\n", content):
                    self.names[path.relative_to(repository).as_posix()] = content[:40].decode().lower()
                elif not content.startswith(b"ref: refs/"):
                    self.damaged[path] = "it names no commit"

    def _read_packed(self, path: Path) -> None:
        content = path.read_bytes()
        lines = content.split(b"\n")
        names = []
        for number, line in enumerate(lines[:-1], 1):
            if (match := _PACKED.fullmatch(line)) and not _REFUSED.search(line):
                names.append(match[2])
                self.names[match[2].decode("utf-8", "replace")] = match[1].decode().lower()
            elif not line.startswith((b"# pack-refs with:", b"^")):
                self.damaged[path] = f"line {number} is not what was written"
        if lines[-1]:
            self.damaged[path] = "its last line is cut off"
        elif names != sorted(set(names)):
            self.damaged.setdefault(path, "its lines are not in order")


def read_design(store: ObjectStore, commit: str) -> tuple[Card, Design, list[str]]:
    """Return a design, its card and its parents' commits.

    Raises:
        ValueError: an object is missing, or it holds no design.
    """
    head = _object(store, commit, "commit").partition(b"\n\n")[0].decode("utf-8", "replace").splitlines()
    tree = _object(store, head[0].removeprefix("tree "), "tree")
    files = {name.decode(): sha.hex() for name, sha in re.findall(rb"100644 ([\w.]+)\0(.{20})", tree, re.DOTALL)}
    if set(files) != {"card.json", "design.py"}:
        raise ValueError(f"commit {commit} holds the files {sorted(files)}")
    source, text = (_object(store, files[name], f"blob of {name}") for name in ("design.py", "card.json"))
    card = Card.from_json(text.decode("ascii"))
    design = Design(source.decode("utf-8", "surrogatepass"), card.params, card.name)
    if design.id != card.id:
        raise ValueError(f"its source does not hash to its id {card.id}, but to {design.id}")
    return card, design, [line[7:] for line in head if line.startswith("parent ")]


def sequence_of(store: ObjectStore, commit: str) -> int:
    """The sequence number of a design, by the date of its commit; -1 if there is no such commit."""
    found = store.objects.get(commit)
    match = re.search(rb"^committer .* (\d+) \+0000$", b"" if found is None else found.content, re.MULTILINE)
    return int(match[1]) - EPOCH if match else -1


def _object(store: ObjectStore, sha: str, what: str) -> bytes:
    found = store.objects.get(sha)
    if found is None or found.kind != what.split()[0]:
        raise ValueError(f"{what} {sha} is missing or damaged")
    return found.content


def commit_objects(card: Card, design: Design, parents: list[str]) -> list[GitObject]:
    """Return the objects that `Repository.commit` makes of a design, the commit last."""
    source = GitObject("blob", design.source.encode("utf-8", "surrogatepass"))
    text = GitObject("blob", card.to_json().encode())
    files = (("card.json", text), ("design.py", source))
    tree = GitObject("tree", b"".join(b"100644 %s\0%s" % (n.encode(), bytes.fromhex(f.sha)) for n, f in files))
    person = f"{PERSON} {EPOCH + card.sequence} +0000"
    operator = f" [{card.operator}]" if card.operator else ""
    lines = [f"tree {tree.sha}", *(f"parent {parent}" for parent in parents)]
    lines += [f"author {person}", f"committer {person}", "", f"{card.name}{operator}", "", f"Design: {card.id}", ""]
    return [source, text, tree, GitObject("commit", "\n".join(lines).encode())]


def leftovers(repository: Path) -> list[Path]:
    """Files that a git which was killed has left behind."""
    locks = [*repository.glob("*.lock"), *(repository / "refs").rglob("*.lock"), *repository.glob("packed-refs.new")]
    return sorted([*locks, *(repository / "objects").rglob("tmp_*")])
