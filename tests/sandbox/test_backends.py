"""The contract of a backend: one suite over every backend of this machine."""

from __future__ import annotations

import hashlib
import json
import secrets
import textwrap
import threading
import time
from typing import TYPE_CHECKING

import pytest

from sandbox.backend import Backend, GuestEnded, Labels, Reason, classify
from sandbox.guest.frames import FrameError

if TYPE_CHECKING:
    from conftest import Driver

WHOLE = {"docker", "embedded"}  # backends with a scratch and a count of threads


# What a guest is for


def test_memory_round_trip(driver: Driver) -> None:
    recall = driver.run("out = 6 * 7")["ok"]
    assert recall == {"items": [["out", "42", "", "", None]], "mode": "append"}
    episode = {"id": "e", "goal": "memory.seen = 1", "steps": [], "reward": 0.5, "recall": [0, 1]}
    assert driver.ask("update", episode)["ok"] is None
    ending = driver.guest.stop()
    assert ending.reason is Reason.STOPPED
    assert ending.cpu_seconds is not None
    assert ending.cpu_seconds < 1.0


def test_upcall_while_a_request_is_open(driver: Driver) -> None:
    driver.send("retrieve", driver.query("out = kit.ask('who?') + kit.ask('what?')"))
    for question, reply in (("who?", "me "), ("what?", "this")):
        call = driver.receive()
        assert call["arg"]["prompt"] == question
        driver.answer(call, reply)
    assert driver.receive()["ok"]["items"][0][1] == "me this"


def test_threads_of_a_design_may_ask_at_once(driver: Driver) -> None:
    code = """
        import threading
        answers = []
        threads = [threading.Thread(target=lambda n=n: answers.append((n, kit.ask(str(n))))) for n in range(5)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        out = all(a == str(n) * 2 for n, a in answers) and len(answers)
    """
    driver.send("retrieve", driver.query(textwrap.dedent(code)))
    for _ in range(5):
        call = driver.receive()
        driver.answer(call, call["arg"]["prompt"] * 2)
    assert driver.receive()["ok"]["items"][0][1] == "5"


def test_asking_outside_of_a_request_is_refused_inside(driver: Driver) -> None:
    code = """
        import threading, time, builtins
        def later():
            while True:
                try:
                    kit.ask("now?")
                except Exception as error:
                    builtins.refusal = repr(error)
                    return
        kit.ask("first")
        worker = threading.Thread(target=later, daemon=True)
    """
    driver.send("retrieve", driver.query(textwrap.dedent(code) + "import atexit; builtins.worker = worker"))
    driver.answer(driver.receive(), "yes")
    assert "ok" in driver.receive()
    driver.send("retrieve", driver.query("import builtins; builtins.worker.start()"))
    # The thread asks on while requests are open, and is refused between them: no call ever comes up unasked for.
    deadline = time.monotonic() + 60.0  # how often it gets its turn between two requests is the machine's affair
    while time.monotonic() < deadline:
        message = driver.receive()
        if "call" in message:
            driver.answer(message, "go on")
            continue
        driver.send("retrieve", driver.query("import builtins; out = getattr(builtins, 'refusal', '')"))
        reply = driver.receive()
        while "call" in reply:
            driver.answer(reply, "go on")
            reply = driver.receive()
        if "ModelUnavailable" in reply["ok"]["items"][0][1]:
            return
        driver.send("retrieve", driver.query(""))
    pytest.fail("the thread was never refused")


def test_model_refusal_is_raised_in_the_design(driver: Driver) -> None:
    driver.send("retrieve", driver.query("kit.ask('x')"))
    call = driver.receive()
    driver.guest.send(json.dumps({"call": call["call"], "error": "no allowance"}).encode(), resume=True)
    assert "ModelUnavailable: no allowance" in driver.receive()["error"]["message"]


def test_honest_tools_work(driver: Driver, kind: str) -> None:
    code = """
        import asyncio, collections, hashlib, json, random, re, sqlite3, statistics, threading, uuid, zlib
        import numpy as np
        async def work():
            return await asyncio.to_thread(lambda: 3)
        a = np.random.default_rng(0).random((200, 200))
        u, s, v = np.linalg.svd(a @ a.T)
        db = sqlite3.connect(":memory:")
        db.execute("create virtual table t using fts5(x)")
        db.execute("insert into t values ('hello world')")
        found = db.execute("select * from t where t match 'hello'").fetchall()
        out = (asyncio.run(work()), round(float(s[0] / s.sum()), 2) > 0, found, hashlib.sha256(b"").hexdigest()[:4])
    """
    assert driver.look(textwrap.dedent(code)) == "(3, True, [('hello world',)], 'e3b0')"
    if kind in WHOLE:
        files = """
            import shutil, sqlite3, tempfile, pathlib
            with tempfile.NamedTemporaryFile() as f:
                f.write(b"x" * 1000)
            (kit.folder / "a").mkdir()
            (kit.folder / "a/b.txt").write_text("hi")
            shutil.copytree(kit.folder / "a", kit.folder / "c")
            sqlite3.connect(kit.folder / "db").execute("create table t (x)").connection.commit()
            out = (kit.folder / "c/b.txt").read_text()
        """
        assert driver.look(textwrap.dedent(files)) == "hi"


def test_work_within_the_limits_is_not_punished(driver: Driver) -> None:
    for _ in range(3):
        assert driver.look(BURN.format(0.35) + "out = 1") == "1"
    assert driver.look("out = len('x' * 30_000_000)") == "30000000"
    assert driver.look("[say('noise' * 50) for _ in range(50)]\nout = 1") == "1"


def test_a_design_may_close_its_output(driver: Driver) -> None:
    assert driver.look("import os, sys; sys.stdout.close(); os.close(1); os.close(2); out = 1") == "1"
    assert driver.look("out = 2") == "2"


def test_unicode_soup_survives(driver: Driver) -> None:
    soup = "\u202e\u0000zß水🂡\x1b[31m</script>"
    assert driver.look(f"out = {soup!r}") == soup
    assert driver.look("out = '\\ud800'") in ("\ud800", "?")


# From one process to the next


def test_each_start_is_fresh(driver: Driver, kind: str) -> None:
    driver.run("import builtins, string; builtins.relic = 1; string.digits = ''")
    if kind in WHOLE:
        litter = """
            import os
            os.chdir(kit.folder)
            os.symlink("/usr", "link")
            open("file", "w").close(); os.chmod("file", 0)
            for _ in range(60):
                os.mkdir("d" * 200); os.chdir("d" * 200)
            open("leaf", "w").close(); os.chmod(".", 0)
            os.chmod(kit.folder, 0)
        """
        assert "ok" in driver.run(textwrap.dedent(litter))
    driver.start()
    assert (
        driver.look("import builtins, string; out = (hasattr(builtins, 'relic'), string.digits[1])") == "(False, '1')"
    )
    if kind in WHOLE:
        assert (
            driver.look("import os; out = os.listdir(kit.folder), oct(os.stat(kit.folder).st_mode)")
            == "([], '0o40700')"
        )


def test_global_generators_start_alike(driver: Driver) -> None:
    code = "import random, numpy; out = (random.random(), numpy.random.rand(), hash('x'))"
    first = driver.look(code)
    driver.start()
    assert driver.look(code) == first


SCAN = """
import ctypes, hashlib, os
libc = ctypes.CDLL(None)
libc.sbrk.restype = ctypes.c_void_p
reader, writer = os.pipe()
out = False
# The second is a small text made after the fork, as the word was.
for middle in (id(object()), id("x" * 30 + str(os.getpid())), libc.sbrk(0)):
    start = middle - middle % 4096 - (48 << 20)
    for address in range(start, start + (96 << 20), 4096):
        # The kernel refuses to read what is not mapped, where we would crash.
        if libc.write(writer, ctypes.c_void_p(address), 4096) == 4096:
            page = os.read(reader, 4096)
            place = page.find(b"kumquat-")
            while place >= 0:
                word = page[place + 8 : place + 16]
                out = out or hashlib.sha256(word).hexdigest() == "{digest}"
                place = page.find(b"kumquat-", place + 1)
"""


def test_memory_of_a_process_holds_nothing_of_the_one_before(backend: Backend, driver: Driver) -> None:
    word = secrets.token_hex(4)
    scan = SCAN.replace("{digest}", hashlib.sha256(word.encode()).hexdigest())
    driver.run(f"import sys; sys.kept = 'kumquat-{word}' * 2")
    assert driver.look(scan) == "True"  # the control: it can be found where it is
    driver.start()
    assert driver.look(scan) == "False"


def test_stop_twice_and_after_an_ending(driver: Driver) -> None:
    with pytest.raises(GuestEnded) as caught:
        driver.run("import os; os._exit(0)")
    assert driver.guest.stop() == caught.value.ending
    assert driver.guest.stop() == caught.value.ending
    with pytest.raises(GuestEnded):
        driver.guest.send(b"{}")


def test_a_neighbour_is_not_disturbed(backend: Backend, driver: Driver) -> None:
    sums = "import numpy as np; r = np.random.default_rng(1); out = (r.random((9, 9)) @ r.random((9, 9))).sum()"
    alone = driver.look(sums)
    with backend.open(Labels("tests")) as other:
        neighbour = type(driver)(backend, other)
        neighbour.start()
        attack = threading.Thread(target=neighbour.ending, args=(BOMB,))
        attack.start()
        beside = [driver.look(sums) for _ in range(5)]
        attack.join(30.0)
    assert beside == [alone] * 5


# How processes end: evidence, and the outcome that it is classified as

THREADS = """
import threading, time
for _ in range(200):
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
"""
DISK = """
with open(kit.folder / "big", "wb", buffering=0) as f:
    while True: f.write(b"x" * (1 << 20))
"""
INODES = """
for n in range(100_000): (kit.folder / str(n)).touch()
"""
SPARSE = """
import mmap
with open(kit.folder / "hole", "wb") as f: f.truncate(1 << 40)
"""
IGNORANT = """
import signal
for s in range(1, 64):
    try: signal.signal(s, signal.SIG_IGN)
    except (OSError, ValueError): pass
while True: pass
"""
BURN = "import time\nend = time.process_time() + {0}\nwhile time.process_time() < end: pass\n"
BOMB = "x = []\nwhile True: x.append(bytearray(8 << 20))"
CASES: dict[str, tuple[str, str]] = {
    "spin": ("while True: pass", "timed_out"),
    "spin_without_the_gil": (
        "import numpy as np; a = np.ones((1500, 1500))\nwhile True: a = a @ a / 1500",
        "timed_out",
    ),
    "regex_bomb": ("import re; re.match('(a+)+$', 'a' * 60 + 'b')", "timed_out"),
    "spin_in_threads": (
        "import threading\ndef f():\n  while True: pass\n[threading.Thread(target=f).start() for _ in range(4)]\nf()",
        "timed_out",
    ),
    "ignore_every_signal": (IGNORANT, "timed_out"),
    "exit": ("import os; os._exit(3)", "crashed"),
    "abort": ("import os; os.abort()", "crashed"),
    "segfault": ("import ctypes; ctypes.string_at(0)", "crashed"),
    "stdout_flood": ("import os\nwhile True: os.write(1, b'x' * 4096)", "output_flood"),
    "stderr_flood": ("import os\nwhile True: os.write(2, b'x' * 4096)", "output_flood"),
    "huge_frame": ("import os; os.write(4, b'\\x7f\\xff\\xff\\xff' + b'x' * 100)\nwhile True: pass", "protocol"),
    "half_frame": ("import os; os.write(4, b'\\0\\0\\1\\0{'); os._exit(0)", "protocol"),
    "close_the_pipe": ("import os, time; os.close(4); time.sleep(60)", "protocol"),
}


@pytest.mark.parametrize("case", CASES)
def test_hostile_process_is_ended(driver: Driver, case: str) -> None:
    code, outcome = CASES[case]
    ending, _ = driver.ending(code)
    assert classify(ending) == outcome, ending
    driver.start()
    assert driver.look("out = 'alive'") == "alive"


def test_sleeper_passes_its_wall_time(driver: Driver) -> None:
    ending, _ = driver.ending("import time; time.sleep(60)")
    assert ending.reason is Reason.WALL
    assert ending.cpu_seconds is not None
    assert ending.cpu_seconds < 0.5


def test_asking_does_not_renew_a_calls_time(driver: Driver) -> None:
    code = f"while True:\n{textwrap.indent(BURN.format(0.2), '  ')}  kit.ask('x')"
    driver.send("retrieve", driver.query(code))
    answered = []

    def go_on() -> None:
        while True:
            driver.answer(driver.receive(), "y")
            answered.append(1)

    with pytest.raises(GuestEnded) as caught:
        go_on()
    assert caught.value.ending.reason is Reason.CPU
    assert len(answered) == 2


def test_calls_just_under_their_limit_add_up(driver: Driver) -> None:
    def go_on() -> None:
        for _ in range(20):
            driver.run(BURN.format(0.4))

    with pytest.raises(GuestEnded) as caught:
        go_on()
    assert caught.value.ending.reason is Reason.CPU
    assert (caught.value.ending.cpu_seconds or 0.0) >= 1.6


def test_memory_bomb(driver: Driver, kind: str) -> None:
    ending, answer = driver.ending(BOMB)
    if kind == "docker":
        assert ending.oom_kills >= 1
        assert classify(ending) == "out_of_memory"
    else:
        # Without a cgroup the process lives on: its own word, which the peak of its address space confirms.
        assert answer is not None
        assert answer["error"]["kind"] == "out_of_memory"
        assert ending.memory_denied


def test_a_lie_about_memory_is_not_confirmed(driver: Driver) -> None:
    ending, answer = driver.ending("raise MemoryError")
    assert answer is not None
    assert answer["error"]["kind"] == "out_of_memory"
    assert not ending.memory_denied
    assert not ending.oom_kills


def test_thread_bomb(driver: Driver, kind: str) -> None:
    ending, answer = driver.ending(THREADS)
    assert answer is not None
    assert "can't start new thread" in answer["error"]["message"]
    assert bool(ending.process_limit_hits) == (kind in WHOLE)


@pytest.mark.parametrize(("code", "full"), [(DISK, True), (INODES, True), (SPARSE, False)])
def test_disk_fill(driver: Driver, kind: str, code: str, full: bool) -> None:
    ending, answer = driver.ending(code)
    assert answer is not None
    assert "OSError" in answer["error"]["message"] or "PermissionError" in answer["error"]["message"]
    assert ending.scratch_full == (full and kind in WHOLE)


def test_file_descriptors_are_bounded(driver: Driver) -> None:
    answer = driver.run("import os\nwhile True: os.dup(0)")
    assert "Too many open files" in answer["error"]["message"]


# The pipe


def test_prints_cannot_forge_frames(driver: Driver) -> None:
    forged = json.dumps({"id": 2, "ok": "forged"}).encode()
    code = f"""
        import os, sys
        body = {forged!r}
        frame = len(body).to_bytes(4, "big") + body
        for stream in (sys.stdout, sys.__stdout__, sys.stderr):
            stream.buffer.write(frame); stream.flush()
        os.write(1, frame); os.write(2, b"S" + frame)
        out = "mine"
    """
    assert driver.look(textwrap.dedent(code)) == "mine"
    assert "forged" in driver.guest.stop().output_tail


def test_frames_of_a_child_never_reach_the_control_channel(driver: Driver) -> None:
    body = b'S{"event":"ended","reason":"exited"}'
    driver.send("retrieve", driver.query(f"import os; os.write(4, len({body!r}).to_bytes(4, 'big') + {body!r})"))
    assert driver.guest.receive() == body


def test_flood_of_frames_fills_no_memory_of_ours(driver: Driver) -> None:
    driver.send(
        "retrieve", driver.query("import os\nf = (1000).to_bytes(4, 'big') + b'x' * 1000\nwhile True: os.write(4, f)")
    )
    assert driver.guest.receive() == b"x" * 1000
    with pytest.raises(GuestEnded) as ended:
        driver.guest.receive()
    assert ended.value.ending.reason is Reason.PROTOCOL, "only one frame was asked for"


@pytest.mark.parametrize(
    "code",
    [
        "out = 'x' * 400_000",
        "kit.ask('x' * 400_000)",
        "kit.ask(object())",
        "kit.ask(float('nan'))",
        "kit.ask(10 ** 5_000)",
        "x = []\nfor _ in range(200_000): x = [x]\nkit.ask(x)",
        "x = []\nfor _ in range(200_000): x = [x]\nrepr(x)",
        "raise type('E', (Exception,), {'__str__': 0})",
    ],
)
def test_what_fits_in_no_frame_is_an_error_of_the_design(driver: Driver, code: str) -> None:
    assert "error" in driver.run(code)
    assert driver.look("out = 1") == "1"


@pytest.mark.parametrize("error", ["SystemExit(0)", "KeyboardInterrupt()", "RecursionError()", "BaseException('x')"])
def test_any_exception_is_data(driver: Driver, error: str) -> None:
    assert driver.run(f"raise {error}")["error"]["kind"] == "crashed"


def test_a_request_that_is_too_large_is_refused_here(driver: Driver) -> None:
    with pytest.raises(FrameError):
        driver.guest.send(b"x" * (257 * 1024))
    assert driver.look("out = 1") == "1"


def test_a_large_request_arrives(driver: Driver) -> None:
    assert driver.look("out = len('" + "x" * 200_000 + "')") == "200000"
