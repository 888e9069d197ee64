// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "policy/burst_power.h"

#include <algorithm>

namespace wattle::policy {

Watts BurstPower(const v1::Prediction& prediction) {
  const double stretch = std::max(1.0, prediction.heat_stretch_ratio());
  const double idle = prediction.idle_power_watts();
  return Watts(idle + (prediction.mean_power_watts() - idle) * stretch);
}

}  // namespace wattle::policy
