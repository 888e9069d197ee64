// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "scheduler/place/search_blocks_internal.h"

namespace wattle::scheduler {
namespace {

// Capacity of a search in jobs, and in pairs of job and device.
constexpr size_t kJobsMax = 40;
constexpr size_t kPairsMax = 1'000;
constexpr size_t kDevicesMax = kPairsMax / kJobsMax;
constexpr size_t kBlocksMax = 8;

// Boards that stay together: a single one, or those of a power group.
struct Unit {
  std::vector<size_t> devices;
  int waiting = 0;  // Number of waiting jobs.
  double end_in_seconds = 0;
  std::string name;  // First name of its devices, with the id.
};

bool Waits(const std::optional<RunStart>& start) {
  return !start.has_value() || start->start_in_seconds > 0;
}

std::vector<Unit> UnitsOf(const Snapshot& snapshot, const FleetLoads& loads,
                          const PlacesOfJobs& plan) {
  std::vector<Unit> units;
  std::map<const PowerGroup*, size_t> of_group;
  std::vector<std::optional<size_t>> of_device(loads.size());
  for (size_t device = 0; device < loads.size(); ++device) {
    if (!plan.usable[device]) {
      continue;
    }
    size_t unit = units.size();
    if (const PowerGroup* const group = loads[device].group.get(); group != nullptr) {
      unit = of_group.emplace(group, unit).first->second;
    }
    if (unit == units.size()) {
      units.emplace_back();
    }
    const v1::DeviceInfo& info = snapshot.devices[device].device.info();
    const std::string name = info.name() + "|" + info.device_id();
    Unit& one = units[unit];
    one.name = one.devices.empty() ? name : std::min(one.name, name);
    one.devices.push_back(device);
    of_device[device] = unit;
  }
  for (const std::optional<RunStart>& start : plan.starts) {
    if (start.has_value() && of_device[start->device].has_value()) {
      Unit& unit = units[*of_device[start->device]];
      unit.waiting += Waits(start) ? 1 : 0;
      unit.end_in_seconds = std::max(unit.end_in_seconds, start->finish_in_seconds);
    }
  }
  std::sort(units.begin(), units.end(), [](const Unit& a, const Unit& b) {
    return std::tie(b.waiting, b.end_in_seconds, a.name) <
           std::tie(a.waiting, a.end_in_seconds, b.name);
  });
  return units;
}

SearchBlock FirstJobs(size_t devices, absl::Span<const size_t> order) {
  SearchBlock block;
  for (size_t device = 0; device < devices; ++device) {
    block.devices.push_back(device);
  }
  const size_t most = std::min(kJobsMax, kPairsMax / std::max<size_t>(1, devices));
  const absl::Span<const size_t> first = order.subspan(0, most);
  block.jobs.assign(first.begin(), first.end());
  return block;
}

// Deals the units to blocks like cards, so that each block has busy and idle ones.
std::vector<SearchBlock> Deal(std::vector<Unit> units, absl::Span<const size_t> order,
                              const PlacesOfJobs& plan) {
  if (constexpr size_t kMost = kBlocksMax * kDevicesMax; units.size() > kMost) {
    units.erase(units.begin() + kMost / 2, units.end() - kMost / 2);
  }
  std::vector<SearchBlock> blocks((units.size() + kDevicesMax - 1) / kDevicesMax);
  std::vector<std::optional<size_t>> of_device(plan.usable.size());
  for (size_t unit = 0; unit < units.size(); ++unit) {
    const size_t block = unit % blocks.size();
    if (blocks[block].devices.size() + units[unit].devices.size() <= kDevicesMax) {
      for (const size_t device : units[unit].devices) {
        blocks[block].devices.push_back(device);
        of_device[device] = block;
      }
    }
  }
  for (const size_t job : order) {
    const std::optional<RunStart>& start = plan.starts[job];
    if (!start.has_value() || !of_device[start->device].has_value()) {
      continue;
    }
    std::vector<size_t>& jobs = blocks[*of_device[start->device]].jobs;
    if (jobs.size() < kJobsMax) {
      jobs.push_back(job);
    }
  }
  return blocks;
}

}  // namespace

std::vector<SearchBlock> SearchBlocks(const Snapshot& snapshot, const FleetLoads& loads,
                                      absl::Span<const size_t> order, const PlacesOfJobs& plan,
                                      FleetParts parts) {
  std::vector<SearchBlock> blocks;
  if (parts == FleetParts::kOne || loads.size() <= kDevicesMax) {
    blocks.push_back(FirstJobs(loads.size(), order));
  } else {
    blocks = Deal(UnitsOf(snapshot, loads, plan), order, plan);
  }
  std::erase_if(blocks, [&plan](const SearchBlock& block) {
    return block.jobs.size() < 2 ||
           std::none_of(block.jobs.begin(), block.jobs.end(),
                        [&plan](size_t job) { return Waits(plan.starts[job]); });
  });
  return blocks;
}

}  // namespace wattle::scheduler
