"""Runs as its own tiny script between the supervisor and a child: ties the child's life to its parent's.

`python -I -S launch.py PARENT_PID DEATH_SIGNAL NICENESS COMMAND...` asks the kernel for a signal when the
parent dies (prctl(2), PR_SET_PDEATHSIG; it survives execve), steps back by the niceness, then becomes the
command. It is a script and not a `preexec_fn` because Python code between fork and exec is unsafe in a
process with threads.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, death_signal: int, niceness: int, command: list[str]) -> None:
    """Become `command`; leave at once if the parent is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)
    os.nice(niceness)
    try:
        os.execvp(command[0], command)  # noqa: S606 - a shell has no place here
    except OSError as error:
        sys.exit(f"cannot start {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
