// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The table of one instruction set: every algorithm over the sixteen lanes of lanes_*.h, one of
// which is included before this file.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_ISA_TABLE_INL_H_
#define WATTLE_WORKER_ENGINE_KERNELS_ISA_TABLE_INL_H_

#include "worker/engine/kernels/isa/attention_inl.h"
#include "worker/engine/kernels/isa/float_weights_inl.h"
#include "worker/engine/kernels/isa/kernel_table.h"
#include "worker/engine/kernels/isa/products_inl.h"
#include "worker/engine/kernels/isa/six_bits_inl.h"
#include "worker/engine/kernels/isa/training_inl.h"

namespace wattle::kernels {
namespace {

constexpr KernelTable TableOverLanes(const char* name) {
  return {.name = name,
          .float32 = FloatProduct<float>,
          .int8 = Int8Product<false>,
          .int4 = NibbleProduct<Nibble::kSymmetric>,
          .int4_asymmetric = NibbleProduct<Nibble::kAsymmetric>,
          .nf4 = NibbleProduct<Nibble::kTable>,
          .int8_grouped = Int8Product<true>,
          .float16 = FloatProduct<Half>,
          .bfloat16 = FloatProduct<Bfloat>,
          .int6 = Int6Product,
          .quantize_input = QuantizeInput,
          .normalize = Normalize,
          .attend = Attend,
          .activate = Activate,
          .arg_max = ArgMax,
          .adamw = AdamW,
          .sum_of_squares = SquaresSum,
          .philox_bits = PhiloxBits,
          .drop_out = DropOut,
          .activate_backward = ActivateBackward,
          .softmax = Softmax,
          .softmax_backward = SoftmaxBackward};
}

}  // namespace
}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_ISA_TABLE_INL_H_
