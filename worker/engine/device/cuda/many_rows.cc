// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cuda/many_rows.h"

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"

namespace wattle::cuda {

bool HasTiles(const kernels::WeightMatrix& matrix) {
  const auto begins_at_16 = [](const std::byte* place) {
    return reinterpret_cast<uintptr_t>(place) % 16 == 0;
  };
  return matrix.packed != nullptr && begins_at_16(matrix.packed) && begins_at_16(matrix.scales);
}

absl::Status Dequantize(const StoredProduct& product, const Tile& tile, KernelLauncher& launcher) {
  const kernels::WeightMatrix& matrix = product.matrix;
  const DequantizeArguments arguments = {.matrix = StoredOf(matrix, product.nf4_tables),
                                         .first_row = static_cast<int>(tile.first),
                                         .rows = static_cast<int>(tile.rows),
                                         .bf16 = tile.bf16 ? 1 : 0,
                                         .out = tile.out};
  const std::string format = FormatOf(matrix.format.scheme);
  const int64_t of_block = InPanels(matrix.format.scheme) ? kPanelRows : 1;
  return launcher.Launch({.source = absl::StrCat("product_", format),
                          .kernel = absl::StrCat("dequantize_", format),
                          .blocks = static_cast<int>((tile.rows + of_block - 1) / of_block),
                          .arguments = &arguments});
}

absl::Status Finish(const StoredProduct& product, const void* sums, bool bf16,
                    KernelLauncher& launcher) {
  const FinishArguments arguments = {
      .product = ArgumentsOf(product), .sums = sums, .bf16 = bf16 ? 1 : 0};
  const int64_t outputs = product.gated ? product.matrix.rows / 2 : product.matrix.rows;
  const int64_t numbers = product.count * outputs;
  return launcher.Launch({.source = "finish",
                          .kernel = "finish_rows",
                          .blocks = static_cast<int>((numbers + kBlockThreads - 1) / kBlockThreads),
                          .arguments = &arguments});
}

}  // namespace wattle::cuda
