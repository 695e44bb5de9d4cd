#!/usr/bin/env bash
# Makes the virtual environment and installs the package into it, editable, with all its extras.
# Usage: PYTHON=python3 scripts/install.sh VENV
set -euo pipefail

"$PYTHON" - <<'PY'
import sys
if sys.version_info < (3, 11):
    sys.exit(f"histoprompt needs Python 3.11 or newer; {sys.executable} is "
             f"{sys.version.split()[0]}. Choose another one: make PYTHON=python3.12 ...")
PY
[[ -x $1/bin/pip ]] || "$PYTHON" -m venv "$1"
"$1/bin/python" -m pip install --disable-pip-version-check --quiet --editable '.[all,test,docs]'
