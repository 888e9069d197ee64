#!/usr/bin/env bash
# run.sh [OPTION...]: what ./dev gpu-exam --pack made, on a machine with a GPU and the same torch. Options: as of bench/gpu_exam.py.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
# Asked from elsewhere: here "torch" is the link of the run before.
torch=$(cd / && python3 -c 'import os, torch; print(os.path.dirname(torch.__file__))' 2>/dev/null) || { echo "gpu-exam: no GPU was examined: python3 has no torch"; exit 3; }
have=$(cd / && python3 -c 'import torch; print(torch.__version__.split("+")[0])')
[ "$have" = "$(cat torch-version)" ] || { echo "gpu-exam: built for torch $(cat torch-version), here is $have; pack it for that one" >&2; exit 1; }
ln -sfn "$torch" torch
rm -rf bin  # of an earlier pack
tar -xzf bin.tar.gz
exec python3 bench/gpu_exam.py --programs bin --golden golden --peers . --out "${OUT:-out}" "$@"
