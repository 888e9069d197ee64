// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Which devices a label or a policy selects. Pure; thread-safe.
#ifndef WATTLE_POLICY_SELECTOR_H_
#define WATTLE_POLICY_SELECTOR_H_

#include <optional>
#include <vector>

#include "absl/strings/string_view.h"

#include "wattle/v1/device.pb.h"
#include "wattle/v1/energy.pb.h"
#include "wattle/v1/policy.pb.h"

namespace wattle::policy {

// Whether the device has the label. `selector` is "key=value", or "key" for any value. Besides the
// labels from its operator, each device has "device=NAME" (or its id), "class=CLASS" and
// "isolation=LEVEL".
bool HasLabel(const v1::DeviceInfo& device, absl::string_view selector);

// The value that the device has for a label's key, its own labels included; nullopt: it lacks the
// label.
std::optional<absl::string_view> LabelValue(const v1::DeviceInfo& device, absl::string_view key);

// Whether the device matches every selector of the policy. A policy without selectors selects every
// device.
bool Selects(const v1::Policy& policy, const v1::DeviceInfo& device);
// Whether the device matches every selector of the forecast.
bool Selects(const v1::HarvestForecast& forecast, const v1::DeviceInfo& device);

// The policies that select the device, in their order. Policies: a sequence of v1::Policy.
template <typename Policies>
std::vector<const v1::Policy*> Selecting(const Policies& policies, const v1::DeviceInfo& device) {
  std::vector<const v1::Policy*> selecting;
  for (const v1::Policy& policy : policies) {
    if (Selects(policy, device)) {
      selecting.push_back(&policy);
    }
  }
  return selecting;
}

}  // namespace wattle::policy

#endif  // WATTLE_POLICY_SELECTOR_H_
