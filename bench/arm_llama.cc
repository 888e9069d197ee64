// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// arm_llama FORMAT INPUTS ROWS COLUMNS: the product that arm_products.cc makes, by llama.cpp's
// kernels, between the same marks. Compiled by bench/arm.py against llama.cpp's sources, which
// store matrices as the processor wants them: four rows interleaved, by eight columns where it has
// the matrix product and by four where it has the dot product; row by row on others.
#include <cstdlib>
#include <cstring>
#include <vector>

#include "ggml-cpu/quants.h"
#include "ggml-cpu/repack.h"
#include "ggml-cpu/vec.h"
#include "ggml.h"

extern "C" {
[[gnu::noinline]] void BenchBegin() {
  __asm volatile("");
}
[[gnu::noinline]] void BenchEnd() {
  __asm volatile("");
}
}

namespace {

constexpr int kBlock = 32;            // columns that share a scale
constexpr int kRowsAtOnce = 4;        // rows of inputs of one interleaved product
constexpr size_t kQ8BlockBytes = 34;  // an FP16 scale and 32 codes
constexpr size_t kQ4BlockBytes = 18;

using Repacked = decltype(&ggml_gemv_q4_0_4x4_q8_0);
using Plain = decltype(&ggml_vec_dot_q4_0_q8_0);

struct Sizes {
  int inputs;
  int rows;
  int columns;
};

// The products of one row of inputs and of four; null where matrices lie row by row.
struct RepackedPair {
  Repacked one;
  Repacked four;
};

#if defined(__ARM_FEATURE_MATMUL_INT8)
constexpr RepackedPair kQ8 = {ggml_gemv_q8_0_4x8_q8_0, ggml_gemm_q8_0_4x8_q8_0};
constexpr RepackedPair kQ4 = {ggml_gemv_q4_0_4x8_q8_0, ggml_gemm_q4_0_4x8_q8_0};
#elif defined(__ARM_FEATURE_DOTPROD)
constexpr RepackedPair kQ8 = {ggml_gemv_q8_0_4x4_q8_0, ggml_gemm_q8_0_4x4_q8_0};
constexpr RepackedPair kQ4 = {ggml_gemv_q4_0_4x4_q8_0, ggml_gemm_q4_0_4x4_q8_0};
#else
constexpr RepackedPair kQ8 = {};
constexpr RepackedPair kQ4 = {};
#endif

void RunRepacked(RepackedPair functions, const void* weights, const void* inputs, float* out,
                 Sizes sizes) {
  const auto stride = static_cast<size_t>(sizes.rows);
  BenchBegin();
  if (sizes.inputs == 1) {
    functions.one(sizes.columns, out, stride, weights, inputs, 1, sizes.rows);
  } else {
    functions.four(sizes.columns, out, stride, weights, inputs, sizes.inputs, sizes.rows);
  }
  BenchEnd();
}

void RunPlain(Plain dot, const char* weights, size_t row_bytes, const char* inputs,
              size_t input_bytes, float* out, Sizes sizes) {
  BenchBegin();
  for (int input = 0; input < sizes.inputs; ++input) {
    for (int row = 0; row < sizes.rows; ++row) {
      dot(sizes.columns, out + input * sizes.rows + row, 0, weights + row * row_bytes, 0,
          inputs + input * input_bytes, 0, 1);
    }
  }
  BenchEnd();
}

bool Run(const char* format, Sizes sizes) {
  const bool q8 = std::strcmp(format, "int8") == 0;
  const bool q4 = std::strcmp(format, "int4") == 0;
  const bool fp32 = std::strcmp(format, "fp32") == 0;
  if (sizes.columns % kBlock != 0 || (sizes.inputs != 1 && sizes.inputs % kRowsAtOnce != 0)) {
    return false;
  }
  const auto blocks = static_cast<size_t>(sizes.columns / kBlock);
  const size_t input_bytes = fp32 ? sizes.columns * sizeof(float) : blocks * kQ8BlockBytes;
  const size_t row_bytes = q4 ? blocks * kQ4BlockBytes : input_bytes;
  const std::vector<char> weights(sizes.rows * row_bytes);
  const std::vector<char> inputs(sizes.inputs * input_bytes);
  std::vector<float> out(static_cast<size_t>(sizes.inputs * sizes.rows));
  const RepackedPair repacked = q8 ? kQ8 : kQ4;
  if (repacked.one != nullptr && (q8 || q4)) {
    RunRepacked(repacked, weights.data(), inputs.data(), out.data(), sizes);
  } else if (q8 || q4) {
    RunPlain(q8 ? ggml_vec_dot_q8_0_q8_0 : ggml_vec_dot_q4_0_q8_0, weights.data(), row_bytes,
             inputs.data(), input_bytes, out.data(), sizes);
  } else if (fp32) {
    const auto dot = [](int n, float* s, size_t bs, const void* x, size_t bx, const void* y,
                        size_t by, int count) {
      ggml_vec_dot_f32(n, s, bs, static_cast<const float*>(x), bx, static_cast<const float*>(y), by,
                       count);
    };
    RunPlain(dot, weights.data(), row_bytes, inputs.data(), input_bytes, out.data(), sizes);
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
  return Run(argv[1], {std::atoi(argv[2]), std::atoi(argv[3]), std::atoi(argv[4])}) ? 0 : 2;
}
