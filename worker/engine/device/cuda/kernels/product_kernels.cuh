// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The kernels of each format: products of up to one, two, four and eight rows, the rows of tokens,
// and dequantized rows for tensor cores.
#pragma once

#include "epilogue.cuh"

// Blocks that a multiprocessor should hold at the same time.
#define WATTLE_PRODUCT_BLOCKS(kThreads) \
  (kThreads == kWideThreads ? kWideBlocksAtOnce : kProductBlocksAtOnce * kBlockThreads / kThreads)

#define WATTLE_PRODUCT_KERNEL(name, kThreads, rows, Product, Format)           \
  __global__ void __launch_bounds__(kThreads, WATTLE_PRODUCT_BLOCKS(kThreads)) \
      product_##name##_rows##rows(ProductArguments a) {                        \
    Product<Format, rows>(a);                                                  \
  }

#define WATTLE_PRODUCT_KERNELS(name, kOneRowThreads, kThreads, Product, Embed, Dequantize, Format) \
  extern "C" {                                                                                     \
  WATTLE_PRODUCT_KERNEL(name, kOneRowThreads, 1, Product, Format)                                  \
  WATTLE_PRODUCT_KERNEL(name, kThreads, 2, Product, Format)                                        \
  WATTLE_PRODUCT_KERNEL(name, kThreads, 4, Product, Format)                                        \
  WATTLE_PRODUCT_KERNEL(name, kThreads, 8, Product, Format)                                        \
  __global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce) embed_                    \
      ##name(EmbedArguments a) {                                                                   \
    Embed<Format>(a);                                                                              \
  }                                                                                                \
  __global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce) dequantize_               \
      ##name(DequantizeArguments a) {                                                              \
    Dequantize<Format>(a);                                                                         \
  }                                                                                                \
  }
