// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <string>

#include "absl/strings/str_cat.h"

#include "coordinator/core/upgrades.h"
#include "units/format.h"

namespace wattle::core {
namespace {

std::string ProgressText(const v1::UpgradeProgress& progress) {
  return absl::StrCat(progress.phase(),
                      progress.size_bytes() > 0 && progress.fetched_bytes() < progress.size_bytes()
                          ? absl::StrCat(", ", FormatBytes(progress.fetched_bytes()), " of ",
                                         FormatBytes(progress.size_bytes()))
                          : "");
}

// What a device that has not finished waits for; "": its turn.
std::string WaitsFor(const Observations& observations, const v1::Upgrade& upgrade,
                     const v1::DeviceUpgrade& device, const Instant& now) {
  const DeviceId id(device.device_id());
  const bool ordered = device.state() == v1::DEVICE_UPGRADE_STATE_ORDERED;
  if (!IsReachable(observations, id, now.monotonic)) {
    const absl::Duration silent = now.monotonic - LastContact(observations, id);
    return absl::StrCat("not heard of for ", FormatElapsed(silent),
                        ordered ? "" : "; is ordered when it is back");
  }
  const v1::UpgradeProgress& progress = observations.devices.at(id).heartbeat.upgrade();
  if (ordered && progress.upgrade_id() == upgrade.upgrade_id()) {
    return ProgressText(progress);
  }
  if (ordered) {
    return "has not answered yet";
  }
  return device.stage() > upgrade.stage() ? absl::StrCat("for stage ", device.stage() + 1)
                                          : "for its turn in the stage";
}

}  // namespace

v1::Upgrade DescribeUpgrade(const State& state, const Observations& observations,
                            const v1::Upgrade& upgrade, const Instant& now) {
  v1::Upgrade view = upgrade;
  const bool open =
      upgrade.state() == v1::UPGRADE_STATE_RUNNING || upgrade.state() == v1::UPGRADE_STATE_PAUSED;
  for (v1::DeviceUpgrade& device : *view.mutable_devices()) {
    const bool ordered = device.state() == v1::DEVICE_UPGRADE_STATE_ORDERED;
    if (!ordered && device.state() != v1::DEVICE_UPGRADE_STATE_WAITING) {
      continue;
    }
    if (const v1::DeviceRecord* const record = FindDevice(state, DeviceId(device.device_id()));
        record != nullptr) {
      device.set_device_name(record->info().name());
    }
    device.set_reason(!open ? (ordered ? "the order was taken back" : "was not begun")
                      : upgrade.state() == v1::UPGRADE_STATE_PAUSED && !ordered
                          ? "the upgrade is paused"
                          : WaitsFor(observations, upgrade, device, now));
  }
  return view;
}

}  // namespace wattle::core
