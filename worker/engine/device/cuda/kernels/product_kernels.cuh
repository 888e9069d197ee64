// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The kernels that each format has: products of up to one, two, four and eight rows, and the rows
// of tokens.
#pragma once

#include "epilogue.cuh"

#define WATTLE_PRODUCT_KERNEL(name, kThreads, Arguments, call)                                \
  __global__ void __launch_bounds__(kThreads, kProductBlocksAtOnce* kBlockThreads / kThreads) \
      name(Arguments a) {                                                                     \
    call;                                                                                     \
  }

#define WATTLE_PRODUCT_KERNELS(name, kThreads, Product, Embed, Format)                   \
  extern "C" {                                                                           \
  WATTLE_PRODUCT_KERNEL(product_##name##_rows1, kThreads, ProductArguments,              \
                        (Product<Format, 1>(a)))                                         \
  WATTLE_PRODUCT_KERNEL(product_##name##_rows2, kThreads, ProductArguments,              \
                        (Product<Format, 2>(a)))                                         \
  WATTLE_PRODUCT_KERNEL(product_##name##_rows4, kThreads, ProductArguments,              \
                        (Product<Format, 4>(a)))                                         \
  WATTLE_PRODUCT_KERNEL(product_##name##_rows8, kThreads, ProductArguments,              \
                        (Product<Format, 8>(a)))                                         \
  WATTLE_PRODUCT_KERNEL(embed_##name, kBlockThreads, EmbedArguments, (Embed<Format>(a))) \
  }
