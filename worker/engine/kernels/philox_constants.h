// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Multipliers and Weyl constants of Philox4x32-10: the paper's section 3.3, Random123's philox.h.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_PHILOX_CONSTANTS_H_
#define WATTLE_WORKER_ENGINE_KERNELS_PHILOX_CONSTANTS_H_

#include <cstdint>

namespace wattle::kernels {

inline constexpr uint32_t kMultiplier0 = 0xD2511F53U;
inline constexpr uint32_t kMultiplier1 = 0xCD9E8D57U;
inline constexpr uint32_t kWeyl0 = 0x9E3779B9U;
inline constexpr uint32_t kWeyl1 = 0xBB67AE85U;
inline constexpr int kRounds = 10;

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_PHILOX_CONSTANTS_H_
