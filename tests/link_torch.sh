#!/usr/bin/env bash
# link_torch.sh DIR TORCH: the libtorch of a PyTorch wheel (TORCH: site-packages/torch) as DIR/{include,lib}, by links. Without the headers of
# protobuf that the wheel brings: they would stand before Debian's, and are of another version.
set -euo pipefail
directory=$1 torch=$2
rm -rf "$directory"
mkdir -p "$directory/include"
for header in "$torch"/include/*; do
  [ "$(basename "$header")" = google ] || ln -s "$header" "$directory/include/"
done
ln -s "$torch/lib" "$directory/lib"
