"""Keep freed memory: the C library's allocator, set for large tensors that come and go.

By default glibc maps each block above 32 MB anew and gives it back at once, so every large tensor
pays for fresh pages, which the system clears one by one.
"""

import ctypes
import os
import platform

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # M_... of malloc.h
_LARGEST = 2**31 - 1
_TOP_PAD_BYTES = 2**28  # the heap grows by so much at a time


def keep_freed_memory():
    """Let this process keep the memory that it frees, for its next use.

    For commands, which own their process; a library must not decide that. What the environment says
    of the allocator (GLIBC_TUNABLES, MALLOC_...) has precedence.

    Returns:
        bool: whether it was done; False without glibc too.
    """
    told = any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ)
    if told or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = (_MMAP_MAX, 0), (_TRIM_THRESHOLD, _LARGEST), (_TOP_PAD, _TOP_PAD_BYTES)
    return all([mallopt(*setting) for setting in settings])
