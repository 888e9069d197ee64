#!/usr/bin/env bash
# arm64_sysroot.sh DIR PACKAGE...: a Debian 12 arm64 tree under DIR with these packages unpacked, to link against and to run
# under qemu. About 2 minutes and 1 GB; made anew when the list of packages changes.
set -euo pipefail
directory=$1
shift
if [ "$(cat "$directory/packages" 2>/dev/null)" = "$*" ]; then
  exit 0
fi
rm -rf --one-file-system "$directory"
packages=$(IFS=, && echo "$*")
mmdebstrap --quiet --variant=extract --architectures=arm64 --components=main --include="$packages" \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  bookworm "$directory"
# Packages are only unpacked, so the alternatives of BLAS and LAPACK were never set up.
for library in libblas.so.3 liblapack.so.3 libopenblas.so.0; do
  ln -sf "openblas-pthread/$library" "$directory/usr/lib/aarch64-linux-gnu/$library"
done
echo "$*" >"$directory/packages"
