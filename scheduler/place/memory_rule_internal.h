// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A runner's peak memory beside a board's memory, as the memory rule compares them. Pure.
#ifndef WATTLE_SCHEDULER_PLACE_MEMORY_RULE_INTERNAL_H_
#define WATTLE_SCHEDULER_PLACE_MEMORY_RULE_INTERNAL_H_

#include <cstdint>

#include "wattle/v1/device.pb.h"

namespace wattle::scheduler {

// Of the board's memory, what a runner can have; 0: not known.
int64_t UsableMemoryBytes(const v1::DeviceInfo& device);
// Of the board's memory, what a runner of this estimated peak takes: on a Jetson also what CUDA
// itself takes. 0: not known.
int64_t PeakMemoryOn(const v1::DeviceInfo& device, int64_t peak_memory_bytes);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_MEMORY_RULE_INTERNAL_H_
