import os
import subprocess
import sys

import pytest

from san.errors import exit_on_user_error

PRINTS = """
import sys
from san.errors import exit_on_user_error

@exit_on_user_error
def main(lines):
    for line in range(lines):
        print("line", line)

sys.exit(main({lines}))
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("lines", [2, 100_000])  # what a buffer holds, and more
def test_a_reader_that_leaves_is_no_error(lines, unbuffered):
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", PRINTS.format(lines=lines)],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )
    os.close(writer)
    os.close(reader)
    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 141


def test_another_broken_pipe_is_shown():
    @exit_on_user_error
    def main():
        raise BrokenPipeError("of a worker")

    with pytest.raises(BrokenPipeError, match="of a worker"):
        main()
