// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/true_rates.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "base/check.h"
#include "base/status_macros.h"
#include "proto/checkpoint_interval.h"
#include "proto/job_kind.h"
#include "scheduler/predict/imported_rows.h"
#include "scheduler/predict/predict.h"

namespace wattle::sim {
namespace {

// Shorter steps are reported in groups of about this length.
constexpr double kFrameSeconds = 20.0;
// The predictor makes the same assumption: the start of a runner keeps one core busy.
constexpr double kStartPowerShare = 0.5;
// The least draw of work above idle.
constexpr Watts kWorkAboveIdleMin(0.1);

uint64_t HashOf(const std::string& text, uint64_t hash) {
  for (const char byte : text) {
    hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
  }
  return hash;
}

v1::WorkDone WorkDoneOf(const scheduler::WorkAmount& work, int64_t steps) {
  v1::WorkDone done;
  *done.mutable_signature() = work.signature;
  done.set_unit(work.unit);
  done.set_units(work.units);
  done.set_steps(steps);
  done.set_examples(std::llround(work.examples));
  done.set_tokens(std::llround(work.units));
  if (work.unit == v1::WORK_UNIT_GENERATED_TOKEN) {
    done.set_generated_tokens(std::llround(work.units));
  }
  return done;
}

}  // namespace

double DrawNormal(Random& random) {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - random.Fraction()));
  return radius * std::cos(2.0 * M_PI * random.Fraction());
}

absl::StatusOr<std::vector<scheduler::InputView>> InputsOf(const Scenario& scenario,
                                                           const v1::JobSpec& spec) {
  std::vector<scheduler::InputView> inputs;
  for (const JobInput& input : KindOf(spec).inputs) {
    const std::string& name = ReferenceIn(spec, input.field);
    if (name.empty()) {
      continue;
    }
    const v1::ArtifactKind kind =
        input.is_model ? v1::ARTIFACT_KIND_MODEL : v1::ARTIFACT_KIND_DATASET;
    std::vector<std::string> known;
    const v1::ArtifactInfo* found = nullptr;
    for (const v1::ArtifactInfo& artifact : scenario.artifacts) {
      if (artifact.kind() == kind) {
        known.push_back(artifact.name());
        found = artifact.name() == name ? &artifact : found;
      }
    }
    if (found == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(
          KindOf(spec).name, ".", input.field, ": ", name, " is not in the scenario; wanted ",
          known.empty() ? absl::StrCat("an entry of ", input.is_model ? "models" : "data")
                        : absl::StrCat("one of ", absl::StrJoin(known, ", "))));
    }
    inputs.push_back({std::string(input.field), *found});
  }
  return inputs;
}

TrueRates::TrueRates(const Scenario& scenario, uint64_t seed)
    : scenario_(scenario), seed_(seed), known_(scheduler::ProfileTable::Priors()) {
  if (scenario.profiles.rows().empty()) {
    return;
  }
  const auto rows = scheduler::ImportedRows(known_, scenario.profiles, kProfilesName);
  WATTLE_CHECK(rows.ok(), "the reader of the scenario looked at its rows");
  for (const v1::ProfileRow& row : *rows) {
    WATTLE_CHECK(known_.Put(row).ok(), "an imported row is valid");
  }
}

absl::StatusOr<Workload> TrueRates::WorkloadOf(const v1::JobSpec& spec, int board,
                                               const v1::DeviceInfo& info, Watts idle) const {
  WATTLE_ASSIGN_OR_RETURN(const std::vector<scheduler::InputView> inputs,
                          InputsOf(scenario_, spec));
  WATTLE_ASSIGN_OR_RETURN(const scheduler::WorkAmount work,
                          scheduler::WorkOf(spec, inputs, known_));
  v1::Device device;
  *device.mutable_info() = info;
  device.mutable_info()->set_idle_power_watts(idle.value());
  const v1::Prediction prediction = scheduler::Predict(known_, device, work, inputs);

  Random random(
      HashOf(work.signature.SerializeAsString(), seed_ * 1000003 + static_cast<uint64_t>(board)));
  const double time_factor = std::exp(scenario_.seconds_spread * DrawNormal(random));
  const double power_factor = std::exp(scenario_.watts_spread * DrawNormal(random));
  const double run_seconds =
      time_factor * (prediction.run_seconds().mean() + prediction.evaluate_seconds());

  Workload workload;
  workload.steps = std::max<int64_t>(1, std::llround(work.steps));
  workload.step_seconds = run_seconds / static_cast<double>(workload.steps);
  workload.steps_together = std::max<int64_t>(
      1, static_cast<int64_t>(std::min(kFrameSeconds / std::max(workload.step_seconds, 1e-9),
                                       static_cast<double>(workload.steps))));
  workload.tokens_per_step = work.units / static_cast<double>(workload.steps);
  workload.start_seconds = time_factor * prediction.start_seconds();
  workload.power = std::max(idle + kWorkAboveIdleMin,
                            Watts(power_factor * prediction.run_energy_joules().mean() /
                                  prediction.run_seconds().mean()));
  workload.start_power = idle + (workload.power - idle) * kStartPowerShare;
  workload.checkpoint_seconds = absl::ToDoubleSeconds(
      WriteTimeOf(absl::Seconds(prediction.checkpoint_seconds()), absl::Seconds(run_seconds)));
  workload.checkpoint_bytes = std::llround(work.checkpoint_bytes);
  workload.result_bytes = std::llround(work.result_bytes);
  workload.work = WorkDoneOf(work, workload.steps);
  return workload;
}

double TrueRates::OfRun(const v1::JobSpec& spec, int board) const {
  Random random(HashOf(spec.name(), seed_ * 1000033 + static_cast<uint64_t>(board)));
  return std::exp(scenario_.runs_spread * DrawNormal(random));
}

}  // namespace wattle::sim
