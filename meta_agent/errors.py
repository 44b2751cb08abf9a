"""What ends a command, with the exit code that scripts see.

MnemogenError (1)
├── BadInput (2)          what the user gave cannot be used; nothing was changed
├── RunBusy (2)           another process holds the run's folder
├── LeakAlarm (7)         a design knows answers that nobody can know; the run's scores mean nothing
└── Interrupted (130)     stopped by a signal; `resume` goes on
"""

from __future__ import annotations


class MnemogenError(Exception):
    """Ends a command.

    Args:
        hint: what to do about it.
    """

    code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class BadInput(MnemogenError):
    code = 2


class RunBusy(MnemogenError):
    code = 2


class LeakAlarm(MnemogenError):
    code = 7


class Interrupted(MnemogenError):
    code = 130
