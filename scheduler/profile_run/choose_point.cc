// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/profile_run/choose_point.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "proto/job_kind.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/predict/predict.h"
#include "scheduler/predict/same_workload.h"
#include "scheduler/profiles/mode_numbers.h"
#include "scheduler/profiles/profile_table.h"
#include "scheduler/profiles/run_interval.h"
#include "scheduler/profiles/signature_fields.h"

namespace wattle::scheduler {
namespace {

// Fewest steps of a run: the first one warms up, and three are measured.
constexpr int64_t kStepsMin = 4;
// A prediction that is far too fast must not make a run of hours.
constexpr double kStepsMax = 100'000;

v1::Device InMode(v1::Device device, const std::string& mode) {
  device.mutable_info()->set_power_mode(mode);
  return device;
}

std::set<std::string> ModesOf(const ProfileQuestion& question) {
  const v1::DeviceInfo& info = question.device.info();
  if (!question.spec.profile().all_power_modes() || !info.sets_power_modes()) {
    return {info.power_mode()};
  }
  std::set<std::string> modes;
  for (const v1::PowerMode& mode : info.power_modes()) {
    modes.insert(mode.name());
  }
  return modes;
}

absl::StatusOr<WorkAmount> WorkOfPoint(const ProfileQuestion& question,
                                       const v1::ProfilePoint& point) {
  absl::StatusOr<WorkAmount> work =
      WorkOf(ProfileRunOf(question.spec, point), question.inputs, question.table);
  if (work.ok()) {
    KeepNothing(*work);
  }
  return work;
}

bool HasOwnRow(const ProfileQuestion& question, const PointForecast& forecast) {
  const v1::DeviceInfo& info = question.device.info();
  const v1::WorkloadSignature& signature = forecast.work.signature;
  const auto& rows = question.table.OfWorkload(info.device_class(), signature);
  return std::any_of(rows.begin(), rows.end(), [&](const ProfileTable::WorkloadRow& entry) {
    const v1::ProfileRow& row = entry.row();
    return row.source() == v1::PROFILE_SOURCE_MEASURED && row.device_id() == info.device_id() &&
           row.emulated() == info.emulated() &&
           IsOfListedMode(row, info, forecast.point.power_mode()) &&
           SameWorkload(row.signature(), signature) &&
           row.signature().batch_size() == signature.batch_size() &&
           LengthOf(row.signature()) == LengthOf(signature) && !IsOutdated(row) &&
           !IsOfOtherEngine(row, info.engine_version());
  });
}

absl::StatusOr<PointForecast> Forecast(const ProfileQuestion& question, v1::ProfilePoint point) {
  // Generation makes a step for each token of a batch of prompts.
  const bool of_prompts = KindOf(WorkloadOf(question.spec)).unit == v1::WORK_UNIT_GENERATED_TOKEN;
  const int64_t unit = of_prompts ? point.batch_size() : 1;
  const int64_t least = of_prompts ? unit : kStepsMin;
  const v1::Device device = InMode(question.device, point.power_mode());
  point.set_steps(least);
  WATTLE_ASSIGN_OR_RETURN(const WorkAmount shortest, WorkOfPoint(question, point));
  const double shortest_seconds =
      Predict(question.table, device, shortest, question.inputs).run_seconds().mean();
  const double wanted = question.spec.profile().run_seconds() > 0
                            ? question.spec.profile().run_seconds()
                            : kProfileRunSeconds;
  if (shortest_seconds > 0) {
    const double steps =
        std::min(wanted / shortest_seconds * static_cast<double>(least), kStepsMax);
    const double batches = std::ceil(steps / static_cast<double>(unit));
    point.set_steps(std::max(least, unit * static_cast<int64_t>(batches)));
  }
  PointForecast forecast;
  WATTLE_ASSIGN_OR_RETURN(forecast.work, WorkOfPoint(question, point));
  forecast.point = std::move(point);
  forecast.prediction = Predict(question.table, device, forecast.work, question.inputs);
  forecast.demand =
      GrossDemand(forecast.prediction, Joules(forecast.prediction.run_energy_joules().mean()));
  forecast.measured = HasOwnRow(question, forecast);
  return forecast;
}

// The receipt of a run that takes exactly the predicted time and energy, measured without gaps if
// the device has a sensor.
v1::Receipt ReceiptAsPredicted(const v1::Device& device, const PointForecast& forecast) {
  v1::Receipt receipt;
  receipt.set_attempt_id("foreseen");
  receipt.set_power_mode(forecast.point.power_mode());
  v1::EnergyMeasurement& run = *receipt.mutable_run();
  run.set_seconds(forecast.prediction.run_seconds().mean());
  if (!device.connected() || device.heartbeat().has_power()) {
    run.set_mean_power_watts(forecast.prediction.mean_power_watts());
    run.set_coverage_ratio(1);
    run.set_source(v1::ENERGY_SOURCE_INA3221);
  }
  v1::WorkDone& work = *receipt.mutable_work();
  *work.mutable_signature() = forecast.work.signature;
  work.set_unit(forecast.work.unit);
  work.set_units(forecast.work.units);
  work.set_tokens(static_cast<int64_t>(forecast.work.units));
  work.set_examples(static_cast<int64_t>(forecast.work.examples));
  work.set_steps(static_cast<int64_t>(forecast.work.steps));
  return receipt;
}

// Logarithm of upper end over mean, of seconds and joules. The lower end is left out because no
// measurement changes one of its causes: a generation may end early.
double WidthOf(const v1::Prediction& prediction) {
  double width = 0;
  for (const v1::Interval* const interval :
       {&prediction.run_seconds(), &prediction.run_energy_joules()}) {
    if (interval->mean() > 0) {
      width += std::log(interval->high() / interval->mean());
    }
  }
  return width;
}

// Width of all points together after the table has learned `run`.
double WidthAfter(const ProfileQuestion& question, absl::Span<const PointForecast> points,
                  const PointForecast& run) {
  ProfileTable table = question.table;
  const v1::Receipt receipt = ReceiptAsPredicted(question.device, run);
  for (const v1::ProfileRow& row :
       LearnFromReceipt(table, question.device.info(), receipt, question.now)) {
    (void)table.Put(row);  // A row outside the bounds is refused and teaches nothing.
  }
  double width = 0;
  for (const PointForecast& point : points) {
    width += WidthOf(Predict(table, InMode(question.device, point.point.power_mode()), point.work,
                             question.inputs));
  }
  return width;
}

}  // namespace

absl::StatusOr<std::vector<PointForecast>> ForecastPoints(const ProfileQuestion& question) {
  const v1::ProfileSpec& profile = question.spec.profile();
  std::set<int> batches(profile.batch_sizes().begin(), profile.batch_sizes().end());
  if (batches.empty()) {
    WATTLE_ASSIGN_OR_RETURN(const WorkAmount whole,
                            WorkOf(WorkloadOf(question.spec), question.inputs, question.table));
    batches.insert(std::max(1, whole.signature.batch_size()));
  }
  std::vector<PointForecast> points;
  for (const std::string& mode : ModesOf(question)) {
    for (const int batch : batches) {
      v1::ProfilePoint point;
      point.set_power_mode(mode);
      point.set_batch_size(batch);
      WATTLE_ASSIGN_OR_RETURN(PointForecast forecast, Forecast(question, std::move(point)));
      points.push_back(std::move(forecast));
    }
  }
  return points;
}

PointChoice ChoosePoint(const ProfileQuestion& question, absl::Span<const PointForecast> points,
                        absl::Span<const size_t> candidates) {
  double before = 0;
  for (const PointForecast& point : points) {
    before += WidthOf(point.prediction);
  }
  const double wanted = question.spec.profile().gain_percent_min() > 0
                            ? question.spec.profile().gain_percent_min()
                            : kProfileGainPercentMin;
  PointChoice choice;
  double best_per_joule = 0;
  double largest_gain = 0;
  for (const size_t candidate : candidates) {
    const PointForecast& run = points[candidate];
    const double narrowed = before - WidthAfter(question, points, run);
    const double gain = before > 0 ? 100 * narrowed / before : 0;
    largest_gain = std::max(largest_gain, gain);
    const double per_joule = narrowed / std::max(run.demand.value(), 1e-9);
    if (gain >= wanted && per_joule > best_per_joule) {
      best_per_joule = per_joule;
      choice = {.next = candidate, .gain_percent = gain};
    }
  }
  if (!choice.next.has_value()) {
    choice.gain_percent = largest_gain;
  }
  return choice;
}

std::string PointWords(const v1::ProfilePoint& point) {
  return absl::StrCat(point.power_mode(), point.power_mode().empty() ? "" : ", ", "batch ",
                      point.batch_size());
}

}  // namespace wattle::scheduler
