// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/emulation/emulator.h"

#include <algorithm>
#include <utility>

#include "absl/strings/string_view.h"

#include "proto/job_kind.h"

namespace wattle::agent {
namespace {

// Standard deviation between real steps.
constexpr double kStepNoise = 0.01;
constexpr absl::string_view kTrainingRate = "finetune";
constexpr absl::string_view kHeldoutRate = "evaluate";  // The rate of evaluations in a training.
constexpr absl::string_view kHeldoutPhase = "evaluate";

telemetry::EmulatedPhysics WithSeed(telemetry::EmulatedPhysics physics,
                                    const EmulationOptions& options) {
  physics.seed = options.seed;
  physics.power_factor =
      telemetry::HiddenFactor(options.seed, "power", options.hidden_offset_ratio);
  return physics;
}

// The name of the rate of a run.
absl::string_view RateName(const v1::JobSpec& spec) {
  const JobKind& kind = KindOf(spec);
  if (QuantizationIn(spec) == v1::QUANTIZATION_INT8 && !kind.emulated_rate_int8.empty()) {
    return kind.emulated_rate_int8;
  }
  return kind.emulated_rate.empty() ? kTrainingRate : kind.emulated_rate;
}

}  // namespace

Emulator::Emulator(BoardFile file, const EmulationOptions& options, Monotonic start)
    : file_(std::move(file)),
      seed_(options.seed),
      time_factor_(telemetry::HiddenFactor(options.seed, "time", options.hidden_offset_ratio)),
      board_(WithSeed(file_.physics, options), start),
      rates_(&file_.rates),
      run_rate_(&file_.rates.find(kTrainingRate)->second) {}

const WorkRate& Emulator::RateOf(const std::string& phase) const {
  if (phase == run_phase_) {
    return *run_rate_;
  }
  return rates_->find(phase == kHeldoutPhase ? kHeldoutRate : kTrainingRate)->second;
}

void Emulator::BeginRun(const v1::JobSpec& spec, const ModelDimensions& model) {
  const JobKind& kind = KindOf(spec);
  run_phase_ = std::string(kind.main_phase);
  const bool on_cpu = spec.accelerator() == v1::ACCELERATOR_CPU && !file_.cpu_rates.empty();
  rates_ = on_cpu ? &file_.cpu_rates : &file_.rates;
  run_rate_ = &rates_->find(RateName(spec))->second;
  published_ = nullptr;
  if (on_cpu) {
    return;  // What was published is of the accelerator.
  }
  const auto match = std::find_if(
      file_.workloads.begin(), file_.workloads.end(), [&](const PublishedWorkload& workload) {
        return workload.kind == kind.name && workload.architecture == model.architecture &&
               workload.layers == model.layers && workload.width == model.width;
      });
  if (match != file_.workloads.end()) {
    published_ = &*match;
  }
}

void Emulator::SetActivity(Monotonic from, Activity activity) {
  std::optional<telemetry::EmulatedLoad> load;
  switch (activity) {
    case Activity::kIdle:
    case Activity::kPaused:
      break;
    case Activity::kFetch:
    case Activity::kUpload:
      load = telemetry::EmulatedLoad{file_.transfer_power, {}};
      break;
    case Activity::kStart:
      load = telemetry::EmulatedLoad{file_.start_power, {}};
      break;
    case Activity::kRun:
      load = published_ != nullptr ? telemetry::EmulatedLoad{published_->power, published_->dips}
                                   : telemetry::EmulatedLoad{run_rate_->power, {}};
      break;
    case Activity::kEvaluate:
      load = telemetry::EmulatedLoad{rates_->find(kHeldoutRate)->second.power, {}};
      break;
    case Activity::kCheckpoint:
      load = telemetry::EmulatedLoad{file_.checkpoint_power, {}};
      break;
  }
  board_.SetLoad(from, load);
}

absl::Duration Emulator::TransferTime(int64_t size_bytes) const {
  return absl::Seconds(static_cast<double>(size_bytes) / file_.link_bytes_per_second);
}
absl::Duration Emulator::StartTime(int64_t model_bytes) const {
  return file_.start_time +
         absl::Seconds(static_cast<double>(model_bytes) / file_.load_bytes_per_second);
}
absl::Duration Emulator::CheckpointTime(int64_t size_bytes) const {
  return file_.checkpoint_time +
         absl::Seconds(static_cast<double>(size_bytes) / file_.storage_bytes_per_second);
}

Monotonic Emulator::StepEnd(const v1::StepDone& step, Monotonic begin) {
  const bool main = step.phase() == run_phase_;
  const WorkRate& rate = RateOf(step.phase());
  absl::Duration nominal = rate.step_overhead + absl::Seconds(step.flops() / rate.flops_per_second);
  if (main && published_ != nullptr && step.examples() > 0) {
    nominal = published_->time_per_example * static_cast<double>(step.examples());
  }
  const double noise =
      1.0 + kStepNoise * std::clamp(telemetry::SeededNormal(seed_ + 1, steps_++), -3.0, 3.0);
  nominal = nominal * time_factor_ * noise;
  return telemetry::EndOfWork(main && published_ != nullptr ? published_->dips : std::nullopt,
                              begin, nominal);
}

}  // namespace wattle::agent
