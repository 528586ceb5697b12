"""Ctrl-C while Python is still importing. This module itself imports next to nothing, so that the moment before it is short."""

import os
import signal


def end_at_once(program: str) -> None:
    """Until somebody else handles SIGINT, let it end the process with one line and exit code 130: nothing has been begun.

    The exception that Python makes of it would be a traceback through whatever is being imported, or get lost there.
    """

    def end(number: int, frame: object) -> None:
        try:  # noqa: SIM105 - contextlib would be one more import
            os.write(2, f"{program}: interrupted\n".encode())
        except OSError:  # nobody listens
            pass
        os._exit(130)

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as in a background job
        signal.signal(signal.SIGINT, end)
