"""A sentence for what goes wrong outside the product: a full disk, no rights, a lost server."""

import errno
from collections.abc import Iterator

FULL = (errno.ENOSPC, errno.EDQUOT)
"""No space on the disk, or none left of what the user may fill."""

FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)

DISK_FULL_STATE = "53100"
"""PostgreSQL's code for a disk that is full."""


def explain_failure(error: BaseException) -> str | None:
    """Return what is wrong with the machine and what to do; None for an error of the product."""
    causes = list(_list_causes(error))
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno in FULL:
            return f"the disk is full{_name_file(cause)}: free some space and run it again"
    for cause in causes:
        if _is_database_full(cause):
            return (
                f"PostgreSQL's disk is full ({_take_first_line(cause)}): free some space and run "
                "it again; what was finished before is kept, the rest is undone"
            )
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno in FORBIDDEN:
            return f"{cause.strerror}{_name_file(cause)}: mend its rights and run it again"
        if _is_lost_connection(cause):
            return (
                f"PostgreSQL is gone ({_take_first_line(cause)}): see its log, or `smartgrid "
                "status`, and run it again; what was not finished is undone"
            )
    return None


def _list_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what it came from, the nearest first."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


def _is_database_full(error: BaseException) -> bool:
    is_state = getattr(error, "sqlstate", None) == DISK_FULL_STATE
    return is_state or (_is_of_psycopg(error) and "No space left on device" in str(error))


def _is_lost_connection(error: BaseException) -> bool:
    return _is_of_psycopg(error) and type(error).__name__ in {
        *("OperationalError", "AdminShutdown", "CrashShutdown", "CannotConnectNow"),
    }


def _is_of_psycopg(error: BaseException) -> bool:
    """Return whether psycopg raised it, which is not imported for commands without a database."""
    return type(error).__module__.partition(".")[0] == "psycopg"


def _name_file(error: OSError) -> str:
    return f" ({error.filename})" if error.filename else ""


def _take_first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
