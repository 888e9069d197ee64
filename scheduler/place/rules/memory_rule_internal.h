// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A runner's peak memory beside the memories of a device, as the memory rule compares them. Pure.
#ifndef WATTLE_SCHEDULER_PLACE_RULES_MEMORY_RULE_INTERNAL_H_
#define WATTLE_SCHEDULER_PLACE_RULES_MEMORY_RULE_INTERNAL_H_

#include <cstdint>

#include "proto/peak_memory.h"
#include "wattle/v1/device.pb.h"

namespace wattle::scheduler {

// Of one memory.
struct MemoryNeed {
  // What a runner can have of it; 0: not known.
  [[nodiscard]] int64_t usable_bytes() const;
  // True where either is not known.
  [[nodiscard]] bool fits() const { return total_bytes <= 0 || bytes <= usable_bytes(); }

  int64_t bytes = 0;          // 0: nothing, or not known.
  int64_t total_bytes = 0;    // Of the memory; 0: not known.
  int64_t assumed_bytes = 0;  // Of `bytes`: for CUDA, as long as nobody measured it here.
};

struct MemoryNeeds {
  [[nodiscard]] bool fit() const { return host.fits() && card.fits(); }

  MemoryNeed host;
  MemoryNeed card;  // Of a GPU with memory of its own.
};

// What a runner of this estimated peak needs of the device as it meets it (ProcessorOf): with a GPU
// also what CUDA itself takes. A GPU other than a Jetson's whose memory the worker does not tell,
// as an older one, is judged as cores are.
MemoryNeeds NeedsOn(const v1::DeviceInfo& device, const PeakMemory& peak);

// What the runner's own memory is limited by (worker/sandbox/sandbox.h); 0: not known. Beside a
// card it is all of the estimate: drivers have mappings of their own.
int64_t PeakMemoryOn(const v1::DeviceInfo& device, const PeakMemory& peak);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_RULES_MEMORY_RULE_INTERNAL_H_
