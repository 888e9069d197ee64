// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "policy/selector.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"

#include "proto/board_class.h"

namespace wattle::policy {

namespace {

constexpr absl::string_view kDeviceKey = "device";

// The value of a label that every device has; nullopt: the key is not one of these.
std::optional<absl::string_view> OwnLabel(const v1::DeviceInfo& device, absl::string_view key) {
  if (key == kDeviceKey) {
    return device.name().empty() ? device.device_id() : device.name();
  }
  if (key == "class") {
    return BoardClassOf(device.device_class());  // Set even while the GPU does not answer.
  }
  if (key == "isolation") {
    return device.isolation();
  }
  return std::nullopt;
}

bool HasAll(const google::protobuf::RepeatedPtrField<std::string>& selectors,
            const v1::DeviceInfo& device) {
  return std::all_of(selectors.begin(), selectors.end(),
                     [&](const std::string& selector) { return HasLabel(device, selector); });
}

}  // namespace

bool HasLabel(const v1::DeviceInfo& device, absl::string_view selector) {
  const std::vector<absl::string_view> parts = absl::StrSplit(selector, absl::MaxSplits('=', 1));
  const absl::string_view key = parts.front();
  const bool any = parts.size() == 1;
  const absl::string_view value = parts.back();
  // A given label with this key could claim an isolation that the board does not have.
  if (const std::optional<absl::string_view> own = OwnLabel(device, key)) {
    return any ? !own->empty()
               : *own == value || (key == kDeviceKey && device.device_id() == value);
  }
  return std::any_of(device.labels().begin(), device.labels().end(), [&](const v1::Label& label) {
    return label.key() == key && (any || label.value() == value);
  });
}

std::optional<absl::string_view> LabelValue(const v1::DeviceInfo& device, absl::string_view key) {
  if (const std::optional<absl::string_view> own = OwnLabel(device, key)) {
    return own;
  }
  for (const v1::Label& label : device.labels()) {
    if (label.key() == key) {
      return label.value();
    }
  }
  return std::nullopt;
}

bool Selects(const v1::Policy& policy, const v1::DeviceInfo& device) {
  return HasAll(policy.selector(), device);
}

bool Selects(const v1::HarvestForecast& forecast, const v1::DeviceInfo& device) {
  return HasAll(forecast.selector(), device);
}

}  // namespace wattle::policy
