#!/usr/bin/env bash
# fetch_torch2.sh DIR: a libtorch 2.7.1 for x86-64 under DIR/{include,lib}: the libraries from Maven Central, the headers from
# PyPI's wheel of the same version (there is no x86-64 wheel without CUDA). About 210 MB.
set -euo pipefail
directory=$1
[ -f "$directory/ready" ] && exit 0
rm -rf "$directory"
mkdir -p "$directory/download"
mvn -q -B dependency:get -Dartifact=ai.djl.pytorch:pytorch-native-cpu:2.7.1:jar:linux-x86_64 -Dtransitive=false \
  -Dmaven.repo.local="$directory/download/maven"
find "$directory/download/maven" -name '*linux-x86_64.jar' -exec unzip -q -o {} 'pytorch/cpu/linux-x86_64/*' -d "$directory/download" \;
mv "$directory/download/pytorch/cpu/linux-x86_64" "$directory/lib"
python3 -m pip download -q --no-deps --platform manylinux_2_28_aarch64 --only-binary=:all: --python-version 3.11 -d "$directory/download" \
  torch==2.7.1
unzip -q "$directory"/download/torch-2.7.1-*.whl 'torch/include/*' -d "$directory/download"
mv "$directory/download/torch/include" "$directory/include"
rm -rf "$directory/download"
touch "$directory/ready"
