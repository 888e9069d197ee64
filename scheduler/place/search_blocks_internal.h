// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Which boards and jobs the search (rearrange_internal.h) looks at together. One search bears 40
// jobs and 1,000 pairs of job and board. A small fleet is one block: all boards and the first jobs.
// A larger fleet is cut into blocks. A block's jobs have their places on its boards, so that a
// block can be arranged, and taken or refused, without the others. Pure.
#ifndef WATTLE_SCHEDULER_PLACE_SEARCH_BLOCKS_INTERNAL_H_
#define WATTLE_SCHEDULER_PLACE_SEARCH_BLOCKS_INTERNAL_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "absl/types/span.h"

#include "scheduler/place/device/device_load.h"
#include "scheduler/place/rearrange_internal.h"
#include "scheduler/place/snapshot.h"

namespace wattle::scheduler {

// A plan of the queue.
struct PlacesOfJobs {
  std::vector<std::optional<RunStart>> starts;  // Of each job; nullopt: it has no place.
  std::vector<bool> usable;                     // Of each device: some job may run there.
};

struct SearchBlock {
  std::vector<size_t> devices;  // Indices in Snapshot::devices.
  std::vector<size_t> jobs;     // In planning order.
};

enum class FleetParts { kOne, kMany };

// The blocks that may gain: in each of them a job waits. Without one nothing can be arranged.
// A small fleet is always one part: all devices, and the first jobs of the order. So is any fleet
// with kOne. Else boards of one power group are in one block, and each block has its share of the
// boards for which most jobs wait and of the idle ones. Names decide where boards are alike. There
// are at most eight blocks, so that a plan's cost has a bound: of more boards the busiest and the
// idlest count.
// loads: of the devices, with their groups. order: the jobs that may be arranged.
std::vector<SearchBlock> SearchBlocks(const Snapshot& snapshot, const FleetLoads& loads,
                                      absl::Span<const size_t> order, const PlacesOfJobs& plan,
                                      FleetParts parts);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_SEARCH_BLOCKS_INTERNAL_H_
