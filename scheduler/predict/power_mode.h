// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Predictions across the power modes of a board. A row belongs to the mode in which its attempts
// ran. Another mode changes both watts and time; until they are measured there, both follow from
// the modes' nominal watts (docs/design/prediction.md). Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_POWER_MODE_H_
#define WATTLE_SCHEDULER_PREDICT_POWER_MODE_H_

#include <string>

#include "scheduler/predict/rate.h"
#include "wattle/v1/device.pb.h"

namespace wattle::scheduler {

// The mode of the row's runs: its name, or a label with its numbers if the device's list now has
// other numbers under this name.
RowMode ModeOf(const v1::ProfileRow& row, const v1::DeviceInfo& device);

// The factor from watts in the mode `from` to watts in the device's present mode. The factor is 1
// for a mode without a name or with unknown nominal watts.
double PowerModeFactor(const v1::DeviceInfo& device, const RowMode& from);

// The mode with the most nominal watts, which datasheets describe; empty: no mode states its watts.
std::string LargestPowerMode(const v1::DeviceInfo& device);

// Carries an estimate from its mode (estimate->mode) into the device's
// present mode. power_factor: PowerModeFactor of that mode. power_is_of_present_mode: only the time
// is carried. REQUIRES: estimate->power_watts > 0. idle_power_watts: 0 if unknown.
void CarryToPresentMode(double power_factor, bool power_is_of_present_mode, double idle_power_watts,
                        RunEstimate* estimate);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_POWER_MODE_H_
