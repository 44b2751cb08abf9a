"""What a design must not reach: each probe says what it got, and every answer must be a refusal."""

from __future__ import annotations

import os
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox.backend import Backend, Labels
from sandbox.guest import calls, seccomp
from sandbox.namespaces import NOBODY

if TYPE_CHECKING:
    from conftest import Driver

PRELUDE = """
import ctypes, errno, os, platform, signal, socket, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def probe():
{body}
try:
    out = "reached: " + repr(probe())[:200]
except (OSError, ModuleNotFoundError, RuntimeError) as error:
    out = "refused: " + repr(error)
"""
X86 = {
    "mount": "return call(165, b'none', b'/tmp', b'tmpfs', 0, None)",
    "io_uring": "return call(425, 8, ctypes.create_string_buffer(120))",
    "bpf": "return call(321, 0, None, 0)",
    "userfaultfd": "return call(323, 0)",
    "perf_event_open": "return call(298, ctypes.create_string_buffer(128), 0, -1, -1, 0)",
    "keyctl": "return call(250, 0, -3, 0)",
    "sysv_shared_memory": "return call(29, 0, 1 << 20, 0o1666)",
    "message_queue": "return call(240, b'queue', 0o102, 0o666, None)",
    "memfd": "return os.memfd_create('x')",
    "ptrace": "return call(101, 16, 1, 0, 0)",
    "ptrace_traceme": "return call(101, 0, 0, 0, 0)",
    "read_other_memory": "return call(310, 1, None, 0, None, 0, 0)",
    "limits_of_the_supervisor": "return call(302, os.getppid(), 7, None, ctypes.create_string_buffer(16))",
    "renice_the_supervisor": "return os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
    "clone_a_process": "return call(56, 17, 0, 0, 0, 0)",
    "clone3_a_process": "return call(435, ctypes.create_string_buffer(88), 88)",
    "vfork": "return call(58)",
    "x32": "return call(0x40000000 + 39)",
    "pidfd": "return os.pidfd_open(os.getppid())",
    "set_clock": "import time; return time.clock_settime(time.CLOCK_REALTIME, 0)",
    "new_namespace": "return call(272, 0x10000000)",
    "seccomp_again": "return call(317, 1, 0, None)",
}
PROBES = {
    "fork": "return os.fork()",
    "exec": "return os.execv(sys.executable or '/usr/local/bin/python3', ['x'])",
    "subprocess": "return subprocess.run(['/usr/local/bin/python3', '-c', ''])",
    "posix_spawn": "return os.posix_spawn('/usr/local/bin/python3', ['x'], {})",
    "tcp": "return socket.create_connection(('1.1.1.1', 53), 2)",
    "loopback": "return socket.create_connection(('127.0.0.1', 6379), 2)",
    "metadata": "return socket.create_connection(('169.254.169.254', 80), 2)",
    "dns": "return socket.gethostbyname('example.com')",
    "udp": "return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('1.1.1.1', 53))",
    "unix_socket": "return socket.socket(socket.AF_UNIX).connect('/var/run/docker.sock')",
    "datagram_pair": "return socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)",
    "netlink": "return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)",
    "vsock": "return socket.socket(40, socket.SOCK_STREAM)",
    "raw": "return socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "kill_init": "return os.kill(1, signal.SIGKILL)",
    "kill_all": "return os.kill(-1, signal.SIGKILL)",
    "kill_group": "return os.killpg(0, signal.SIGKILL)",
    "kill_parent": "return os.kill(os.getppid(), signal.SIGSTOP)",
    "signal_by_owner": "import fcntl; r, w = os.pipe(); return fcntl.fcntl(r, 8, os.getppid())",
    "environ_of_others": "return [open(f'/proc/{n}/environ').read() for n in (1, os.getppid())]",
    "own_environ": "return open('/proc/self/environ').read()",
    "list_processes": "return os.listdir('/proc')",
    "memory_of_others": "return open(f'/proc/{os.getppid()}/mem', 'rb')",
    "descriptors_of_others": "return os.listdir(f'/proc/{os.getppid()}/fd')",
    "chroot": "return os.chroot('/tmp')",
    "setuid": "return os.setuid(0)",
    "etc": "return open('/etc/passwd').read()",
    "home": "return os.listdir('/root')",
    "project": f"return os.listdir({str(Path(__file__).parents[2])!r})",
    "sys": "return os.listdir('/sys')",
    "root_folder": "return os.listdir('/')",
    "write_root": "return open('/x', 'w')",
    "write_packages": "import numpy; return open(numpy.__file__, 'a')",
    "write_guest": "import sandbox.guest.host as h; return open(h.__file__, 'a')",
    "write_shm": "return open('/dev/shm/x', 'w')",
    "write_var_tmp": "return open('/var/tmp/x', 'w')",
    "link_out": "os.symlink('/etc', '/tmp/out'); return open('/tmp/out/passwd').read()",
    "device": "return os.mknod('/tmp/disk', 0o60666, os.makedev(8, 0))",
    "streams": "import sandbox.streams; return sandbox.streams",
    "backend": "import sandbox.backend; return sandbox.backend",
    "evaluate": "import sandbox.evaluate; return sandbox.evaluate",
    "catalogue": "import design_space.catalogue; return design_space.catalogue",
    "archive": "import archive; return archive",
    "docker": "import docker; return docker",
    "litellm": "import litellm; return litellm",
    "pip": "import pip; return pip",
}


def _probe(driver: Driver, body: str) -> str:
    return driver.look(PRELUDE.format(body=textwrap.indent(body, "    ")))


def test_every_probe_is_refused(driver: Driver) -> None:
    probes = PROBES | (X86 if seccomp.machine() == calls.X86_64 else {})
    got = {}
    for name, body in probes.items():
        got[name] = _probe(driver, body)
    assert {name: answer for name, answer in got.items() if not answer.startswith("refused: ")} == {}
    assert len(got) > 50


def test_probes_can_succeed(driver: Driver) -> None:
    """The control: what is allowed is not refused, so a refusal above means something."""
    assert _probe(driver, "return os.getpid()").startswith("reached: ")
    assert _probe(driver, "return call(39) == os.getpid()") == "reached: True" or seccomp.machine() != calls.X86_64
    assert _probe(driver, "import numpy; return len(open(numpy.__file__).read()) > 9") == "reached: True"
    assert _probe(driver, "import design_space.parts; return 1") == "reached: 1"
    assert _probe(driver, "return socket.socketpair() and 1") == "reached: 1"
    assert _probe(driver, "return os.kill(os.getpid(), 0)") == "reached: None"


def test_descriptors_are_its_own_only(driver: Driver) -> None:
    code = "import os\nout = []\nfor n in range(200):\n  try: os.fstat(n); out.append(n)\n  except OSError: pass"
    assert driver.look(code) == "[0, 1, 2, 3, 4]"


def test_every_layer_is_in_force_here(backend: Backend) -> None:
    assert "seccomp" in backend.name
    assert backend.caveat
    assert backend.digest


def test_planted_secrets_are_not_found(
    backend: Backend,
    driver: Driver,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    canary = "canary-7f3a91"
    monkeypatch.setenv("OPENAI_API_KEY", canary)
    planted = tmp_path_factory.mktemp("secrets") / "key.txt"
    planted.write_text(canary)
    planted.chmod(0o644)
    with backend.open(Labels("tests")) as one, backend.open(Labels("tests")) as other:
        for guest in (one, other):  # the second was made after the secret was in our environment
            fresh = type(driver)(backend, guest)
            fresh.start()
            assert canary not in fresh.look("import os; out = dict(os.environ)")
            assert "refused" in _probe(fresh, f"return open({str(planted)!r}).read()")
    walk = """
        import os
        found, looked = [], 0
        for top, folders, files in os.walk("/", onerror=None):
            for name in files:
                looked += 1
                path = os.path.join(top, name)
                try:
                    if os.path.getsize(path) < 4096 and "canary-" + "7f3a91" in open(path, errors="replace").read():
                        found.append(path)
                except OSError:
                    pass
        for folder in ("/usr/local/bin", "/opt"):
            for top, folders, files in os.walk(folder):
                looked += len(files)
        out = found
    """
    assert driver.look(textwrap.dedent(walk)) == "[]"


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that every user may enter, which those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="mnemogen-test-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


def test_files_of_the_machine_keep_their_modes_times_and_sizes(driver: Driver, folder: Path) -> None:
    """Landlock does not deny these, and without namespaces the design's user may own files of the machine."""
    theirs = folder / "file"
    theirs.write_text("content")
    if os.geteuid() == 0:
        os.chown(theirs, NOBODY, NOBODY)
    theirs.chmod(0o600)
    os.utime(theirs, (1, 1))
    for change in ("os.chmod(path, 0o666)", "os.utime(path, (2, 2))", "os.utime(path)", "os.truncate(path, 0)"):
        said = _probe(driver, f"path = {str(theirs)!r}; return {change}")
        assert said.startswith("refused: "), change
    state = theirs.stat()
    assert (state.st_mode & 0o777, state.st_mtime, state.st_size) == (0o600, 1.0, len("content"))


def test_locks_of_one_sandbox_are_not_felt_in_another(backend: Backend, driver: Driver) -> None:
    """They see the same files, which they read only: a lock on one would be a word to the other."""
    take = """
        import fcntl, os, struct
        out = []
        file = open(os.__file__, "rb")
        for number in (6, 7, 37):
            fcntl.fcntl(file, number, struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 0, 0, 0))
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        import builtins; builtins.kept = file
    """
    feel = """
        import fcntl, os, struct
        file, asked = open(os.__file__, "rb"), struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        out = [fcntl.fcntl(file, number, asked) == asked for number in (5, 36)]
    """
    driver.look(textwrap.dedent(take))
    with backend.open(Labels("tests")) as guest:
        other = type(driver)(backend, guest)
        other.start()
        assert other.look(textwrap.dedent(feel)) == "[True, True]"


def test_filter_names_every_call_once() -> None:
    for architecture in (calls.X86_64, calls.AARCH64):
        numbers = calls.unconditional(architecture, scratch=True)
        assert len(set(numbers)) == len(numbers)
        program = seccomp.program(architecture, 7, scratch=True)
        assert program[-1] == (0x06, 0, 0, 0x00050000 | 1)
        for place, (code, if_true, if_false, _) in enumerate(program):
            if code == 0x15:
                assert place + 1 + max(if_true, if_false) < len(program)
                assert max(if_true, if_false) < 256
