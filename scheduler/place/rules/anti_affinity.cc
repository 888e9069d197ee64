// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/place/rules/anti_affinity.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"

#include "base/fault_point.h"
#include "policy/selector.h"
#include "proto/project_name.h"

namespace wattle::scheduler {
namespace {

// The devices in the place of this one.
std::vector<size_t> InPlaceOf(const Snapshot& snapshot, const v1::Apart& apart, size_t device) {
  std::vector<size_t> devices;
  if (WATTLE_FAULT_POINT("apart")) {
    return devices;
  }
  const v1::DeviceInfo& on = snapshot.devices[device].device.info();
  for (size_t i = 0; i < snapshot.devices.size(); ++i) {
    if (IsOnePlace(apart, on, snapshot.devices[i].device.info())) {
      devices.push_back(i);
    }
  }
  return devices;
}

}  // namespace

std::string AntiAffinityGroupOf(const v1::JobSpec& spec) {
  if (!spec.has_apart()) {
    return "";
  }
  const std::string project = ProjectName(spec.project());
  const std::string& by = spec.apart().by();
  return absl::StrCat(project.size(), ":", project, by.size(), ":", by, spec.apart().group());
}

std::optional<std::string> PlaceFor(const v1::Apart& apart, const v1::DeviceInfo& device) {
  if (apart.by().empty()) {
    return device.device_id();
  }
  const std::optional<absl::string_view> value = policy::LabelValue(device, apart.by());
  return value.has_value() ? std::optional<std::string>(*value) : std::nullopt;
}

bool IsOnePlace(const v1::Apart& apart, const v1::DeviceInfo& one, const v1::DeviceInfo& other) {
  const std::optional<std::string> place = PlaceFor(apart, one);
  return one.device_id() == other.device_id() ||
         (place.has_value() && PlaceFor(apart, other) == place);
}

size_t PlacesOf(const v1::Apart& apart, const std::vector<DeviceView>& devices) {
  std::set<std::string> places;
  for (const DeviceView& view : devices) {
    if (std::optional<std::string> place = PlaceFor(apart, view.device.info())) {
      places.insert(*std::move(place));
    }
  }
  return places.size();
}

void HoldAntiAffinity(const Snapshot& snapshot, std::vector<DeviceLoad>& loads) {
  for (const auto& [key, group] : snapshot.anti_affinity) {
    for (const auto& [id, job] : group.jobs) {
      const auto on = std::find_if(
          snapshot.devices.begin(), snapshot.devices.end(), [&job = job](const DeviceView& view) {
            return job.device.has_value() && view.device.info().device_id() == job.device->value();
          });
      if (on != snapshot.devices.end()) {
        const auto device = static_cast<size_t>(on - snapshot.devices.begin());
        for (const size_t held : InPlaceOf(snapshot, group.anti_affinity, device)) {
          loads[held].anti_affinity.push_back({.group = key,
                                               .job = id,
                                               .device = device,
                                               .how = job.succeeded
                                                          ? AntiAffinityHold::How::kSucceeded
                                                          : AntiAffinityHold::How::kOpen});
        }
      }
    }
  }
}

void HoldAntiAffinity(const Snapshot& snapshot, const JobView& job, size_t device,
                      FleetLoads& loads) {
  if (job.spec.has_apart()) {
    for (const size_t held : InPlaceOf(snapshot, job.spec.apart(), device)) {
      loads.Mutable(held).anti_affinity.push_back({.group = AntiAffinityGroupOf(job.spec),
                                                   .job = job.id,
                                                   .device = device,
                                                   .how = AntiAffinityHold::How::kPlanned});
    }
  }
}

}  // namespace wattle::scheduler
