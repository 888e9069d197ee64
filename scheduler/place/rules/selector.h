// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Matches labels and policies to devices. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PLACE_RULES_SELECTOR_H_
#define WATTLE_SCHEDULER_PLACE_RULES_SELECTOR_H_

#include <string>
#include <vector>

#include "absl/time/time.h"

#include "policy/held_back.h"
#include "policy/limits.h"
#include "policy/selector.h"
#include "units/quantity.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/policy.pb.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

using policy::HasLabel;
using policy::Selects;

// The joint limits of the policies that select the device.
policy::Limits LimitsFor(const std::vector<v1::Policy>& policies, const v1::DeviceInfo& device);

// Whether the device has a battery gauge. A worker of an earlier version does not report this; its
// device has a gauge if it reported a capacity or a charge.
bool HasGauge(const v1::Device& device);
policy::Gauge GaugeOf(const v1::Device& device);

// The joules that an attempt takes from a battery: `run_energy` (gross) for the run, plus the gross
// joules of fetch, start and checkpoints, including idle draw.
Joules GrossDemand(const v1::Prediction& prediction, Joules run_energy);

// The gross joules of a probe until its first steps are known: fetch, start, and kProbeSecondsMax
// of the run, or all of a shorter one.
Joules ProbeDemand(const v1::Prediction& prediction);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_RULES_SELECTOR_H_
