// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Divides boards and jobs into blocks for the search (rearrange_internal.h). One search can handle
// 40 jobs and 1,000 pairs of job and board. A small fleet is one block: all boards and the first
// jobs. A larger fleet is cut into blocks. The jobs of a block have their places on its boards, so
// that each block can be arranged, and accepted or rejected, separately. Pure.
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
  std::vector<std::optional<RunStart>> starts;  // By job; nullopt: it has no place.
  std::vector<bool> usable;                     // By device: some job may run there.
};

struct SearchBlock {
  std::vector<size_t> devices;  // Indices in Snapshot::devices.
  std::vector<size_t> jobs;     // In planning order.
};

enum class FleetParts { kOne, kMany };

// The blocks with a possible gain: in each of them a job waits, because otherwise nothing can be
// arranged. A small fleet, and any fleet with kOne, is one block: all devices, and the first jobs
// of the order. Otherwise boards of one power group are in one block, and each block has its share
// of the boards for which most jobs wait and of the idle ones. Ties between boards go by name. At
// most eight blocks bound a plan's cost: of more boards only the busiest and the idlest are used.
// loads: of the devices, with their groups. order: the jobs that may be arranged.
std::vector<SearchBlock> SearchBlocks(const Snapshot& snapshot, const FleetLoads& loads,
                                      absl::Span<const size_t> order, const PlacesOfJobs& plan,
                                      FleetParts parts);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_SEARCH_BLOCKS_INTERNAL_H_
