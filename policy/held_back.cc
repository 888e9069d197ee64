// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "policy/held_back.h"

#include <algorithm>

#include "absl/strings/string_view.h"

#include "policy/burst_power.h"
#include "proto/checkpoint_interval.h"
#include "proto/job_kind.h"
#include "proto/spec_defaults.h"

namespace wattle::policy {
namespace {

// Factor on measured or predicted steps and checkpoints, because the next one may be longer.
constexpr double kLongerThanSeen = 1.5;
constexpr absl::Duration kStopTimeMin = absl::Seconds(20);
// Factor from the mean draw of a run to that of its hungriest minute.
constexpr double kAboveMean = 1.1;
constexpr Fraction kUnknownCapacityShare(0.05);
// 3 % are about a quarter of an hour of sun on a small panel, and more than a step of a gauge with
// whole percents.
constexpr Fraction kResumeAboveStop(0.03);
constexpr double kWorkOverRestart = 20;
constexpr absl::Duration kStepNotPredicted = absl::Seconds(30);
// Tokens of an example if the job does not state them: the context of the GPT-2 family.
constexpr double kDefaultSequence = 1024;

double OrDefault(double value, double fallback) {
  return value > 0 ? value : fallback;
}

double NumberIn(const v1::JobSpec& spec, absl::string_view field) {
  return static_cast<double>(IntegerIn(spec, field));
}

// The longest step of a run that stops at the end of a step; nullopt: neither its number of steps
// nor its time per unit is known.
std::optional<absl::Duration> LongestStep(const SpecSteps& steps,
                                          const v1::Prediction& prediction) {
  if (steps.steps > 0) {
    return absl::Seconds(prediction.run_seconds().high() / steps.steps);
  }
  const double examples = OrDefault(steps.batch_size, kBatchSizeDefault) *
                          OrDefault(steps.gradient_accumulation_steps, 1);
  switch (prediction.unit()) {
    case v1::WORK_UNIT_EXAMPLE:
      return absl::Seconds(prediction.seconds_per_unit() * examples);
    case v1::WORK_UNIT_TRAINING_TOKEN:
      return absl::Seconds(prediction.seconds_per_unit() * examples *
                           OrDefault(steps.sequence_length, kDefaultSequence));
    default:
      return std::nullopt;
  }
}

// Time of one checkpoint. The prediction's figure covers all checkpoints and the result together.
// The larger result of both ways to divide it counts: the more checkpoints are assumed, the shorter
// each one is.
absl::Duration OneCheckpoint(const SpecSteps& steps, const v1::Prediction& prediction) {
  const absl::Duration all = absl::Seconds(prediction.checkpoint_seconds());
  if (!steps.keeps_checkpoints) {
    return all;
  }
  const absl::Duration by_time = WriteTimeOf(all, absl::Seconds(prediction.run_seconds().mean()));
  const double every = steps.checkpoint_every_steps;
  return every > 0 ? std::min(by_time, all / (1 + steps.steps / every)) : by_time;
}

}  // namespace

SpecSteps StepsOf(const v1::JobSpec& spec) {
  return {.keeps_checkpoints = KindOf(spec).keeps_checkpoints,
          .steps = NumberIn(spec, "steps"),
          .batch_size = NumberIn(spec, "batch_size"),
          .gradient_accumulation_steps = NumberIn(spec, "gradient_accumulation_steps"),
          .sequence_length = NumberIn(spec, "sequence_length"),
          .checkpoint_every_steps = NumberIn(spec, "checkpoint_every_steps")};
}

StopEstimate PredictedStop(const v1::JobSpec& spec, const v1::Prediction& prediction) {
  return PredictedStop(StepsOf(spec), prediction);
}

StopEstimate PredictedStop(const SpecSteps& steps, const v1::Prediction& prediction) {
  const absl::Duration run = absl::Seconds(prediction.run_seconds().high());
  const auto step = steps.keeps_checkpoints ? LongestStep(steps, prediction) : std::nullopt;
  return {.start = absl::Seconds(prediction.start_seconds()),
          .step = run > absl::ZeroDuration() ? std::min(step.value_or(kStepNotPredicted), run)
                                             : kStepNotPredicted,
          .checkpoint = OneCheckpoint(steps, prediction),
          .load = BurstPower(prediction)};
}

absl::Duration StopTime(const StopEstimate& estimate) {
  const absl::Duration expected = estimate.start + estimate.step + estimate.checkpoint;
  return std::max(kLongerThanSeen * expected, kStopTimeMin);
}

absl::Duration StopLead(const StopEstimate& estimate) {
  return kReadingAgeMax + StopTime(estimate);
}

Joules HeldBack(const StopEstimate& estimate) {
  return kAboveMean * estimate.load * (StopLead(estimate) + kShutdownTime);
}

Fraction StopThreshold(Fraction reserve, const Gauge& gauge, const StopEstimate& estimate) {
  const Fraction share = gauge.capacity && *gauge.capacity > Joules(0)
                             ? Fraction(HeldBack(estimate) / *gauge.capacity)
                             : kUnknownCapacityShare;
  return reserve + gauge.error + share;
}

Fraction ResumeThreshold(Fraction stop, const Gauge& gauge, const StopEstimate& estimate) {
  const Fraction most = std::max(kResumeAboveStop, 0.5 * (Fraction(1) - stop));
  const Joules restart = estimate.load * (estimate.start + estimate.checkpoint);
  const Fraction work = gauge.capacity && *gauge.capacity > Joules(0)
                            ? Fraction(kWorkOverRestart * restart / *gauge.capacity)
                            : kResumeAboveStop;
  return stop + std::clamp(work, kResumeAboveStop, most);
}

}  // namespace wattle::policy
