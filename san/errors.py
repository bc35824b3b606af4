"""The one exception for a user's mistake; how a command line shows it, Ctrl-C and a closed pipe."""

import functools
import os
import select
import sys

_STDOUT = 1  # its file descriptor


class UserError(ValueError):
    """Input that the user can mend: the message names the value, where it came from and the fix."""


def exit_on_user_error(main):
    """Wrap a command's ``main``: a UserError becomes one line on stderr and exit status 2.

    Ctrl-C is no error: one word, and the status 130 of a shell. Nor is a reader of the output that
    has enough, as ``| head`` has: nothing more is said, and the status is 141.
    """

    @functools.wraps(main)
    def wrapped(*args, **kwargs):
        try:
            status = main(*args, **kwargs)
            sys.stdout.flush()
            return status
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("\ninterrupted", file=sys.stderr)
            return 130
        except BrokenPipeError:
            if not _reader_left():
                raise
            return 141

    return wrapped


def _reader_left():
    """Is standard output a pipe that nobody reads any more? Then what is left for it is dropped."""
    if not hasattr(select, "poll"):  # Windows, where that is another error
        return False
    poll = select.poll()
    poll.register(_STDOUT, 0)
    left = select.POLLERR | select.POLLHUP  # Linux and macOS say it differently
    if not any(event & left for _, event in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)
    return True
