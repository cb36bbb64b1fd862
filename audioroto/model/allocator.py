"""How the C library hands out memory for large tensors."""

import ctypes
import platform

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Let this process keep the memory of freed tensors for the next ones; False where the C library is not glibc.

    Otherwise glibc maps every tensor above 32 MiB anew and gives it back when it is freed, and the kernel has to make
    all its pages again: up to 40 % of the processor time of attention over an hour of audio. The peak stays as it was,
    but what was freed goes back to the system only at the end of the process: for a program to choose, not a library.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, -1))
