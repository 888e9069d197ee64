// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The nonlinearities of MLPs and their derivatives, element by element. Every processor gives the
// same bits. Thread-safe on disjoint ranges.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_ACTIVATION_H_
#define WATTLE_WORKER_ENGINE_KERNELS_ACTIVATION_H_

#include <cstdint>

#include "worker/engine/kernels/instruction_set.h"
#include "worker/engine/kernels/isa/kernel_table.h"

namespace wattle::kernels {

// out[i] = f(x[i]).
void Activate(Nonlinearity f, const float* x, int64_t count, float* out,
              const KernelTable& kernels = BestKernels());

// grad_x[i] = grad_out[i] f'(x[i]).
void ActivateBackward(Nonlinearity f, const float* grad_out, const float* x, int64_t count,
                      float* grad_x, const KernelTable& kernels = BestKernels());

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_ACTIVATION_H_
