// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/predict/power_mode.h"

#include <algorithm>

#include "scheduler/profiles/mode_numbers.h"

namespace wattle::scheduler {
namespace {

// Largest speed ratio between two modes: boards range from 5 to 60 W.
constexpr double kSpeedFactorMax = 8;

double NominalWatts(const v1::DeviceInfo& device, const std::string& name) {
  const v1::PowerMode* const mode = FindListedMode(device, name);
  return mode == nullptr ? 0 : std::max(0.0, mode->nominal_power_watts());
}

}  // namespace

RowMode ModeOf(const v1::ProfileRow& row, const v1::DeviceInfo& device) {
  const v1::PowerMode* const then = ModeOfRuns(row);
  if (then == nullptr || IsOfListedMode(row, device, then->name())) {
    return {.name = ModeNameOf(row)};
  }
  return {.name = LabelOf(*then), .power_watts_then = ModeNumbersOf(*then).nominal_power_watts};
}

double PowerModeFactor(const v1::DeviceInfo& device, const RowMode& from) {
  const double there =
      from.power_watts_then > 0 ? from.power_watts_then : NominalWatts(device, from.name);
  const double here = NominalWatts(device, device.power_mode());
  return there > 0 && here > 0 ? here / there : 1.0;
}

std::string LargestPowerMode(const v1::DeviceInfo& device) {
  std::string largest;
  double watts = 0;
  for (const v1::PowerMode& mode : device.power_modes()) {
    if (mode.nominal_power_watts() > watts) {
      watts = mode.nominal_power_watts();
      largest = mode.name();
    }
  }
  return largest;
}

// Speed is assumed proportional to the watts above idle. The joules above idle then stay constant,
// so no mode looks better by a guess, and a job leaves the measured mode only to gain time. Nominal
// watts below the idle draw determine only the speed.
void CarryToPresentMode(double power_factor, bool power_is_of_present_mode, double idle_power_watts,
                        RunEstimate* estimate) {
  if (power_factor == 1.0) {
    return;
  }
  const double there =
      power_is_of_present_mode ? estimate->power_watts / power_factor : estimate->power_watts;
  const double here = there * power_factor;
  const bool above_idle = std::min(there, here) > idle_power_watts;
  const double speed =
      above_idle ? (here - idle_power_watts) / (there - idle_power_watts) : power_factor;
  const double joules_above_idle = (there - idle_power_watts) * estimate->run_seconds;
  estimate->run_seconds /= std::clamp(speed, 1 / kSpeedFactorMax, kSpeedFactorMax);
  estimate->power_watts = here <= idle_power_watts && joules_above_idle > 0
                              ? idle_power_watts + joules_above_idle / estimate->run_seconds
                              : here;
  estimate->energy_joules = estimate->power_watts * estimate->run_seconds;
}

}  // namespace wattle::scheduler
