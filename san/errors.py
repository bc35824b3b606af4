"""The one exception for a user's mistake, and how a command line shows it, and Ctrl-C."""

import functools
import sys


class UserError(ValueError):
    """Input that the user can mend: the message names the value, where it came from and the fix."""


def exit_on_user_error(main):
    """Wrap a command's ``main``: a UserError becomes one line on stderr and exit status 2.

    Ctrl-C is no error: one word, and the status 130 of a shell.
    """

    @functools.wraps(main)
    def wrapped(*args, **kwargs):
        try:
            return main(*args, **kwargs)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("\ninterrupted", file=sys.stderr)
            return 130

    return wrapped
