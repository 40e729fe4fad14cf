"""Holds how the code reads (CONTRIBUTING.md): names, docstrings, sizes.

`python .ci/house.py` prints figures and breaches and ends with 1 if there is one; `--names` lists
the functions whose names begin with no verb.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = (
    *("smartgrid_core", "smartgrid_ml", "smartgrid_io", "resources", "sensors"),
    *("smartgrid_assets", "smartgrid_services", "smartgrid_cli", "demo"),
)
VERBS = frozenset((Path(__file__).with_name("verbs.txt")).read_text().split())
"""First words of function names: verbs, predicates and converters. A new verb is added there."""

PUBLIC_FLOOR, PRIVATE_FLOOR = 0.90, 0.75
"""Least share of functions whose name begins with one of them."""

BANNED = frozenset(
    {"told", "said", "heard", "settle", "witness", "shelf", "tether", "mourn", "reap"}
)
"""Words of our own invention for which the field has one."""

KNOWN_TO_USERS = frozenset({"settle_canary"})
"""Names that have such a word and stay: people start this job by it."""

ARGS_SECTION = re.compile(r"^Args:\n(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
ARGS_ENTRY = re.compile(r"^    (\*{0,2}\w+(?:, \*{0,2}\w+)*): \S", re.MULTILINE)
"""`name: text`, or `low, high: text`; what is indented further goes on with the entry above."""

LONGEST_FILE, LARGEST_ROOM, MANY_PARAMETERS = 400, 16, 4
NAMED_BY_OTHERS = re.compile(
    r"^(dg\.|daily_asset|grid_asset|dy\.|app\.|property|cached_property|overload|.*\.(setter|command)|.*validator)"
)
"""Decorators under which a name is an asset, a rule, a command or a value, not a function."""


@dataclass(frozen=True)
class Function:
    """One function of a shipping package and where it stands."""

    file: Path
    node: ast.FunctionDef | ast.AsyncFunctionDef

    @property
    def is_public(self) -> bool:
        """Does its name begin without an underscore?"""
        return not self.node.name.startswith("_")

    @property
    def is_named_by_others(self) -> bool:
        """A dunder, a property, an asset, a command, or a name that a protocol of others gives."""
        marks = [ast.unparse(each) for each in self.node.decorator_list]
        is_dunder = self.node.name.startswith("__") or self.node.name != self.node.name.lower()
        return is_dunder or any(NAMED_BY_OTHERS.match(mark) for mark in marks)

    @property
    def begins_with_verb(self) -> bool:
        """Is the first word of its name one of VERBS?"""
        return self.node.name.strip("_").split("_")[0] in VERBS

    @property
    def parameters(self) -> list[str]:
        """Those that a caller passes; typer's say their own help."""
        arguments = self.node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        return [
            each.arg
            for each in every
            if each.arg not in ("self", "cls", "context")
            and not (each.annotation and "typer." in ast.unparse(each.annotation))
        ]


def read_functions(files: list[Path]) -> Iterator[Function]:
    """Yield module-level functions and methods; functions within functions are their own affair."""
    for file in files:
        tree = ast.parse(file.read_text())
        for holder in (tree, *(each for each in tree.body if isinstance(each, ast.ClassDef))):
            for node in holder.body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield Function(file, node)


def find_unexplained(functions: list[Function]) -> Iterator[str]:
    """Yield a sentence for every function of many parameters that does not explain each."""
    for each in functions:
        if each.is_named_by_others or len(each.parameters) < MANY_PARAMETERS:
            continue
        text = ast.get_docstring(each.node) or ""
        if not text and each.node.name.startswith("_") and len(each.node.body) == 1:
            continue
        explained = read_explained(text)
        missing = [name for name in each.parameters if name not in explained]
        if missing:
            where = each.file.relative_to(ROOT)
            yield f"{where}:{each.node.lineno} {each.node.name}: Args: lacks {', '.join(missing)}"


def read_explained(docstring: str) -> set[str]:
    """Return the parameters that the section `Args:` of a docstring explains, by entry."""
    section = ARGS_SECTION.search(docstring)
    entries = ARGS_ENTRY.findall(section[1]) if section else []
    return {name.lstrip("*") for entry in entries for name in entry.split(", ")}


def find_banned(files: list[Path]) -> Iterator[str]:
    """Yield a sentence for every name given or used that has a banned word in it."""
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            for name in read_names(node):
                if name not in KNOWN_TO_USERS and BANNED & set(name.lower().split("_")):
                    where = f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"
                    yield f"{where} {name}: the field has a word for it"


def read_names(node: ast.AST) -> list[str]:
    """Return the names that a node of the syntax tree itself gives or uses."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Name(id=name) | ast.arg(arg=name) | ast.Attribute(attr=name):
            return [name]
        case ast.keyword(arg=str(name)) | ast.alias(asname=str(name)):
            return [name]
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
            return [name]
    return []


def find_large(files: list[Path]) -> Iterator[str]:
    """Yield a sentence for every file and every room that has outgrown its size."""
    rooms: dict[Path, int] = {}
    for file in files:
        rooms[file.parent] = rooms.get(file.parent, 0) + (file.name != "__init__.py")
        lines = file.read_text().count("\n")
        if lines > LONGEST_FILE:
            yield f"{file.relative_to(ROOT)}: {lines} lines, {LONGEST_FILE} at most"
    for room, count in rooms.items():
        if count > LARGEST_ROOM:
            yield f"{room.relative_to(ROOT)}: {count} files, {LARGEST_ROOM} at most"


def measure_verbs(functions: list[Function], *, public: bool) -> tuple[float, list[str]]:
    """Return the share of names that begin with a verb, and the names that do not."""
    counted = [f for f in functions if f.is_public == public and not f.is_named_by_others]
    others = [
        f"{f.file.relative_to(ROOT)}:{f.node.lineno} {f.node.name}"
        for f in counted
        if not f.begins_with_verb
    ]
    return 1 - len(others) / len(counted), others


def list_files(root: Path) -> list[Path]:
    """Return the Python files of the shipping packages that git does not ignore, by name.

    New files that git does not track yet count, too. Without git, or outside of a repository (an
    unpacked archive), every file counts.
    """
    patterns = [f"{package}/*.py" for package in PACKAGES]
    asked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"]
    try:
        listed = subprocess.run(
            [*asked, *patterns], cwd=root, capture_output=True, text=True, check=True
        ).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        files = {file for package in PACKAGES for file in (root / package).rglob("*.py")}
    else:
        files = {root / name for name in listed.split("\0") if name and (root / name).exists()}
    return sorted(file for file in files if "migrations" not in file.relative_to(root).parts)


def main() -> int:
    """Print figures and breaches; return 1 if there is one."""
    files = list_files(ROOT)
    functions = list(read_functions(files))
    breaches = [*find_unexplained(functions), *find_banned(files), *find_large(files)]
    for public, floor in ((True, PUBLIC_FLOOR), (False, PRIVATE_FLOOR)):
        share, others = measure_verbs(functions, public=public)
        kind = "public" if public else "private"
        print(f"{share:.0%} of {kind} functions begin with a verb (floor {floor:.0%})")
        if "--names" in sys.argv:
            print("\n".join(f"  {other}" for other in others))
        if share < floor:
            breaches.append(f"too few {kind} functions begin with a verb: --names lists the others")
    many = sum(len(f.parameters) >= MANY_PARAMETERS and not f.is_named_by_others for f in functions)
    print(f"{many} functions take {MANY_PARAMETERS} parameters or more; {len(breaches)} breaches")
    print("\n".join(breaches))
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
