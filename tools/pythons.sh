#!/usr/bin/env bash
# Prints a Python of every minor version from 3.$1 (12 if not given) on that runs here, oldest first.
for minor in $(seq "${1:-12}" 30); do
  for python in "python3.$minor" "$HOME/.pyenv/versions/3.$minor".*/bin/python; do
    # A shim of pyenv is there for versions that are not chosen, too.
    if "$python" -c 'import ensurepip' > /dev/null 2>&1; then
      echo "$python"
      break
    fi
  done
done
