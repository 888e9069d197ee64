// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// arm_xnnpack FORMAT INPUTS ROWS COLUMNS: the product of arm_products.cc by XNNPACK's kernels,
// between the same marks. Compiled by bench/arm.py against XNNPACK's sources. bench/arm.py defines
// for each format the kernels that XNNPACK selects on the core, for one row of inputs and for many:
// FP32_ONE, FP32_MANY, and the rows FP32_INPUTS of the latter, also INT8_… and INT4_….
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "xnnpack/gemm.h"

extern "C" {
[[gnu::noinline]] void BenchBegin() {
  __asm volatile("");
}
[[gnu::noinline]] void BenchEnd() {
  __asm volatile("");
}
}

namespace {

constexpr size_t kInt4Block = 64;  // columns that share a scale, as in Wattle's groups
constexpr size_t kSlack =
    64 * 1024;  // sums, scales and biases beside the weights, and the read-ahead

struct Sizes {
  size_t inputs;
  size_t rows;
  size_t columns;
};

struct Buffers {
  explicit Buffers(Sizes sizes)
      : weights(sizes.rows * sizes.columns * sizeof(float) + kSlack),
        inputs(sizes.inputs * sizes.columns * sizeof(float) + kSlack),
        out(sizes.inputs * sizes.rows) {}

  std::vector<char> weights;
  std::vector<char> inputs;
  std::vector<float> out;
};

// multiply(first, count): the products of `count` rows of inputs.
template <typename Multiply>
void OverInputs(size_t inputs, size_t at_once, const Multiply& multiply) {
  BenchBegin();
  for (size_t first = 0; first < inputs; first += at_once) {
    multiply(first, std::min(at_once, inputs - first));
  }
  BenchEnd();
}

void RunFloats(Sizes sizes, Buffers& buffers) {
  const xnn_f32_minmax_params params = {.scalar = {.min = -1e30F, .max = 1e30F}};
  const auto* inputs = reinterpret_cast<const float*>(buffers.inputs.data());
  const auto* weights = reinterpret_cast<const float*>(buffers.weights.data());
  const size_t input_bytes = sizes.columns * sizeof(float);
  OverInputs(sizes.inputs, FP32_INPUTS, [&](size_t first, size_t count) {
    (count == 1 ? FP32_ONE : FP32_MANY)(count, sizes.rows, input_bytes,
                                        inputs + first * sizes.columns, input_bytes, weights,
                                        buffers.out.data() + first * sizes.rows,
                                        sizes.rows * sizeof(float), 8 * sizeof(float), &params);
  });
}

// Int8 inputs with a scale for each row; the kernels write 8 or 16 columns of out at once.
template <typename Function, typename Params>
void RunCodes(Function one, Function many, size_t at_once, size_t columns_at_once,
              const Params& params, Sizes sizes, Buffers& buffers) {
  const std::vector<xnn_qd8_quantization_params> scales(sizes.inputs + at_once, {0, 1.0F});
  const auto* inputs = reinterpret_cast<const int8_t*>(buffers.inputs.data());
  OverInputs(sizes.inputs, at_once, [&](size_t first, size_t count) {
    (count == 1 ? one : many)(count, sizes.rows, sizes.columns, inputs + first * sizes.columns,
                              sizes.columns, buffers.weights.data(),
                              buffers.out.data() + first * sizes.rows, sizes.rows * sizeof(float),
                              columns_at_once * sizeof(float), &params, scales.data() + first);
  });
}

bool Run(const char* format, Sizes sizes) {
  Buffers buffers(sizes);
  if (std::strcmp(format, "fp32") == 0) {
    RunFloats(sizes, buffers);
  } else if (std::strcmp(format, "int8") == 0) {
    const xnn_f32_minmax_params params = {.scalar = {.min = -1e30F, .max = 1e30F}};
    RunCodes(INT8_ONE, INT8_MANY, INT8_INPUTS, INT8_COLUMNS, params, sizes, buffers);
  } else if (std::strcmp(format, "int4") == 0) {
    const xnn_f32_qb4w_minmax_params params = {
        .scalar = {.min = -1e30F, .max = 1e30F, .blocksize = kInt4Block}};
    RunCodes(INT4_ONE, INT4_MANY, INT4_INPUTS, INT4_COLUMNS, params, sizes, buffers);
  } else {
    return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    return 2;
  }
  const auto size = [argv](int i) { return static_cast<size_t>(std::atoll(argv[i])); };
  return Run(argv[1], {size(2), size(3), size(4)}) ? 0 : 2;
}
