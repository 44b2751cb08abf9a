"""How a command ends that cannot go on: one message, what to do about it, and the exit code of that kind of failure."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from archive.errors import ArchiveDamaged, ArchiveError, ArchiveFull, ArchiveMissing, ArchiveUnwritable, UnknownDesign
from meta_agent.errors import Interrupted, MnemogenError
from meta_agent.terminal import say
from sandbox.backend import SandboxUnavailable
from sandbox.calls import BudgetUsedUp, ModelFault, NotRecorded, PriceUnknown
from sandbox.streams.base import SourceFault


@contextmanager
def ending() -> Iterator[None]:
    """End the process by a message where one of the failures is raised that are to be expected.

    SIGTERM is answered as Ctrl-C is, so that what was opened is closed: by itself it would leave containers behind.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except MnemogenError as error:
        _end(str(error), error.hint, error.code)
    except UnknownDesign as error:
        _end(str(error.args[0]), error.hint, 2)
    except SandboxUnavailable as error:
        _end(str(error), error.hint, 3)
    except SourceFault as error:
        _end(str(error), "README, 'A stream of your own', shows what a source owes", 2)
    except BudgetUsedUp as error:
        _end(str(error), error.hint, 5)
    except (PriceUnknown, NotRecorded) as error:  # of what the user gave
        _end(str(error), error.hint, 2)
    except ModelFault as error:
        _end(str(error), error.hint, 6)
    except ArchiveMissing as error:
        _end(str(error.args[0]), "`mnemogen fsck RUN` says what is left and what can be made anew", 2)
    except ArchiveFull as error:
        _end(str(error.args[0]), error.hint or "free some space; `mnemogen resume` goes on", 2)
    except (ArchiveDamaged, ArchiveUnwritable) as error:
        _end(str(error.args[0]), error.hint, 4)
    except ArchiveError as error:
        _end(str(error.args[0]), error.hint, 1)
    except OSError as error:
        full = error.errno == errno.ENOSPC
        _end(str(error), "free some space; `mnemogen resume` goes on" if full else "see the path in the message", 2)
    except KeyboardInterrupt:
        _stopped()
    except SystemExit as error:
        if error.code == Interrupted.code:  # what Typer makes of Ctrl-C, without a word
            _stopped()
        raise


def _stopped() -> None:
    _end("stopped", "`mnemogen resume` goes on with a run", Interrupted.code)


def _end(message: str, hint: str, code: int) -> None:
    say(f"error: {message}", style="red")
    if hint:
        say(f"hint: {hint}")
    sys.exit(code)
