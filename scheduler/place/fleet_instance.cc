// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <optional>

#include "scheduler/place/fleet_instance_internal.h"
#include "scheduler/place/rules/anti_affinity.h"
#include "scheduler/timetable/amounts.h"

namespace wattle::scheduler {
namespace {

using timetable::Seconds;

// The index of what boards may share; is_new: it is the first board with it.
template <typename Shared>
int IndexOf(const Shared* shared, std::map<const Shared*, int>& known, bool& is_new) {
  const auto [entry, is_first] = known.emplace(shared, static_cast<int>(known.size()));
  is_new = is_first;
  return entry->second;
}

}  // namespace

FleetInstance::FleetInstance(const Snapshot& snapshot, const FleetLoads& loads,
                             absl::Span<const size_t> of)
    : devices(of.begin(), of.end()), snapshot_(&snapshot) {
  const Seconds now = absl::ToUnixSeconds(snapshot.now);
  std::map<const timetable::Pack*, int> packs;
  std::map<const timetable::Supply*, int> supplies;
  for (const size_t i : devices) {
    const DeviceLoad& load = loads[i];
    timetable::InstanceDevice device;
    bool is_new = false;
    if (load.pack != nullptr) {
      device.pack = IndexOf(load.pack.get(), packs, is_new);
      if (is_new) {
        AddPack(*load.pack);
      }
    }
    if (load.supply != nullptr) {
      device.supply = IndexOf(load.supply.get(), supplies, is_new);
      if (is_new) {
        AddSupply(*load.supply);
      }
    }
    if (const Seconds free_at = timetable::UnixSecondsUp(load.free_at); free_at > now) {
      device.closed.push_back({.begin = now, .end = free_at});
    }
    instance.devices.push_back(std::move(device));
  }
}

void FleetInstance::AddPack(const timetable::Pack& pack) {
  const int index = static_cast<int>(instance.packs.size());
  instance.packs.push_back(pack.spec());
  for (const timetable::Demand& run : pack.demands()) {
    instance.settled.push_back({.pack = index, .begin = run.begin, .draw = run.draw});
  }
}

void FleetInstance::AddSupply(const timetable::Supply& supply) {
  const int index = static_cast<int>(instance.supplies.size());
  instance.supplies.push_back(supply.spec());
  for (const timetable::SupplyRun& run : supply.runs()) {
    instance.settled.push_back(
        {.supply = index, .begin = run.begin, .draw = {.length = run.length, .power = run.power}});
  }
}

int FleetInstance::GroupOf(const v1::JobSpec& spec) {
  if (!spec.has_apart()) {
    return timetable::kBesideAny;
  }
  const auto [group, is_new] =
      groups_.emplace(AntiAffinityGroupOf(spec), static_cast<int>(instance.groups.size()));
  if (is_new) {
    // Jobs of this group cannot run on a device that lacks the label.
    std::map<std::optional<std::string>, int> known;
    std::vector<int>& places = instance.groups.emplace_back().places;
    for (const size_t i : devices) {
      const auto place = PlaceFor(spec.apart(), snapshot_->devices[i].device.info());
      places.push_back(known.emplace(place, static_cast<int>(known.size())).first->second);
    }
  }
  return group->second;
}

}  // namespace wattle::scheduler
