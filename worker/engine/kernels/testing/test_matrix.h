// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Matrices that own their bytes, for tests and benches.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_TESTING_TEST_MATRIX_H_
#define WATTLE_WORKER_ENGINE_KERNELS_TESTING_TEST_MATRIX_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "worker/engine/kernels/aligned_buffer.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/kernels/weight_matrix.h"

namespace wattle::kernels {

inline std::vector<WeightFormat> EveryFormat() {
  std::vector<WeightFormat> formats;
  for (const FormatOperations& format : AllFormats()) {
    for (const int32_t group : format.group_sizes) {
      formats.push_back({format.scheme, group});
    }
  }
  return formats;
}

// A number of columns valid for the format: the given one, or somewhat more.
inline int64_t ColumnsFor(WeightFormat format, int64_t wanted) {
  const int64_t multiple = OperationsOf(format.scheme).column_multiple;
  return (wanted + multiple - 1) / multiple * multiple;
}

// A format's name in the characters that GoogleTest allows in a test's name.
inline std::string NameForTest(WeightFormat format) {
  std::string name = FormatName(format);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

inline std::vector<float> NormalValues(int64_t count, uint64_t seed, float deviation = 1.0F) {
  std::vector<float> values(static_cast<size_t>(count));
  RandomNormal({.seed = seed, .use = RandomUse::kInitialization}, deviation, count, values.data());
  return values;
}

// A quantized matrix, its bytes and the original FP32 weights. Not copyable: `matrix` points into
// it.
struct OwnedMatrix {
  OwnedMatrix(WeightFormat format, int64_t rows, int64_t columns, std::vector<float> values)
      : weights(std::move(values)) {
    WATTLE_CHECK(CheckShape(format, rows, columns).ok(), "the test's shape suits the format");
    matrix = {.format = format, .rows = rows, .columns = columns};
    const StoredBytes bytes = OperationsOf(format.scheme).stored_bytes(matrix);
    packed = AlignedBuffer(bytes.packed);
    scales = AlignedBuffer(bytes.scales);
    matrix.packed = buffers().packed;
    matrix.scales = buffers().scales;
    WATTLE_CHECK(Quantize(matrix, weights.data(), buffers()).ok(), "the test's weights are finite");
  }
  OwnedMatrix(WeightFormat format, int64_t rows, int64_t columns, uint64_t seed)
      : OwnedMatrix(format, rows, columns, NormalValues(rows * columns, seed)) {}
  OwnedMatrix(const OwnedMatrix&) = delete;
  OwnedMatrix& operator=(const OwnedMatrix&) = delete;

  [[nodiscard]] PackedBuffers buffers() {
    return {.packed = packed.data(), .scales = scales.data()};
  }

  std::vector<float> weights;
  AlignedBuffer packed;
  AlignedBuffer scales;
  WeightMatrix matrix;
};

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_TESTING_TEST_MATRIX_H_
