// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Which short run of a profile job to measure next: a power mode and a batch of one workload on one
// device. The predictor itself determines what a run would teach: the table learns the run as if it
// took the predicted time and energy, every point is predicted again, and the intervals are
// compared. This file does not depend on how rows of one mode or batch serve another one. Pure,
// deterministic; thread-safe.
#ifndef WATTLE_SCHEDULER_PROFILE_RUN_CHOOSE_POINT_H_
#define WATTLE_SCHEDULER_PROFILE_RUN_CHOOSE_POINT_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

#include "scheduler/predict/work.h"
#include "units/quantity.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/profile.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::scheduler {

class ProfileTable;

// Defaults of ProfileSpec.
inline constexpr double kProfileRunSeconds = 20;
inline constexpr int kProfileRunsMax = 20;
inline constexpr double kProfileGainPercentMin = 1;

// The question of a profile job about a device.
struct ProfileQuestion {
  const ProfileTable& table;
  v1::Device device;
  const v1::JobSpec& spec;  // With a profile section.
  absl::Span<const InputView> inputs;
  absl::Time now;  // When a run would end; the age of rows counts in predictions.
};

// A point as the table predicts its run.
struct PointForecast {
  v1::ProfilePoint point;  // Without the gain.
  WorkAmount work;         // Work of the run.
  v1::Prediction prediction;
  Joules demand;          // Gross joules of the run and everything around it.
  bool measured = false;  // The device has a row of its own in this mode, at this batch.
};

// Every mode that the worker may set with every batch, sorted by mode and batch. Without
// all_power_modes only the present mode. The number of steps fills `run_seconds` by the prediction
// and is at least four, of which the first warms up; a prompt is a step of a generation, whose
// batches are full. Errors: those of WorkOf.
absl::StatusOr<std::vector<PointForecast>> ForecastPoints(const ProfileQuestion& question);

// The choice among the forecasts.
struct PointChoice {
  std::optional<size_t> next{};  // Index; nullopt: no run gains `gain_percent_min`.
  // Gain of the choice; without a choice, the largest gain of any candidate, 0 if there is none. A
  // gain is the share by which the intervals of seconds and joules of all points, as logarithms,
  // narrow together.
  double gain_percent = 0;
};

// Among the candidates (indices of `points`) whose run gains enough, the one that narrows the
// intervals most for each joule; the first of equal ones. points: result of ForecastPoints for the
// question.
PointChoice ChoosePoint(const ProfileQuestion& question, absl::Span<const PointForecast> points,
                        absl::Span<const size_t> candidates);

// "MODE_10W, batch 4", "batch 4" on a board with one mode.
std::string PointWords(const v1::ProfilePoint& point);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILE_RUN_CHOOSE_POINT_H_
