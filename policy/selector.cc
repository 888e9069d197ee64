// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "policy/selector.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace wattle::policy {

namespace {

bool HasOwnLabel(const v1::DeviceInfo& device, absl::string_view selector) {
  if (absl::ConsumePrefix(&selector, "device=")) {
    return selector == device.name() || selector == device.device_id();
  }
  if (absl::ConsumePrefix(&selector, "isolation=")) {
    return selector == device.isolation();
  }
  return absl::ConsumePrefix(&selector, "class=") && selector == device.device_class();
}

bool HasAll(const google::protobuf::RepeatedPtrField<std::string>& selectors,
            const v1::DeviceInfo& device) {
  return std::all_of(selectors.begin(), selectors.end(),
                     [&](const std::string& selector) { return HasLabel(device, selector); });
}

}  // namespace

bool HasLabel(const v1::DeviceInfo& device, absl::string_view selector) {
  if (HasOwnLabel(device, selector)) {
    return true;
  }
  const std::vector<absl::string_view> parts = absl::StrSplit(selector, absl::MaxSplits('=', 1));
  return std::any_of(device.labels().begin(), device.labels().end(), [&](const v1::Label& label) {
    return label.key() == parts[0] && (parts.size() == 1 || label.value() == parts[1]);
  });
}

std::optional<absl::string_view> LabelValue(const v1::DeviceInfo& device, absl::string_view key) {
  if (key == "device") {
    return device.name().empty() ? device.device_id() : device.name();
  }
  if (key == "class") {
    return device.device_class();
  }
  if (key == "isolation") {
    return device.isolation();
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
