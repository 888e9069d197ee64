// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/upgrade_watch.h"

#include "absl/strings/str_cat.h"

namespace wattle::sim {
namespace {

// Within one stage; this many stop the upgrade.
constexpr int kRollBacksMax = 2;

}  // namespace

std::string UpgradeWatch::OnEvent(const v1::Event& event) {
  if (event.has_upgrade_started()) {
    open_ = event.upgrade_started().upgrade();
    devices_.clear();
    for (const v1::DeviceUpgrade& device : open_.devices()) {
      devices_[device.device_id()] = device;
    }
  } else if (event.has_device_upgrade_changed() &&
             event.device_upgrade_changed().upgrade_id() == open_.upgrade_id()) {
    return OnDevice(event.device_upgrade_changed().device());
  } else if (event.has_upgrade_state_changed()) {
    ended_ += event.upgrade_state_changed().state() == v1::UPGRADE_STATE_FINISHED ? 1 : 0;
  }
  return "";
}

std::string UpgradeWatch::OnDevice(const v1::DeviceUpgrade& device) {
  devices_[device.device_id()] = device;
  rolled_back_ += device.state() == v1::DEVICE_UPGRADE_STATE_ROLLED_BACK ? 1 : 0;
  if (device.state() != v1::DEVICE_UPGRADE_STATE_ORDERED) {
    return "";
  }
  std::map<int, int> back;  // by stage
  for (const auto& [id, other] : devices_) {
    if (other.state() == v1::DEVICE_UPGRADE_STATE_ROLLED_BACK &&
        ++back[other.stage()] >= kRollBacksMax) {
      return absl::StrCat(device.device_id(), " was ordered to run ", open_.version(), " although ",
                          kRollBacksMax, " boards of stage ", other.stage() + 1, " went back");
    }
  }
  return "";
}

}  // namespace wattle::sim
