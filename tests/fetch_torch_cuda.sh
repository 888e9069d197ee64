#!/usr/bin/env bash
# fetch_torch_cuda.sh DIR VERSION: PyPI's torch of that version for x86-64 and CUDA 13 under DIR, to build what will run beside the same torch
# on a machine with a GPU. Only what a build needs, and what the programs need to start without a GPU: about 1.1 GB. For Python 3.12, whose
# number no library of C++ knows.
set -euo pipefail
directory=$1 version=$2
[ "$(cat "$directory/ready" 2>/dev/null)" != "$version" ] || exit 0
rm -rf "$directory"
mkdir -p "$directory/download"
platforms=()
for glibc in 28 27 25 17; do platforms+=(--platform "manylinux_2_${glibc}_x86_64"); done
python3 -m pip download -q --no-deps --only-binary=:all: --python-version 3.12 --implementation cp "${platforms[@]}" --platform manylinux2014_x86_64 \
  -d "$directory/download" "torch==$version" 'nvidia-cuda-runtime<13.1' 'nvidia-cuda-cupti<13.1' 'nvidia-cuda-nvrtc<13.1'
for wheel in "$directory"/download/*.whl; do
  unzip -q -o "$wheel" -x 'torch/bin/*' 'torchgen/*' -d "$directory"
done
rm -rf "$directory/download"
echo "$version" >"$directory/ready"
