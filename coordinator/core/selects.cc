// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Matches policies to devices by label. Pure.
#include <string>

#include "coordinator/core/core.h"
#include "coordinator/core/selects_internal.h"

namespace wattle::core {

bool Selects(const v1::Policy& policy, const v1::DeviceInfo& device) {
  for (const std::string& selector : policy.selector()) {
    const size_t equals = selector.find('=');
    bool found = false;
    for (const v1::Label& label : device.labels()) {
      found =
          found || (equals == std::string::npos ? label.key() == selector
                                                : label.key() == selector.substr(0, equals) &&
                                                      label.value() == selector.substr(equals + 1));
    }
    if (!found) {
      return false;
    }
  }
  return true;
}

int CountSelected(const State& state, const v1::Policy& policy) {
  int selected = 0;
  for (const auto& [id, record] : state.devices) {
    selected += !record.removed() && Selects(policy, record.info()) ? 1 : 0;
  }
  return selected;
}

}  // namespace wattle::core
