// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The kernels for x86 processors with AVX2, FMA and F16C (2013 and later).
#include "worker/engine/kernels/isa/lanes_avx2.h"
// Over those lanes:
#include "worker/engine/kernels/isa/attention_inl.h"
#include "worker/engine/kernels/isa/products_inl.h"
#include "worker/engine/kernels/isa/tables_internal.h"
#include "worker/engine/kernels/isa/training_inl.h"

namespace wattle::kernels {

const KernelTable& Avx2Kernels() {
  static constexpr KernelTable kTable = {.name = "avx2",
                                         .float32 = Float32Product,
                                         .int8 = Int8Product,
                                         .int4 = NibbleProduct<Nibble::kSymmetric>,
                                         .int4_asymmetric = NibbleProduct<Nibble::kAsymmetric>,
                                         .nf4 = NibbleProduct<Nibble::kTable>,
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
  return kTable;
}

}  // namespace wattle::kernels
