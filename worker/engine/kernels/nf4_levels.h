// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The sixteen levels of NF4 in units of 1/127 of a group's scale (see nf4_format.cc).
#ifndef WATTLE_WORKER_ENGINE_KERNELS_NF4_LEVELS_H_
#define WATTLE_WORKER_ENGINE_KERNELS_NF4_LEVELS_H_

#include <cstdint>

namespace wattle::kernels {

inline constexpr int8_t kNf4Levels[16] = {-127, -88, -67, -50, -36, -23, -12, 0,
                                          10,   20,  31,  43,  56,  71,  92,  127};

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_NF4_LEVELS_H_
