"""Games of the TextWorld engine, made by seed and kept in a cache folder (Côté et al. 2018, arXiv 1806.11532).

GameCache.make() has the missing games made (about 1 s each) by a process of its own, which runs make_games().
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

Challenge = Literal["cooking", "coin collector", "treasure hunter"]
ENGINE_NAMES: Mapping[Challenge, str] = {
    "cooking": "tw-cooking",
    "coin collector": "tw-coin_collector",
    "treasure hunter": "tw-treasure_hunter",
}

_LAYOUT = 1  # of a game's folder; part of its name in the cache
_SERIAL = slice(0x12, 0x18)  # of a Z-machine story file: the date of compilation

_START_SECONDS = 120.0  # what the generating process may take before its first game, and for each game
_GAME_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Game:
    """One game before it is made.

    Attributes:
        challenge: which of the engine's.
        options: its settings, in the engine's words.
        seed: of the engine.
    """

    challenge: Challenge
    options: Mapping[str, Any]
    seed: int

    @property
    def key(self) -> str:
        """Its name in the cache; equal keys, equal bytes."""
        content: list[object] = [engine_version(), _LAYOUT, dict(self.options), self.seed]
        if self.challenge != "cooking":  # which came first, and whose options are like no other's
            content.append(self.challenge)
        return hashlib.sha256(canonical(content).encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class Treasure:
    """What a game of coin collector or treasure hunter is about.

    Attributes:
        wanted: taking it wins.
        cursed: taking it loses; None if there is nothing of the kind.
    """

    wanted: str
    cursed: str | None


class GameCache:
    """Games in a folder, a subfolder each, about 0.5 MB.

    Several processes may use one cache at once: a game appears in it whole, and who comes second waits for the first.

    Args:
        root: default $XDG_CACHE_HOME/mnemogen/textworld.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root if root is not None else _default_root()

    def story(self, game: Game) -> Path:
        """Where the game that the interpreter starts is, or will be."""
        return self._folder(game) / "game.z8"

    def treasure(self, game: Game) -> Treasure:
        """What wins and what loses a game that is made, of either challenge with a treasure."""
        made = json.loads((self._folder(game) / "game.json").read_text(encoding="utf-8"))
        (quest,) = made["quests"]
        names = {identifier: info["name"] for identifier, info in made["infos"]}

        def taken(events: Sequence[Any]) -> str | None:
            found = [
                fact["arguments"][0]["name"]
                for event in events
                for fact in event["condition"]["preconditions"]
                if fact["name"] == "in" and fact["arguments"][1]["type"] == "I"
            ]
            return names[found[-1]] if found else None

        wanted = taken(quest["win_events"])
        if wanted is None:
            raise ValueError(f"the game {game.key} is not won by taking something")
        return Treasure(wanted, taken(quest["fail_events"]))

    def make(self, games: Sequence[Game]) -> None:
        """Make those games that are missing.

        Raises:
            ValueError: the engine is not installed.
            RuntimeError: the engine could not make a game.
        """
        if not self._missing(games):
            return
        locks = self.root / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        batch = hashlib.sha256("".join(game.key for game in games).encode()).hexdigest()[:16]
        # The lock only saves work; that a game is whole is owed to the rename in make_games.
        with FileLock(locks / batch), tempfile.TemporaryDirectory(prefix=".making-", dir=self.root) as scratch:
            missing = self._missing(games)
            if missing:
                orders = [
                    {
                        "challenge": ENGINE_NAMES[game.challenge],
                        "options": dict(game.options),
                        "seed": game.seed,
                        "folder": str(self._folder(game).resolve()),
                    }
                    for game in missing
                ]
                _run_generator(orders, Path(scratch).resolve())

    def _folder(self, game: Game) -> Path:
        return self.root / game.key

    def _missing(self, games: Iterable[Game]) -> list[Game]:
        return [game for game in games if not self._folder(game).is_dir()]


def engine_version() -> str:
    """The engine's version; part of a game's key.

    Raises:
        ValueError: the engine is not installed.
    """
    try:
        return importlib.metadata.version("textworld")
    except importlib.metadata.PackageNotFoundError as error:
        raise ValueError(
            "the stream 'textworld' needs the TextWorld engine; hint: pip install 'mnemogen[textworld]'"
        ) from error


def canonical(value: object) -> str:
    """The one JSON text of a value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _default_root() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser() / "mnemogen" / "textworld"


def _run_generator(orders: Sequence[Mapping[str, Any]], scratch: Path) -> None:
    """Make games in a process of its own: bytes depend on PYTHONHASHSEED, and one method of the engine is replaced."""
    path = [str(Path(entry).resolve()) for entry in sys.path]
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": os.pathsep.join(path), "TMPDIR": str(scratch)}
    process = subprocess.Popen(
        [sys.executable, "-c", "from sandbox.streams.textworld_games import make_games; make_games()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=scratch,
        env=environment,
        start_new_session=True,
    )
    timeout = _START_SECONDS + _GAME_SECONDS * len(orders)
    try:
        _, errors = process.communicate(json.dumps(orders), timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"making {len(orders)} TextWorld games took more than {timeout:.0f} s") from error
    finally:
        if process.poll() is None:  # the compilers of Inform are its children
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode != 0:
        raise RuntimeError(f"TextWorld could not make a game (exit {process.returncode}): {errors.strip()[-2000:]}")


def make_games() -> None:
    """Make the games ordered on stdin (JSON) below the current folder and move each to its place.

    Only for a process of its own, with PYTHONHASHSEED=0. The challenge would compile each game twice, the first time to
    note a walkthrough, which nobody here reads; leaving that out halves the time and changes no byte of game.z8.
    """
    import textworld
    import textworld.challenges
    import textworld.generator

    textworld.GameMaker.set_walkthrough = lambda self, commands: None
    for order in json.load(sys.stdin):
        _, make, _ = textworld.challenges.CHALLENGES[order["challenge"]]
        making = Path(tempfile.mkdtemp(prefix="game-", dir=Path.cwd())) / "game"
        making.mkdir()
        options = textworld.GameOptions()
        options.seeds = order["seed"]
        options.path = str(making / "game.z8")
        textworld.generator.compile_game(make(order["options"], options), options)
        (making / "game.ni").unlink()
        story = bytearray((making / "game.z8").read_bytes())
        story[_SERIAL] = b"000000"  # the compiler writes today's date; the header is not part of the checksum
        (making / "game.z8").write_bytes(story)
        try:
            making.rename(order["folder"])
        except OSError:  # another process was first; its bytes are the same
            if not Path(order["folder"]).is_dir():
                raise
            shutil.rmtree(making)
