// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cuda/stored_product.h"

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"

namespace wattle::cuda {
namespace {

using kernels::WeightScheme;

bool BeginsAt16(const void* place) {
  return reinterpret_cast<uintptr_t>(place) % 16 == 0;
}

}  // namespace

const char* FormatOf(WeightScheme scheme) {
  switch (scheme) {
    case WeightScheme::kFloat32:
      return "fp32";
    case WeightScheme::kInt8:
      return "int8";
    case WeightScheme::kInt4:
      return "int4";
    case WeightScheme::kInt4Asymmetric:
      return "int4a";
    case WeightScheme::kNf4:
      return "nf4";
    case WeightScheme::kNf4DoubleQuantized:
      return "nf4dq";
    case WeightScheme::kBf16:
      return "bf16";
    case WeightScheme::kInt8Grouped:
      return "int8g";
    case WeightScheme::kFloat16:
      return "fp16";
    case WeightScheme::kInt6:
      return "int6";
  }
  return "";
}

bool InPanels(WeightScheme scheme) {
  return scheme == WeightScheme::kInt8 || scheme == WeightScheme::kInt8Grouped ||
         scheme == WeightScheme::kInt4 || scheme == WeightScheme::kInt4Asymmetric ||
         scheme == WeightScheme::kNf4 || scheme == WeightScheme::kInt6;
}

StoredMatrix StoredOf(const kernels::WeightMatrix& matrix, const float* nf4_tables) {
  return {.packed = reinterpret_cast<const unsigned char*>(matrix.packed),
          .scales = reinterpret_cast<const unsigned char*>(matrix.scales),
          .tables = nf4_tables,
          .rows = static_cast<int>(matrix.rows),
          .columns = static_cast<int>(matrix.columns),
          .group = static_cast<int>(matrix.format.group_size)};
}

bool Serves(const StoredProduct& product) {
  const kernels::WeightMatrix& matrix = product.matrix;
  const bool whole_panels = !product.gated || !InPanels(matrix.format.scheme) ||
                            matrix.rows % (2 * kernels::kPanelRows) == 0;
  return product.count >= 1 && product.count <= kMaxProductRows && whole_panels &&
         matrix.packed != nullptr && BeginsAt16(matrix.packed) && BeginsAt16(matrix.scales) &&
         BeginsAt16(product.inputs) && (product.count == 1 || product.input_stride % 4 == 0);
}

ProductArguments ArgumentsOf(const StoredProduct& product) {
  return {.matrix = StoredOf(product.matrix, product.nf4_tables),
          .bias = product.bias,
          .inputs = product.inputs,
          .out = product.out,
          .count = product.count,
          .input_stride = product.input_stride,
          .out_stride = product.out_stride,
          .nonlinearity = static_cast<int>(product.nonlinearity),
          .accumulate = product.accumulate ? 1 : 0,
          .gated = product.gated ? 1 : 0};
}

absl::Status Launch(const StoredProduct& product, KernelLauncher& launcher) {
  const kernels::WeightMatrix& matrix = product.matrix;
  const ProductArguments arguments = ArgumentsOf(product);
  int kernel_rows = 1;
  while (kernel_rows < product.count) {
    kernel_rows *= 2;
  }
  const std::string source = absl::StrCat("product_", FormatOf(matrix.format.scheme));
  const int64_t rows = product.gated ? matrix.rows / 2 : matrix.rows;
  const bool in_panels = InPanels(matrix.format.scheme);
  const int of_block = in_panels ? kPanelRows : kRowsOfBlock;
  const int of_panel = kernel_rows == 1 ? kWideThreads : kPanelThreads;
  return launcher.Launch({.source = source,
                          .kernel = absl::StrCat(source, "_rows", kernel_rows),
                          .blocks = static_cast<int>((rows + of_block - 1) / of_block),
                          .threads = in_panels ? of_panel : kBlockThreads,
                          .arguments = &arguments});
}

}  // namespace wattle::cuda
