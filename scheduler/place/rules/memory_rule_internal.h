// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Compares a runner's peak memory with the memories of a device, for the memory rule. Pure.
#ifndef WATTLE_SCHEDULER_PLACE_RULES_MEMORY_RULE_INTERNAL_H_
#define WATTLE_SCHEDULER_PLACE_RULES_MEMORY_RULE_INTERNAL_H_

#include <cstdint>

#include "proto/peak_memory.h"
#include "wattle/v1/device.pb.h"

namespace wattle::scheduler {

// The need of one memory.
struct MemoryNeed {
  // Part of it that a runner can use; 0: unknown.
  [[nodiscard]] int64_t usable_bytes() const;
  // True if either is unknown.
  [[nodiscard]] bool fits() const { return total_bytes <= 0 || bytes <= usable_bytes(); }

  int64_t bytes = 0;          // 0: none, or unknown.
  int64_t total_bytes = 0;    // size of the memory; 0: unknown
  int64_t assumed_bytes = 0;  // Part of `bytes` assumed for CUDA until it is measured on the board.
};

struct MemoryNeeds {
  [[nodiscard]] bool fit() const { return host.fits() && card.fits(); }

  MemoryNeed host;
  MemoryNeed card;  // For a GPU with its own memory.
};

// Needs of a runner with this estimated peak on the device as it is used (ProcessorOf): with a GPU
// also CUDA's own memory. A GPU other than a Jetson's, whose memory an older worker does not
// report, is judged like cores.
MemoryNeeds NeedsOn(const v1::DeviceInfo& device, const PeakMemory& peak);

// Limit of the runner's own memory (worker/sandbox/sandbox.h); 0: unknown. Beside a card the limit
// is the whole estimate, because drivers have their own mappings.
int64_t PeakMemoryOn(const v1::DeviceInfo& device, const PeakMemory& peak);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_RULES_MEMORY_RULE_INTERNAL_H_
