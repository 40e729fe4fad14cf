"""What goes wrong outside the product is a sentence; what is wrong in it keeps its traceback."""

import errno
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from smartgrid_cli.display.failures import explain_failure


def test_a_full_disk_names_the_file_and_the_mend():
    assert explain_failure(OSError(errno.ENOSPC, "No space left on device", "/lake/part")) == (
        "the disk is full (/lake/part): free some space and run it again"
    )
    nameless = OSError(errno.EDQUOT, "Disk quota exceeded")
    wrapped = ValueError("the home cannot be made")
    wrapped.__cause__ = nameless
    assert explain_failure(wrapped) == "the disk is full: free some space and run it again"


def test_a_full_disk_of_the_database_is_told_however_it_shows():
    full = psycopg.errors.DiskFull('could not extend file "base/5/16392"\nHINT: check')
    started = psycopg.OperationalError("could not write init file: No space left on device")
    wrapped = sa.exc.OperationalError("SELECT 1", None, started)
    wrapped.__cause__ = started
    mend = "free some space and run it again; what was finished before is kept, the rest is undone"
    assert explain_failure(full) == (
        f'PostgreSQL\'s disk is full (could not extend file "base/5/16392"): {mend}'
    )
    assert explain_failure(wrapped) == (
        "PostgreSQL's disk is full (could not write init file: No space left on device): " + mend
    )


def test_a_lost_database_and_a_forbidden_file_are_sentences():
    lost = psycopg.OperationalError("server closed the connection unexpectedly\n\tmore")
    assert str(explain_failure(lost)).startswith(
        "PostgreSQL is gone (server closed the connection unexpectedly): see its log"
    )
    forbidden = PermissionError(errno.EACCES, "Permission denied", "/etc/shadow")
    assert explain_failure(forbidden) == (
        "Permission denied (/etc/shadow): mend its rights and run it again"
    )


@pytest.mark.parametrize(
    "error", [KeyError("day"), FileNotFoundError(errno.ENOENT, "none", "x"), psycopg.DataError("x")]
)
def test_an_error_of_the_product_is_none_of_them(error: Exception):
    assert explain_failure(error) is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_command_on_a_full_disk_ends_with_a_sentence(tmp_path: Path):
    program = (
        "from pathlib import Path\n"
        "from smartgrid_cli import main\n"
        "def fill(**_):\n"
        "    with Path('/dev/full').open('w') as file:\n"
        "        file.write('x')\n"
        "main._open_home = fill\n"
        "main.run()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, "down"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (1, "")
    assert ended.stdout == "smartgrid: the disk is full: free some space and run it again\n"
