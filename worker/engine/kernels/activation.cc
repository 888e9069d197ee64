// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/kernels/activation.h"

#include <algorithm>

namespace wattle::kernels {
namespace {

// Number of elements that stay in the L1 cache from the copy to the computation.
constexpr int64_t kPiece = 1 << 11;

}  // namespace

void Activate(Nonlinearity f, const float* x, int64_t count, float* out,
              const KernelTable& kernels) {
  for (int64_t first = 0; first < count; first += kPiece) {
    const int64_t piece = std::min(kPiece, count - first);
    std::copy_n(x + first, piece, out + first);
    kernels.activate(f, piece, nullptr, out + first);
  }
}

void ActivateBackward(Nonlinearity f, const float* grad_out, const float* x, int64_t count,
                      float* grad_x, const KernelTable& kernels) {
  for (int64_t first = 0; first < count; first += kPiece) {
    const int64_t piece = std::min(kPiece, count - first);
    std::copy_n(grad_out + first, piece, grad_x + first);
    kernels.activate_backward(f, piece, x + first, grad_x + first);
  }
}

}  // namespace wattle::kernels
