"""Where glibc says that its blocks lie."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")

# Field "hblks" of mallinfo(3): blocks that were mapped for themselves, to be given back when freed
SCRIPT = """
import ctypes
from san.allocator import keep_freed_memory
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd",
        "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]
mallinfo = ctypes.CDLL(None).mallinfo
mallinfo.restype = Info
returned = CALL
before = mallinfo().hblks
block = bytearray(2**26)
print(returned, mallinfo().hblks - before)
"""


def _run(call, **environment):
    """What the call returned, and how many blocks a new one of 64 MB had mapped for itself."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("GLIBC", "MALLOC"))}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("CALL", call)],
        env={**plain, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_large_blocks_come_from_the_memory_that_is_kept():
    assert _run("None") == ["None", "1"]
    assert _run("keep_freed_memory()") == ["True", "0"]


@pytest.mark.parametrize("name", ["GLIBC_TUNABLES", "MALLOC_ARENA_MAX"])
def test_the_environment_has_precedence(name):
    value = {"GLIBC_TUNABLES": "glibc.malloc.arena_max=2", "MALLOC_ARENA_MAX": "2"}[name]
    assert _run("keep_freed_memory()", **{name: value}) == ["False", "1"]
