#!/bin/sh
# Makes $VENV and installs the project in it by requirements.lock; arguments go to uv (--group dev).
# uv checks the hashes of the lock file although it is handed in as constraints.
set -eu
cd "$(dirname "$0")/.."
VENV="${VENV:-.venv}"
if [ -z "${PYTHON:-}" ]; then
  echo "No Python 3.11, 3.12 or 3.13 was found on PATH. Install one (Debian, Ubuntu:" \
    "apt install python3 python3-venv; macOS: brew install python@3.12), or name it:" \
    "make PYTHON=/path/to/python3.12" >&2
  exit 1
fi
UV="$(PYTHON="$PYTHON" sh .ci/uv.sh)"
if ! "$VENV/bin/python" -c \
  'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
  echo "Making $VENV with $("$PYTHON" --version) ($PYTHON)"
  "$UV" venv --quiet --clear --python "$PYTHON" "$VENV"
fi
echo "Installing into $VENV (once; about 4 GB with everything it needs)"
log="$VENV/install.log"
"$UV" pip install --python "$VENV/bin/python" -c requirements.lock -e . "$@" >"$log" 2>&1 &
worker=$!
trap 'kill $worker 2>/dev/null; exit 130' INT TERM
waited=0
while kill -0 "$worker" 2>/dev/null; do
  sleep 1
  waited=$((waited + 1))
  if [ $((waited % 10)) = 0 ]; then echo "  ... $waited s, $(du -sh "$VENV" 2>/dev/null | cut -f1)"; fi
done
if ! wait "$worker"; then
  tail -n 40 "$log" >&2
  echo "The installation failed; all that it said is in $log." >&2
  exit 1
fi
grep -E '^(Resolved|Prepared|Installed|Checked|Audited) ' "$log" | sed 's/^/  /'
