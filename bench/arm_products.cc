// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// arm_products TABLE FORMAT INPUTS ROWS COLUMNS: one product by our kernels for ARM, between two
// marks. bench/arm.py lets qemu list the instructions that run between the marks. The kernels run
// the same instructions for all numbers, so the numbers are zero; matmul_test.cc checks the
// results.
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "worker/engine/kernels/isa/float_kernels.h"
#include "worker/engine/kernels/isa/kernel_table.h"

extern "C" {
[[gnu::noinline]] void BenchBegin() {
  __asm volatile("");
}
[[gnu::noinline]] void BenchEnd() {
  __asm volatile("");
}
}

namespace wattle::kernels {
namespace {

constexpr int64_t kInt8InputGroup = 128;
constexpr int64_t kNibbleGroup = 64;
constexpr int64_t kInt8Group = 32;
constexpr int64_t kInt6Group = 16;

struct Sizes {
  int64_t inputs;
  int64_t rows;
  int64_t columns;
};

// Zeros with the alignment of packed weights.
template <typename T>
T* Zeros(int64_t count) {
  const auto bytes = static_cast<size_t>(count) * sizeof(T) / 64 * 64 + 64;
  void* memory = std::aligned_alloc(64, bytes);
  if (memory == nullptr) {
    std::abort();
  }
  return static_cast<T*>(std::memset(memory, 0, bytes));
}

void MultiplyPacked(ProductFunction function, int64_t group, Sizes sizes) {
  const int64_t groups = sizes.columns / group;
  const Product product = {.packed = Zeros<float>(sizes.rows * sizes.columns),
                           .scales = Zeros<float>(sizes.rows * groups),
                           .rows = sizes.rows,
                           .columns = sizes.columns,
                           .group = group,
                           .inputs = {.count = sizes.inputs,
                                      .values = Zeros<float>(sizes.inputs * sizes.columns),
                                      .value_stride = sizes.columns,
                                      .codes = Zeros<int8_t>(sizes.inputs * sizes.columns),
                                      .code_stride = sizes.columns,
                                      .scales = Zeros<float>(sizes.inputs * groups),
                                      .sums = Zeros<int32_t>(sizes.inputs * groups),
                                      .groups = groups,
                                      .group = group},
                           .out = Zeros<float>(sizes.inputs * sizes.rows),
                           .out_stride = sizes.rows,
                           .scratch = Zeros<uint8_t>(sizes.columns * kProductScratchBytesOfColumn)};
  BenchBegin();
  function(product, 0, sizes.rows / 16);
  BenchEnd();
}

// Rounded factors of training, already packed; inputs are the rows of the left factor.
void MultiplyFloats(const FloatFunctions& functions, Sizes sizes) {
  const FloatStrip strip = {.left = Zeros<float>((sizes.inputs + 16) * sizes.columns),
                            .right = Zeros<float>(sizes.rows * sizes.columns),
                            .rows = sizes.inputs,
                            .columns = sizes.rows,
                            .terms = sizes.columns,
                            .out = Zeros<float>(sizes.inputs * sizes.rows),
                            .out_stride = sizes.rows};
  BenchBegin();
  functions.multiply(strip);
  BenchEnd();
}

bool Run(const KernelTable& table, const char* format, Sizes sizes) {
  if (std::strcmp(format, "training") == 0) {
    MultiplyFloats(NeonFloatKernels().bf16, sizes);
    return true;
  }
  const struct {
    const char* name;
    ProductFunction function;
    int64_t group;
  } forms[] = {{"fp32", table.float32, sizes.columns},
               {"fp16", table.float16, sizes.columns},
               {"bf16", table.bfloat16, sizes.columns},
               {"int8", table.int8, kInt8InputGroup},
               {"int8_g32", table.int8_grouped, kInt8Group},
               {"int6", table.int6, kInt6Group},
               {"int4", table.int4, kNibbleGroup},
               {"int4_asymmetric", table.int4_asymmetric, kNibbleGroup},
               {"nf4", table.nf4, kNibbleGroup}};
  for (const auto& form : forms) {
    if (std::strcmp(format, form.name) == 0) {
      MultiplyPacked(form.function, form.group, sizes);
      return true;
    }
  }
  return false;
}

}  // namespace
}  // namespace wattle::kernels

int main(int argc, char** argv) {
  using namespace wattle::kernels;
  if (argc != 6) {
    return 2;
  }
  for (const KernelTable* table : {&NeonKernels(), &NeonDotprodKernels(), &NeonI8mmKernels()}) {
    if (std::strcmp(argv[1], table->name) == 0) {
      return Run(*table, argv[2], {std::atoll(argv[3]), std::atoll(argv[4]), std::atoll(argv[5])})
                 ? 0
                 : 2;
    }
  }
  return 2;
}
