// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Shared by all kernels on x86's matrix unit (AMX). Only files that are compiled for AMX include
// this.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_ISA_AMX_TILES_H_
#define WATTLE_WORKER_ENGINE_KERNELS_ISA_AMX_TILES_H_

#include <cstdint>

namespace wattle::kernels {
namespace {

// The operand of _tile_loadconfig (Intel's manual, LDTILECFG).
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

// GCC 12's tile intrinsics do not declare which memory they read, so earlier stores must be
// completed first.
inline void FinishStores() {
  asm volatile("" ::: "memory");
}

}  // namespace
}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_ISA_AMX_TILES_H_
