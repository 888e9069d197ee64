// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Predictions across the power modes of a board. A row is of the mode in which its attempts ran. In
// another mode the same work takes other watts and another time; as long as nobody measured them
// there, both follow from the modes' nominal watts (docs/design/prediction.md). Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_POWER_MODE_H_
#define WATTLE_SCHEDULER_PREDICT_POWER_MODE_H_

#include <string>

#include "scheduler/predict/rate.h"
#include "wattle/v1/device.pb.h"

namespace wattle::scheduler {

// The mode of the row's runs: its name, or a label with its numbers where the device's list now
// sets other ones by this name.
RowMode ModeOf(const v1::ProfileRow& row, const v1::DeviceInfo& device);

// The factor from watts in the mode `from` to watts in the device's present mode. A mode without a
// name, or whose nominal watts are not known, gives 1.
double PowerModeFactor(const v1::DeviceInfo& device, const RowMode& from);

// The mode with the most nominal watts, of which datasheets speak; empty: no mode tells its watts.
std::string LargestPowerMode(const v1::DeviceInfo& device);

// Carries an estimate from the mode that it stands on (estimate->mode) into the device's
// present mode. power_factor: PowerModeFactor of that mode. power_is_of_present_mode: only the time
// is carried. REQUIRES: estimate->power_watts > 0. idle_power_watts: 0 if unknown.
void CarryToPresentMode(double power_factor, bool power_is_of_present_mode, double idle_power_watts,
                        RunEstimate* estimate);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_POWER_MODE_H_
