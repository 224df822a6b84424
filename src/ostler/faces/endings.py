"""The exit status of the command, and how it reports an error that no verb expects."""

import os
import sys
from collections.abc import Callable

from ostler.faces.output import complain
from ostler.model.errors import OstlerError

_FAILED = 1
INTERRUPTED = 130
"""The exit status of a command that Ctrl-C ended."""


def status_of(run: Callable[[], int]) -> int:
    """Run the command in `run` and return its exit status."""
    try:
        return run()
    except OstlerError as error:
        complain(str(error))
        return _FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has left (`ostler ps | head`): nothing more to say, not even at exit.
        sys.stdout = None
        return 0
    except OSError as error:
        # The system refuses a file that no verb expects it to: the user's matter, and no bug.
        if not error.filename and _is_folder_gone():
            complain("the folder that you are in does not exist any more. Next: change to another one, or name it")
            return _FAILED
        at = f"{error.filename!r} cannot be used" if error.filename else "the system refused something"
        complain(f"{at}: {error.strerror or error}. Next: correct it, or use other folders (--config, --state)")
        return _FAILED


def _is_folder_gone() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 (Path.cwd is the same, and pathlib is not loaded by every command)
    except FileNotFoundError:
        return True
    return False
