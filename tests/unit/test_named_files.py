"""What docstrings and pages name is there."""

import ast
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = [
    Path(name)
    for name in subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    if (ROOT / name).is_file()
]
ROOMS = [file for file in FILES if file.name == "__init__.py" and file.parts[0] != "tests"]
HISTORY = Path("CHANGELOG.md")


def test_every_python_file_that_a_text_names_exists():
    missing = [
        f"{file}: {named}"
        for file in FILES
        if file.suffix in (".py", ".md") and file != HISTORY
        for named in re.findall(r"`(?:\.\./)*([\w/]+\.py)`", (ROOT / file).read_text())
        if not any(f"/{each}".endswith(f"/{named}") for each in FILES)
    ]
    assert missing == []


def test_every_part_that_a_room_names_is_in_it_or_known_to_its_code():
    missing = []
    for room in ROOMS:
        parts = {each.stem for each in (ROOT / room).parent.iterdir()}
        code = " ".join(
            each.read_text()
            for each in (ROOT / room).parent.rglob("*.py")
            if each.name != "__init__.py"
        )
        docstring = ast.get_docstring(ast.parse((ROOT / room).read_text())) or ""
        missing += [
            f"{room}: {named}"
            for named in re.findall(r"`([a-z]\w*_\w+)`", docstring)
            if named not in parts and not re.search(rf"\b{named}\b", code)
        ]
    assert missing == []
