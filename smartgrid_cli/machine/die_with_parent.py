"""Starts a program that ends when its parent does; run by path, so that it imports next to nothing.

Usage: python die_with_parent.py PARENT_PID SIGNAL PROGRAM [ARGUMENT ...]
"""

import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent where the kernel can, then become the program."""
    parent, how = int(sys.argv[1]), int(sys.argv[2])
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, how, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit("the parent ended before its child began")
    os.execvp(sys.argv[3], sys.argv[3:])  # noqa: S606 - becoming another program is the purpose


if __name__ == "__main__":
    main()
