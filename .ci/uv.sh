#!/bin/sh
# Prints the path of a uv that knows dependency groups; puts one into .uv/ if PATH has none.
set -eu
cd "$(dirname "$0")/.."

usable() { [ -n "$1" ] && "$1" pip install --help 2>/dev/null | grep -q -- '--group'; }

on_path="$(command -v uv || true)"
if usable "$on_path"; then
  echo "$on_path"
  exit 0
fi
if ! usable .uv/bin/uv; then
  if [ -z "${PYTHON:-}" ]; then
    echo "No Python 3.11, 3.12 or 3.13 was found on PATH. Install one (Debian, Ubuntu:" \
      "apt install python3 python3-venv; macOS: brew install python@3.12), or name it:" \
      "make PYTHON=/path/to/python3.12" >&2
    exit 1
  fi
  echo "Fetching uv into .uv/ ..." >&2
  rm -rf .uv
  if ! "$PYTHON" -m venv .uv >&2; then
    rm -rf .uv
    echo "$PYTHON cannot make a virtual environment. Debian, Ubuntu: apt install python3-venv." >&2
    exit 1
  fi
  .uv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1' >&2
fi
echo "$PWD/.uv/bin/uv"
