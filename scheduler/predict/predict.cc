// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Asks the levels in their order, and adds everything that surrounds the run.
#include "scheduler/predict/predict.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/fault_point.h"
#include "proto/checkpoint_interval.h"
#include "scheduler/predict/datasheet.h"
#include "scheduler/predict/other_workload.h"
#include "scheduler/predict/power_mode.h"
#include "scheduler/predict/rate.h"
#include "scheduler/predict/same_workload.h"
#include "scheduler/predict/transfer_rate.h"
#include "scheduler/profiles/calibration.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

// A model without observed ends of text is priced at max_new_tokens, although texts may end
// earlier. For this reason one prediction in twenty is three times too high, and none is too low.
constexpr double kEarlyEndDeviation = 0.67;
// Watts above idle of a radio and a disk at work.
constexpr double kTransferPowerWatts = 1.5;
// Speed of a microSD card or eMMC: writing with fsync, and reading.
constexpr double kDiskWriteBytesPerSecond = 40e6;
constexpr double kDiskReadBytesPerSecond = 80e6;
// Loading weights that are already in memory: a core converts and checks them. `./dev bench starts`
// measures 450 MB/s on a core of a server; a board's core is assumed to be a third as fast.
constexpr double kWarmLoadBytesPerSecond = 160e6;
// Start of a process that links libtorch.
constexpr double kStartSecondsDefault = 2.0;
// Writing and loading keep one core busy, a run the whole board: they draw half of the run's watts
// above idle.
constexpr double kSurroundingPowerShare = 0.5;

// A row of another power mode says little about speed and watts in this one.
constexpr double kOtherPowerModeDeviation = 0.35;

// The contribution of the ends of texts to a generation's interval, as deviations of the logarithm.
struct Ends {
  double earlier = 0;
  double later = 0;
  double log_most = 0;  // No run has more work than the mean's times e to this power.
};

Ends EndsOf(const WorkAmount& work) {
  if (work.end_deviation > 0) {
    return {work.end_deviation, work.end_deviation, std::log(work.units_at_most / work.units)};
  }
  return {work.unit == v1::WORK_UNIT_GENERATED_TOKEN ? kEarlyEndDeviation : 0, 0, 0};
}

// factor: half the interval's width without the ends of texts, in deviations.
v1::Interval IntervalOf(double mean, double deviation, double factor, const Ends& ends) {
  const double half = factor * deviation;
  v1::Interval interval;
  interval.set_mean(mean);
  interval.set_low(mean * std::exp(-std::hypot(half, kInterval90 * ends.earlier)));
  interval.set_high(
      mean * std::exp(std::min(std::hypot(half, kInterval90 * ends.later), half + ends.log_most)));
  return interval;
}

double IdleWatts(const v1::Device& device, const RunEstimate& estimate) {
  if (device.heartbeat().idle_power_watts() > 0) {
    return device.heartbeat().idle_power_watts();
  }
  if (device.info().idle_power_watts() > 0) {
    return device.info().idle_power_watts();
  }
  return estimate.idle_power_watts;
}

RunEstimate BestEstimate(const ProfileTable& table, const RunQuery& query) {
  if (std::optional<RunEstimate> same = FromSameWorkload(table, query);
      same.has_value() && !WATTLE_FAULT_POINT("measured before published")) {
    return *std::move(same);
  }
  RunEstimate datasheet = FromDatasheet(query);
  std::optional<RunEstimate> other = FromOtherWorkloads(table, query);
  // Rows of a much smaller model may be less accurate than the datasheet. Published and transferred
  // rows and measured rates are still used, because their class and engine are real.
  if (other.has_value() && (other->time_deviation <= datasheet.time_deviation ||
                            other->provenance == v1::PROVENANCE_PUBLISHED ||
                            other->provenance == v1::PROVENANCE_TRANSFERRED ||
                            other->provenance == v1::PROVENANCE_MEASURED_RATES)) {
    return *std::move(other);
  }
  return datasheet;
}

// Adds the power if the estimate has only a time, and carries the estimate into the device's
// present power mode.
void AddPower(const ProfileTable& table, const RunQuery& query, double idle_power_watts,
              RunEstimate* estimate) {
  const v1::DeviceInfo& device = query.device;
  const double factor = PowerModeFactor(device, estimate->mode);
  const bool time_alone = estimate->power_watts <= 0;
  if (time_alone) {
    std::optional<PowerEstimate> power = PowerFromRows(table, query);
    if (!power.has_value()) {
      power = PowerFromDatasheet(device, idle_power_watts);
    }
    estimate->power_watts = power->power_watts * PowerModeFactor(device, power->mode);
    estimate->power_deviation = power->deviation;
    estimate->energy_joules = estimate->power_watts * estimate->run_seconds;
    absl::StrAppend(&estimate->note, "; ", power->note);
  }
  CarryToPresentMode(factor, time_alone, idle_power_watts, estimate);
  const bool other_mode = !estimate->mode.name.empty() && !device.power_mode().empty() &&
                          estimate->mode.name != device.power_mode();
  if (!other_mode || estimate->provenance == v1::PROVENANCE_DATASHEET) {
    return;
  }
  for (double* deviation :
       {&estimate->time_deviation, &estimate->own_time_deviation, &estimate->power_deviation}) {
    *deviation = std::hypot(*deviation, kOtherPowerModeDeviation);
  }
  absl::StrAppend(&estimate->note, "; measured in power mode ", estimate->mode.name);
}

void AddFetch(const v1::Device& device, const LinkEstimate& link,
              absl::Span<const InputView> inputs, v1::Prediction* prediction) {
  const std::set<std::string> cached(device.heartbeat().cached_artifact_ids().begin(),
                                     device.heartbeat().cached_artifact_ids().end());
  std::set<std::string> counted;  // One artifact may serve two inputs.
  double bytes = 0;
  for (const InputView& input : inputs) {
    const std::string& id = input.artifact.artifact_id();
    if (cached.count(id) == 0 && counted.insert(id).second) {
      bytes += static_cast<double>(std::max<int64_t>(0, input.artifact.size_bytes()));
    }
  }
  prediction->set_fetch_bytes(static_cast<int64_t>(bytes));
  prediction->set_fetch_seconds(bytes / link.download_bytes_per_second);
  prediction->set_fetch_energy_joules(kTransferPowerWatts * prediction->fetch_seconds() *
                                      link.contact_ratio);
}

// Adds the upload of the result. A checkpoint is uploaded only when a job leaves its device, which
// is not predicted.
void AddUpload(const LinkEstimate& link, const WorkAmount& work, v1::Prediction* prediction) {
  const double bytes = std::max(0.0, work.result_bytes);
  prediction->set_upload_bytes(static_cast<int64_t>(bytes));
  prediction->set_upload_seconds(bytes / link.upload_bytes_per_second);
  prediction->set_upload_energy_joules(kTransferPowerWatts * prediction->upload_seconds() *
                                       link.contact_ratio);
}

// The number of checkpoints during the run, without the result. The larger of the worker's own
// number and that of the spec's bound in steps.
double Checkpoints(const WorkAmount& work, double run_seconds) {
  if (work.checkpoint_bytes <= 0) {
    return 0;
  }
  const double by_time = ExpectedCheckpoints(
      absl::Seconds(run_seconds), absl::Seconds(work.checkpoint_bytes / kDiskWriteBytesPerSecond));
  const double by_steps =
      work.checkpoint_every_steps > 0 ? std::floor(work.steps / work.checkpoint_every_steps) : 0;
  return std::max(by_time, by_steps);
}

// Adds start, checkpoints and evaluation. REQUIRES: mean power and idle of `prediction` are set.
void AddSurroundings(const WorkAmount& work, const RunEstimate& estimate,
                     v1::Prediction* prediction) {
  const double above_idle =
      std::max(0.0, prediction->mean_power_watts() - prediction->idle_power_watts());
  const double start = estimate.start_seconds > 0
                           ? estimate.start_seconds
                           : kStartSecondsDefault + 4 * work.parameters / kDiskReadBytesPerSecond;
  const double written =
      Checkpoints(work, estimate.run_seconds) * work.checkpoint_bytes + work.result_bytes;
  prediction->set_start_seconds(start);
  prediction->set_start_energy_joules(start * above_idle * kSurroundingPowerShare);
  prediction->set_checkpoint_seconds(written / kDiskWriteBytesPerSecond);
  prediction->set_checkpoint_energy_joules(prediction->checkpoint_seconds() * above_idle *
                                           kSurroundingPowerShare);
  const double evaluate =
      work.units > 0 ? estimate.run_seconds * work.units_of_heldout / work.units : 0;
  prediction->set_evaluate_seconds(evaluate);
  prediction->set_evaluate_energy_joules(evaluate * above_idle);
}

}  // namespace

v1::Prediction Predict(const ProfileTable& table, const v1::Device& device, const WorkAmount& work,
                       absl::Span<const InputView> inputs) {
  return PredictToCompare(table, device, work, inputs).prediction;
}

ComparablePrediction PredictToCompare(const ProfileTable& table, const v1::Device& device,
                                      const WorkAmount& work, absl::Span<const InputView> inputs) {
  const RunQuery query{device.info(), work};
  RunEstimate estimate = BestEstimate(table, query);
  const double idle = IdleWatts(device, estimate);
  AddPower(table, query, idle, &estimate);

  ComparablePrediction answer;
  answer.own_energy_deviation = std::hypot(estimate.own_time_deviation, estimate.power_deviation);
  answer.rows_celsius_max = estimate.temperature_celsius_max;
  v1::Prediction& prediction = answer.prediction;
  const Ends ends = EndsOf(work);
  const auto factor_of = [&](Quantity quantity) {
    return table.calibration().IntervalFactor(quantity, estimate.provenance,
                                              device.info().emulated(), device.info().device_id());
  };
  *prediction.mutable_run_seconds() =
      IntervalOf(estimate.run_seconds, estimate.time_deviation, factor_of(Quantity::kTime), ends);
  const double energy_deviation = std::hypot(estimate.time_deviation, estimate.power_deviation);
  *prediction.mutable_run_energy_joules() =
      IntervalOf(estimate.energy_joules, energy_deviation, factor_of(Quantity::kEnergy), ends);
  prediction.set_time_deviation(estimate.time_deviation);
  prediction.set_energy_deviation(energy_deviation);
  prediction.set_mean_power_watts(estimate.power_watts);
  prediction.set_idle_known(idle > 0);
  prediction.set_idle_power_watts(idle);
  prediction.set_net_energy_joules(
      std::max(0.0, estimate.energy_joules - idle * estimate.run_seconds));
  const LinkEstimate link = LinkOf(device);
  AddFetch(device, link, inputs, &prediction);
  AddUpload(link, work, &prediction);
  AddSurroundings(work, estimate, &prediction);
  answer.warm_start_seconds =
      estimate.start_seconds > 0
          ? estimate.start_seconds
          : kStartSecondsDefault + 4 * work.parameters / kWarmLoadBytesPerSecond;
  prediction.set_work_units(work.units);
  prediction.set_unit(work.unit);
  prediction.set_seconds_per_unit(work.units > 0 ? estimate.run_seconds / work.units : 0);
  prediction.set_peak_memory_bytes(estimate.peak_memory_bytes);
  prediction.set_provenance(estimate.provenance);
  if (work.unit == v1::WORK_UNIT_EXAMPLE) {
    absl::StrAppend(&estimate.note, "; unit example");
  }
  if (prediction.fetch_bytes() + prediction.upload_bytes() > 0) {
    if (const std::string words = LinkWords(device); !words.empty()) {
      absl::StrAppend(&estimate.note, "; ", words);
    }
  }
  prediction.set_provenance_note(std::move(estimate.note));
  prediction.set_time_scale(device.info().time_scale() > 0 ? device.info().time_scale() : 1);
  return answer;
}

void AddCheckpointFetch(const v1::Device& device, int64_t bytes, v1::Prediction* prediction) {
  const LinkEstimate link = LinkOf(device);
  const double seconds = static_cast<double>(bytes) / link.download_bytes_per_second;
  prediction->set_fetch_bytes(prediction->fetch_bytes() + bytes);
  prediction->set_fetch_seconds(prediction->fetch_seconds() + seconds);
  prediction->set_fetch_energy_joules(prediction->fetch_energy_joules() +
                                      kTransferPowerWatts * seconds * link.contact_ratio);
}

double MarginalEnergyJoules(const v1::Prediction& prediction) {
  return prediction.net_energy_joules() + prediction.fetch_energy_joules() +
         prediction.start_energy_joules() + prediction.checkpoint_energy_joules() +
         prediction.evaluate_energy_joules() + prediction.upload_energy_joules();
}

double TotalSeconds(const v1::Prediction& prediction, double run_seconds) {
  return run_seconds + prediction.fetch_seconds() + prediction.start_seconds() +
         prediction.checkpoint_seconds() + prediction.evaluate_seconds() +
         prediction.upload_seconds();
}

}  // namespace wattle::scheduler
