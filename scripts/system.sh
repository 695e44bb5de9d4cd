#!/usr/bin/env bash
# Checks for the system libraries that Python, Qt and OpenGL need. As root on Debian or Ubuntu it
# installs the missing ones, else it says which they are.   Usage: scripts/system.sh [xvfb]
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin # where ldconfig is, for those who are not root

[[ $(uname -s) == Linux ]] || exit 0

# what to look for (library, command or file) and the Debian package that brings it
needs=(
  libEGL.so.1 libegl1
  libGL.so.1 libgl1
  '/usr/lib/*/dri/swrast_dri.so' libgl1-mesa-dri
  libglib-2.0.so.0 libglib2.0-0
  libdbus-1.so.3 libdbus-1-3
  libfontconfig.so.1 libfontconfig1
  libxkbcommon-x11.so.0 libxkbcommon-x11-0
  libxkbcommon.so.0 libxkbcommon0
  libxcb-cursor.so.0 libxcb-cursor0
  libxcb-icccm.so.4 libxcb-icccm4
  libxcb-image.so.0 libxcb-image0
  libxcb-keysyms.so.1 libxcb-keysyms1
  libxcb-randr.so.0 libxcb-randr0
  libxcb-render-util.so.0 libxcb-render-util0
  libxcb-shape.so.0 libxcb-shape0
  libxcb-xkb.so.1 libxcb-xkb1
)
# a virtual display, only where there is no other or tests draw on it
[[ ${1:-} == xvfb ]] && needs+=(xvfb-run xvfb xauth xauth)

libraries=$(ldconfig -p)
has() {
  case $1 in
    /*) compgen -G "$1" >/dev/null ;;
    *.so.*) [[ $libraries == *"$1 "* ]] ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

missing=()
for ((i = 0; i < ${#needs[@]}; i += 2)); do
  has "${needs[i]}" || missing+=("${needs[i + 1]}")
done
# Debian's python3 comes without the module that makes virtual environments.
"$PYTHON" -c 'import ensurepip' 2>/dev/null || missing+=(python3 python3-venv)
[[ ${#missing[@]} -gt 0 ]] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "Missing system packages (by their Debian names): ${missing[*]}" >&2
  echo "Install what your system calls them, then run this again." >&2
  exit 1
elif [[ $EUID -ne 0 ]]; then
  echo "Missing system packages. Install them, then run this again:" >&2
  echo "  sudo apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi
apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"
