"""Which backend a machine gets."""

from __future__ import annotations

from typing import Literal

from sandbox.backend import Backend, Limits, SandboxUnavailable

Kind = Literal["auto", "docker", "embedded"]
_DAEMON_SECONDS = 2.0


def choose(
    kind: Kind,
    limits: Limits,
    run: str = "",
    prestart: int = 1,
    runtime: str | None = None,
    extras: tuple[str, ...] = (),
) -> Backend:
    """Return the backend `kind`; ``auto`` is Docker where a daemon answers, else the embedded one.

    Args:
        run: name of the run, by which a reaper finds what is left of it.
        prestart: sandboxes kept ready for the next designs.
        runtime: of Docker, such as ``runsc``; None is the daemon's default.
        extras: what the sandbox holds on top, see `sandbox.bundle`; its digest, and so every score's key, is another.

    Raises:
        SandboxUnavailable: this machine cannot have it.
    """
    if kind == "embedded" or (kind == "auto" and runtime is None and not _daemon_answers()):
        from sandbox.embedded_backend import EmbeddedBackend

        return EmbeddedBackend(limits, run, prestart, extras=extras)
    from sandbox.docker_backend import DockerBackend

    return DockerBackend(limits, run, prestart, runtime, extras=extras)


def _daemon_answers() -> bool:
    # The SDK takes a tenth of a second to import: not where it is not needed.
    from sandbox.docker_backend import connect

    try:
        connect(_DAEMON_SECONDS).close()
    except SandboxUnavailable:
        return False
    return True
