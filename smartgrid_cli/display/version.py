"""Which version runs here, and which commit it was made of."""

import json
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGE = "smartgrid"

SHOWN_DIGITS = 12
"""Of a commit: enough to be the only one."""


def describe_version() -> str:
    """Return version and commit, such as `smartgrid 0.1.0, commit 1a2b3c4d5e6f`."""
    commit = find_commit(Path(__file__).parent) or _read_installed_commit()
    return f"{PACKAGE} {metadata.version(PACKAGE)}, {f'commit {commit}' if commit else NO_COMMIT}"


NO_COMMIT = "commit unknown: installed without its repository"


def find_commit(folder: Path) -> str | None:
    """Return the commit of the repository that tracks the folder; None if none does.

    Ends in `with changes` if files in it differ from the commit.
    """
    git = shutil.which("git")
    if git is None or not _ask_git(git, folder, "ls-files", "--", "."):
        return None
    commit = _ask_git(git, folder, "rev-parse", f"--short={SHOWN_DIGITS}", "HEAD")
    changes = _ask_git(git, folder, "status", "--porcelain", "--untracked-files=no")
    return commit and (f"{commit} with changes" if changes else commit)


def _ask_git(git: str, folder: Path, *question: str) -> str | None:
    """Return what git answers about the folder; None if it cannot."""
    answer = subprocess.run(  # noqa: S603 - our own question, no shell
        [git, "-C", str(folder), *question], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() or None if answer.returncode == 0 else None


def _read_installed_commit() -> str | None:
    """Return the commit that the package was installed from by its repository's address."""
    text = metadata.distribution(PACKAGE).read_text("direct_url.json")
    commit = json.loads(text or "{}").get("vcs_info", {}).get("commit_id")
    return None if commit is None else str(commit)[:SHOWN_DIGITS]
