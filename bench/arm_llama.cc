// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// arm_llama FORMAT INPUTS ROWS COLUMNS: the product of arm_products.cc by llama.cpp's kernels,
// between the same marks. Compiled by bench/arm.py against llama.cpp's sources, which store
// matrices in the processor's layout: four rows interleaved, by eight columns where it has the
// matrix product and by four where it has the dot product; row by row on others.
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

constexpr int kRowsAtOnce = 4;  // rows of inputs of one interleaved product

using Repacked = decltype(&ggml_gemv_q4_0_4x4_q8_0);
using Plain = decltype(&ggml_vec_dot_q4_0_q8_0);

struct Sizes {
  int inputs;
  int rows;
  int columns;
};

// The products of one row of inputs and of four; null if matrices are stored row by row.
struct RepackedPair {
  Repacked one;
  Repacked four;
};

#if defined(__ARM_FEATURE_MATMUL_INT8)
constexpr RepackedPair kQ8 = {ggml_gemv_q8_0_4x8_q8_0, ggml_gemm_q8_0_4x8_q8_0};
constexpr RepackedPair kQ4 = {ggml_gemv_q4_0_4x8_q8_0, ggml_gemm_q4_0_4x8_q8_0};
constexpr RepackedPair kQ6 = {ggml_gemv_q6_K_8x8_q8_K, ggml_gemm_q6_K_8x8_q8_K};
#elif defined(__ARM_FEATURE_DOTPROD)
constexpr RepackedPair kQ8 = {ggml_gemv_q8_0_4x4_q8_0, ggml_gemm_q8_0_4x4_q8_0};
constexpr RepackedPair kQ4 = {ggml_gemv_q4_0_4x4_q8_0, ggml_gemm_q4_0_4x4_q8_0};
constexpr RepackedPair kQ6 = {ggml_gemv_q6_K_8x4_q8_K, ggml_gemm_q6_K_8x4_q8_K};
#else
constexpr RepackedPair kQ8 = {};
constexpr RepackedPair kQ4 = {};
constexpr RepackedPair kQ6 = {};
#endif

template <typename T, auto kDot>
void DotOf(int n, float* s, size_t bs, const void* x, size_t bx, const void* y, size_t by,
           int count) {
  kDot(n, s, bs, static_cast<T*>(const_cast<void*>(x)), bx, static_cast<T*>(const_cast<void*>(y)),
       by, count);
}

struct Form {
  const char* name;     // the name in arm_products.cc
  int block;            // columns that share a scale
  size_t weight_bytes;  // of a block
  size_t input_bytes;
  RepackedPair repacked;
  Plain dot;
};
// Q8_0: an FP16 scale and 32 codes. Q6_K has 210 bytes for 256 columns, its inputs an FP32 scale,
// the codes, and sums of 16 codes each.
constexpr Form kForms[] = {{"fp32", 1, 4, 4, {}, DotOf<float, ggml_vec_dot_f32>},
                           {"fp16", 1, 2, 2, {}, DotOf<ggml_fp16_t, ggml_vec_dot_f16>},
                           {"bf16", 1, 2, 2, {}, DotOf<ggml_bf16_t, ggml_vec_dot_bf16>},
                           {"int8", 32, 34, 34, kQ8, ggml_vec_dot_q8_0_q8_0},
                           {"int8_g32", 32, 34, 34, kQ8, ggml_vec_dot_q8_0_q8_0},
                           {"int6", 256, 210, 292, kQ6, ggml_vec_dot_q6_K_q8_K},
                           {"int4", 32, 18, 34, kQ4, ggml_vec_dot_q4_0_q8_0}};

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
  if (sizes.inputs != 1 && sizes.inputs % kRowsAtOnce != 0) {
    return false;
  }
  for (const Form& form : kForms) {
    if (std::strcmp(format, form.name) != 0 || sizes.columns % form.block != 0) {
      continue;
    }
    const auto blocks = static_cast<size_t>(sizes.columns / form.block);
    const size_t row_bytes = blocks * form.weight_bytes;
    const size_t input_bytes = blocks * form.input_bytes;
    const std::vector<char> weights(sizes.rows * row_bytes);
    const std::vector<char> inputs(sizes.inputs * input_bytes);
    std::vector<float> out(static_cast<size_t>(sizes.inputs * sizes.rows));
    if (form.repacked.one != nullptr) {
      RunRepacked(form.repacked, weights.data(), inputs.data(), out.data(), sizes);
    } else {
      RunPlain(form.dot, weights.data(), row_bytes, inputs.data(), input_bytes, out.data(), sizes);
    }
    return true;
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    return 2;
  }
  return Run(argv[1], {std::atoi(argv[2]), std::atoi(argv[3]), std::atoi(argv[4])}) ? 0 : 2;
}
