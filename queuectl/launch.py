"""The program's entrance, which loads all the rest.

A command lives for as long as it takes to load it, so Python's search for
garbage in cycles, of which loading makes none, would be a tenth of its time.
"""

import _signal  # type: ignore[import-not-found] # of which ``signal`` is made; that takes a millisecond to load
import gc
import os

_INTERRUPTED = 130  # ``ExitCode.INTERRUPTED``, which is not loaded yet
_SEARCH_AT = 100_000  # objects: more than any command makes at its start, no more than a shell can spare


def main() -> int:
    """Run the command line; return its exit code.

    Before a command begins, and once all is done, Ctrl-C ends the process on the spot: modules in the middle of
    being loaded would swallow the exception, or show it, and so would Python at its end.
    """
    _on_interrupt(_leave)
    try:
        gc.set_threshold(_SEARCH_AT)
        from queuectl.cli import main as run

        return run(begin=lambda: _on_interrupt(_signal.default_int_handler))
    except KeyboardInterrupt:
        return _INTERRUPTED
    finally:
        _on_interrupt(_leave)
        gc.freeze()  # whatever there is goes with the process


def _on_interrupt(handler: object) -> None:
    """Have *handler* called for Ctrl-C, unless whoever started the program wants it to be ignored."""
    if callable(_signal.getsignal(_signal.SIGINT)):
        _signal.signal(_signal.SIGINT, handler)


def _leave(_number: int, _frame: object) -> None:
    os._exit(_INTERRUPTED)
