#!/bin/sh
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
# run.sh SCRIPT ARGUMENT...: the script in the reference environment; 77 where there is none.
root=$(cd "$(dirname "$0")/../.." && pwd)
[ -f "$root/build/venv/ready" ] || { echo "skipped: build/venv is not there (PyPI not reachable?)"; exit 77; }
unset OPENBLAS_CORETYPE
exec "$root/build/venv/bin/python" "$@"
