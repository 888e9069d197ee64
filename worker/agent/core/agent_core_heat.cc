// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The model of the board's temperature by its watts: learned from samples, reported, and kept on
// the disk. Without the kept model a new process would know nothing until the watts have changed
// for hours.
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "telemetry/heat/heat_fit.h"
#include "worker/agent/core/agent_core.h"

namespace wattle::agent {
namespace {

// Each write wears a card by tens of kB, and the values change slowly.
constexpr absl::Duration kHeatSavePeriod = absl::Hours(6);

}  // namespace

// The watts are the mean since the previous sample, over the time for which they were measured.
// Without a sensor the account holds predicted watts, from which nothing can be learned.
void AgentCore::AddHeat(Monotonic at, Celsius temperature) {
  if (!account_.power() || account_.origin().source == v1::ENERGY_SOURCE_MODEL) {
    return;
  }
  const absl::Duration since = account_.settled() - heat_energy_at_;
  const Joules energy = account_.total();
  const Watts mean = since > absl::ZeroDuration() && since <= telemetry::HeatFit::kGapMax
                         ? (energy - heat_energy_) / since
                         : *account_.power();
  heat_energy_ = energy;
  heat_energy_at_ = account_.settled();
  heat_.Add(at, mean, temperature);
}

v1::HeatModel AgentCore::HeatModel() const {
  v1::HeatModel model;
  model.set_ambient_celsius(heat_.fitted()->ambient.value());
  for (const telemetry::FittedStage& stage : heat_.fitted()->stages) {
    v1::HeatStage& told = *model.add_stages();
    told.set_kelvin_per_watt(stage.kelvin_per_watt);
    told.set_time_constant_seconds(absl::ToDoubleSeconds(stage.time_constant));
  }
  model.set_error_kelvin(heat_.fitted()->error_kelvin);
  model.set_throttle_celsius(throttles_at_.value_or(Celsius(0)).value());
  return model;
}

void AgentCore::ResumeHeat(const Instant& now) {
  const v1::HeatModel kept = state_.ReadHeat().record;
  telemetry::FittedHeat heat{.ambient = Celsius(kept.ambient_celsius()),
                             .stages = {},
                             .error_kelvin = kept.error_kelvin()};
  for (const v1::HeatStage& stage : kept.stages()) {
    heat.stages.push_back({stage.kelvin_per_watt(), absl::Seconds(stage.time_constant_seconds())});
  }
  heat_.Resume(heat);
  if (heat_.fitted()) {
    next_heat_save_ = now.wall + kHeatSavePeriod;
  }
}

void AgentCore::SaveHeat(const Instant& now) {
  if (!heat_.fitted() || now.wall < next_heat_save_) {
    return;
  }
  const absl::Status saved = state_.WriteHeat(HeatModel());
  next_heat_save_ = now.wall + (saved.ok() ? kHeatSavePeriod : kDiskRetryPeriod);
  NoteDisk(saved, now);
}

}  // namespace wattle::agent
