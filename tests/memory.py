"""How much memory this process takes at most while something is done, whatever came before."""

import resource
from pathlib import Path


def peak_from_now() -> int:
    """Forget the highest mark of this process; bytes that it has now, for `peak` to be compared with.

    https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html
    """
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> int:
    """The most bytes of memory that this process had since `peak_from_now`."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
