// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Learns profile rows from the receipt of a finished attempt, and drops the means that a change of
// the device has made invalid.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "base/fault_point.h"
#include "proto/contended_run.h"
#include "proto/lowered_mode.h"
#include "scheduler/profiles/calibration.h"
#include "scheduler/profiles/change_point.h"
#include "scheduler/profiles/class_row.h"
#include "scheduler/profiles/mode_numbers.h"
#include "scheduler/profiles/probe.h"
#include "scheduler/profiles/profile_table.h"
#include "scheduler/profiles/row_means.h"
#include "scheduler/profiles/work_units.h"

namespace wattle::scheduler {
namespace {

// Lowest coverage from which a row is learned. With less, the samples' mean watts do not represent
// the part without samples.
constexpr double kCoverageMin = 0.8;
// Runs that a device's row holds one by one, and contended ones beside them.
constexpr int kRunsKept = 20;
constexpr int kContendedKept = 5;
// Most models whose answers a device's row keeps separately.
constexpr int kModelsKept = 20;

bool HasSensor(const v1::EnergyMeasurement& run) {
  return run.source() != v1::ENERGY_SOURCE_UNSPECIFIED && run.source() != v1::ENERGY_SOURCE_MODEL;
}

// A generation below both is mostly its prompt, and no sensor has seen it.
constexpr double kGeneratedTokensMin = 16;
constexpr double kGeneratedSecondsMin = 1;

bool Teaches(const v1::Receipt& receipt) {
  // A run whose power mode was lowered was predicted for one mode and ran in another or in two.
  if (receipt.failure_class() != v1::FAILURE_CLASS_UNSPECIFIED || IsOfLoweredMode(receipt)) {
    return false;
  }
  // After a restart of the runner some steps ran twice, and the work counts in total. Seconds per
  // unit would be no rate.
  if (receipt.restarts() > 0) {
    return false;
  }
  const v1::EnergyMeasurement& run = receipt.run();
  if (!IsPositive(run.seconds()) || !IsPositive(UnitsOf(receipt.work()))) {
    return false;
  }
  if (receipt.work().unit() == v1::WORK_UNIT_GENERATED_TOKEN &&
      UnitsOf(receipt.work()) < kGeneratedTokensMin && run.seconds() < kGeneratedSecondsMin) {
    return false;
  }
  return !HasSensor(run) ||
         (run.coverage_ratio() >= kCoverageMin && IsPositive(run.mean_power_watts()));
}

v1::RunObservation ObservationOf(const v1::DeviceInfo& device, const v1::Receipt& receipt,
                                 absl::Time now) {
  const v1::EnergyMeasurement& run = receipt.run();
  v1::RunObservation observation;
  observation.set_at_unix_seconds(absl::ToDoubleSeconds(now - absl::UnixEpoch()));
  observation.set_seconds_per_unit(run.seconds() / UnitsOf(receipt.work()));
  if (HasSensor(run)) {
    observation.set_power_watts(run.mean_power_watts());
    observation.set_peak_power_watts(run.peak_power_watts());
    observation.set_temperature_celsius_max(run.temperature_celsius_max());
    if (run.has_throttled_ratio()) {
      observation.set_throttled_fraction(run.throttled_ratio());
    }
    if (run.idle_known()) {
      observation.set_idle_power_watts(run.idle_power_watts());
    }
  }
  if (const v1::PowerMode* const mode = FindListedMode(device, receipt.power_mode());
      mode != nullptr) {
    *observation.mutable_power_mode() = *mode;
  }
  Score(receipt.predicted(), receipt.work().unit(), &observation);
  return observation;
}

// Tokens of a generation for each text that ended by itself. A cut text contributes its tokens
// without an end, so runs with different limits estimate the same number. Without any end, half an
// end is assumed.
double TokensPerEnd(const v1::WorkDone& work) {
  const auto ended = static_cast<double>(work.examples() - work.truncated_examples());
  return static_cast<double>(work.generated_tokens()) / std::max(0.5, ended);
}

// Mean padded length of an example. A fine-tuning's units may include held-out data; its tokens do
// not.
double UnitsPerExample(const v1::WorkDone& work) {
  const bool trained = work.unit() == v1::WORK_UNIT_TRAINING_TOKEN && work.tokens() > 0;
  const double units = trained ? static_cast<double>(work.tokens()) : UnitsOf(work);
  return units / static_cast<double>(work.examples());
}

// Drops the oldest runs of each kind.
void KeepLatest(v1::ProfileRow* row) {
  int spare_measured = static_cast<int>(Measurements(*row).size()) - kRunsKept;
  int spare_contended =
      row->runs_size() - static_cast<int>(Measurements(*row).size()) - kContendedKept;
  auto* runs = row->mutable_runs();
  runs->erase(std::remove_if(runs->begin(), runs->end(),
                             [&](const v1::RunObservation& run) {
                               return (IsMeasurement(run) ? spare_measured : spare_contended)-- > 0;
                             }),
              runs->end());
}

// Counts the ends of the model's texts as this device reports them, so that the fleet can count
// each device once (scheduler/predict/answer_length.h).
void CountAnswers(const v1::WorkDone& work, const std::string& model_artifact_id,
                  v1::ProfileRow* row) {
  auto* const lengths = row->mutable_answer_lengths();
  auto known = std::find_if(lengths->begin(), lengths->end(), [&](const v1::AnswerLengths& of) {
    return of.model_artifact_id() == model_artifact_id;
  });
  v1::AnswerLengths latest;
  latest.set_model_artifact_id(model_artifact_id);
  double ends = 0;
  if (known != lengths->end()) {
    latest = *known;
    ends = 1 / latest.tokens_per_end();
    lengths->erase(known);
  }
  latest.set_runs(latest.runs() + 1);
  latest.set_tokens_per_end(1 / Blend(ends, 1 / TokensPerEnd(work), latest.runs()));
  *lengths->Add() = std::move(latest);
  std::rotate(lengths->begin(), lengths->end() - 1, lengths->end());
  while (lengths->size() > kModelsKept) {
    lengths->RemoveLast();
  }
}

// Sets the fields that do not depend on the device's speed.
void DescribeWork(const v1::Receipt& receipt, v1::ProfileRow* row) {
  const v1::WorkDone& work = receipt.work();
  const int64_t count = row->seconds_per_unit().count();
  if (work.unit() == v1::WORK_UNIT_GENERATED_TOKEN) {
    if (work.examples() > 0 && work.generated_tokens() > 0) {
      const double ends = row->units_per_example() > 0 ? 1 / row->units_per_example() : 0;
      row->set_units_per_example(1 / Blend(ends, 1 / TokensPerEnd(work), count));
    }
  } else if (work.examples() > 0) {
    row->set_units_per_example(Blend(row->units_per_example(), UnitsPerExample(work), count));
  }
  if (work.steps() > 0) {
    row->set_units_per_step(
        Blend(row->units_per_step(), UnitsOf(work) / static_cast<double>(work.steps()), count));
  }
  row->set_bytes_per_token(Blend(row->bytes_per_token(), work.bytes_per_token(), count));
  row->set_start_seconds(
      Blend(row->start_seconds(), receipt.start_seconds() / std::max(1, receipt.starts()), count));
  row->set_peak_memory_bytes(std::max(row->peak_memory_bytes(), receipt.peak_memory_bytes()));
}

v1::ProfileRow WithRun(v1::ProfileRow row, const v1::Receipt& receipt,
                       const v1::RunObservation& run) {
  const bool of_contended = IsOfAContendedRun(row);
  CountRun(run, &row);
  if (!row.device_id().empty()) {
    *row.add_runs() = run;
    KeepLatest(&row);
    if (of_contended) {
      CountAnew(1, &row);
    }
    // The means described the device before its change. The first run since then replaces them.
    if (row.has_change() && !row.change().measured_since()) {
      row.mutable_change()->set_measured_since(true);
      CountAnew(1, &row);
    }
  } else if (run.has_power_mode()) {
    // A class's row keeps only the numbers of the mode from its runs.
    row.clear_runs();
    v1::RunObservation& latest = *row.add_runs();
    latest.set_at_unix_seconds(run.at_unix_seconds());
    latest.set_seconds_per_unit(run.seconds_per_unit());
    *latest.mutable_power_mode() = run.power_mode();
  }
  DescribeWork(receipt, &row);
  row.set_source_note(absl::StrCat("attempt ", receipt.attempt_id()));
  row.set_updated_unix_seconds(run.at_unix_seconds());
  return row;
}

v1::ProfileRow EmptyRow(const v1::DeviceInfo& device, const v1::Receipt& receipt) {
  v1::ProfileRow row;
  row.set_device_class(device.device_class());
  row.set_emulated(device.emulated() || receipt.emulated());
  row.set_power_mode(receipt.power_mode());
  *row.mutable_signature() = receipt.work().signature();
  row.set_unit(receipt.work().unit());
  row.set_source(v1::PROFILE_SOURCE_MEASURED);
  return row;
}

// The row to which the run belongs: the row of the mode's name, unless that row's runs had other
// numbers under this name. Each set of numbers has a row of its own.
v1::ProfileRow RowFor(const ProfileTable& table, v1::ProfileRow row,
                      const v1::RunObservation& run) {
  const v1::ProfileRow* known = table.FindLike(row);
  if (known == nullptr || !run.has_power_mode()) {
    return known == nullptr ? row : *known;
  }
  if (const v1::PowerMode* const then = ModeOfRuns(*known);
      then == nullptr || MaySetTheSame(ModeNumbersOf(*then), ModeNumbersOf(run.power_mode()))) {
    return *known;
  }
  row.set_power_mode(LabelOf(run.power_mode()));
  known = table.FindLike(row);
  return known == nullptr ? row : *known;
}

// The runs behind the row's means. The runs that the row no longer holds one by one follow from the
// difference between its means and the runs it holds.
RowRuns RunsOf(const v1::ProfileRow& row) {
  RowRuns runs;
  const auto count = static_cast<double>(row.seconds_per_unit().count());
  const double mean = row.seconds_per_unit().mean();
  const std::vector<v1::RunObservation> measured = Measurements(row);
  const size_t held =
      std::min(static_cast<size_t>(row.seconds_per_unit().count()), measured.size());
  double sum = 0;
  double squares = 0;  // Sum of squares about the mean of all runs.
  for (size_t i = measured.size() - held; i < measured.size(); ++i) {
    const double seconds = measured[i].seconds_per_unit();
    sum += seconds;
    squares += (seconds - mean) * (seconds - mean);
    runs.runs.push_back({measured[i].at_unix_seconds(), std::log(seconds)});
  }
  const double earlier = count - static_cast<double>(held);
  const double earlier_mean = earlier > 0 ? (mean * count - sum) / earlier : 0;
  if (!IsPositive(earlier_mean)) {
    return runs;
  }
  const double deviation = row.seconds_per_unit().relative_deviation() * mean;
  const double offset = earlier_mean - mean;
  runs.earlier_count = earlier;
  runs.earlier_mean = std::log(earlier_mean);
  runs.earlier_squares =
      std::max(0.0, deviation * deviation * (count - 1) - squares - earlier * offset * offset) /
      (earlier_mean * earlier_mean);
  return runs;
}

// Ends the row's means at the device's change. `after`: number of its last runs after the change.
void EndAtChange(const ChangePoint& change, int after, v1::ProfileRow* row) {
  v1::DeviceChange& marked = *row->mutable_change();
  // A row without a run since an earlier change lies before both changes, so the ratios multiply.
  const double seen =
      marked.at_unix_seconds() > 0 && !marked.measured_since() ? marked.time_ratio() : 1;
  marked.set_at_unix_seconds(change.at_unix_seconds);
  marked.set_time_ratio(std::exp(change.log_ratio) * (after > 0 ? 1 : seen));
  marked.set_measured_since(after > 0);
  if (after > 0 && !WATTLE_FAULT_POINT("rows before a change")) {
    CountAnew(after, row);
  }
}

// Looks for a change of the device in all its rows, of which `learned` is one with its newest run.
// If there was one, adds the device's other rows, updated, to `changed`.
void ForgetBeforeChange(const ProfileTable& table, v1::ProfileRow* learned,
                        std::vector<v1::ProfileRow>* changed) {
  std::vector<v1::ProfileRow> rows = {*learned};
  for (const v1::ProfileRow* row : table.OfDevice(*learned)) {
    if (ProfileKey(*row) != ProfileKey(*learned)) {
      rows.push_back(*row);
    }
  }
  std::vector<RowRuns> runs;
  for (const v1::ProfileRow& row : rows) {
    const bool of_today =
        (!row.has_change() || row.change().measured_since()) && !IsOfAContendedRun(row);
    runs.push_back(of_today ? RunsOf(row) : RowRuns());
  }
  const std::optional<ChangePoint> change = FindChangePoint(runs);
  if (!change.has_value()) {
    return;
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    EndAtChange(*change, static_cast<int>(change->runs_after[i]), &rows[i]);
  }
  *learned = std::move(rows.front());
  changed->insert(changed->end(), std::make_move_iterator(rows.begin() + 1),
                  std::make_move_iterator(rows.end()));
}

// The scores of a contended run that missed. A hit is dropped: other load influenced the run, and
// counting a hit would make the intervals narrower.
v1::RunObservation OnlyItsMisses(const v1::RunObservation& run) {
  v1::RunObservation misses;
  misses.set_at_unix_seconds(run.at_unix_seconds());
  misses.set_contended(true);
  if (run.time_missed()) {
    misses.set_predicted_by(run.predicted_by());
    misses.set_time_missed(true);
    misses.set_time_score(run.time_score());
  }
  if (run.energy_missed()) {
    misses.set_predicted_by(run.predicted_by());
    misses.set_energy_missed(true);
    misses.set_energy_score(run.energy_score());
  }
  return misses;
}

// A contended run makes a row if the device has none, because it is more accurate than another
// board's row; the next run without contention replaces its numbers. An existing row stays; if the
// prediction missed, the intervals become wider.
std::vector<v1::ProfileRow> LearnFromContended(const ProfileTable& table,
                                               const v1::DeviceInfo& device,
                                               const v1::Receipt& receipt,
                                               const v1::RunObservation& run) {
  const v1::RunObservation misses = OnlyItsMisses(run);
  v1::ProfileRow row = EmptyRow(device, receipt);
  row.set_device_id(device.device_id());
  if (const v1::ProfileRow* known = table.FindLike(row); known != nullptr) {
    if (!misses.time_missed() && !misses.energy_missed()) {
      return {};
    }
    row = *known;
  } else {
    CountRun(run, &row);
    DescribeWork(receipt, &row);
    row.set_source_note(absl::StrCat("attempt ", receipt.attempt_id(), ", contended"));
    row.set_updated_unix_seconds(run.at_unix_seconds());
  }
  *row.add_runs() = misses;
  KeepLatest(&row);
  if (!ValidateProfileRow(row).ok()) {
    return {};
  }
  return {row};
}

// The row of a class with enough boards is their median, so that no single board can set it.
// `of_device` is the newest row of one of them.
v1::ProfileRow ByMiddleOfBoards(const ProfileTable& table, const v1::ProfileRow& of_device,
                                v1::ProfileRow of_class) {
  std::vector<const v1::ProfileRow*> boards = RowsOfBoards(table, of_class, of_device.device_id());
  boards.push_back(&of_device);
  return boards.size() < kBoardsWithAMiddle ? of_class : WithNumbersOf(boards, std::move(of_class));
}

}  // namespace

double UnitsOf(const v1::WorkDone& work) {
  if (work.unit() == v1::WORK_UNIT_GENERATED_TOKEN && work.generated_tokens() > 0) {
    return GenerationUnits(static_cast<double>(work.prompt_tokens()),
                           static_cast<double>(work.generated_tokens()));
  }
  return work.units();
}

std::vector<v1::ProfileRow> LearnFromReceipt(const ProfileTable& table,
                                             const v1::DeviceInfo& device,
                                             const v1::Receipt& receipt, absl::Time now,
                                             const std::string& model_artifact_id) {
  std::vector<v1::ProfileRow> changed;
  if (!Teaches(receipt)) {
    return changed;
  }
  v1::RunObservation run = ObservationOf(device, receipt, now);
  if (const v1::ProfileRow* const probe = FindProbe(table, device, receipt.attempt_id());
      probe != nullptr) {
    ScoreProbe(*probe, &run);
  }
  if (IsContended(receipt) && !WATTLE_FAULT_POINT("contended run")) {
    return LearnFromContended(table, device, receipt, run);
  }
  for (const std::string& device_id : {device.device_id(), std::string()}) {
    v1::ProfileRow empty = EmptyRow(device, receipt);
    empty.set_device_id(device_id);
    v1::ProfileRow row = WithRun(RowFor(table, std::move(empty), run), receipt, run);
    const v1::WorkDone& work = receipt.work();
    if (!device_id.empty() && !model_artifact_id.empty() && work.examples() > 0 &&
        work.unit() == v1::WORK_UNIT_GENERATED_TOKEN && work.generated_tokens() > 0) {
      CountAnswers(work, model_artifact_id, &row);
    }
    if (device_id.empty()) {
      row = ByMiddleOfBoards(table, changed.front(), std::move(row));
    }
    // A receipt whose row is invalid (a worker with a broken meter) changes nothing. The device's
    // row is checked first: it holds its runs, so it shows a wrong unit that the mean of a class
    // hides.
    if (!ValidateProfileRow(row).ok()) {
      return {};
    }
    std::vector<v1::ProfileRow> others;
    if (!device_id.empty()) {
      ForgetBeforeChange(table, &row, &others);
    }
    changed.push_back(std::move(row));
    changed.insert(changed.end(), others.begin(), others.end());
  }
  return changed;
}

v1::RowMove MoveOf(const ProfileTable& table, const std::vector<v1::ProfileRow>& learned) {
  const v1::ProfileRow& after = learned.front();  // The row of the device comes first.
  v1::RowMove move;
  if (const v1::ProfileRow* const before = table.FindLike(after); before != nullptr) {
    move.set_seconds_per_unit_before(before->seconds_per_unit().mean());
    move.set_joules_per_unit_before(before->energy_joules_per_unit().mean());
    move.set_device_changed(after.change().at_unix_seconds() != before->change().at_unix_seconds());
  }
  move.set_seconds_per_unit_after(after.seconds_per_unit().mean());
  move.set_joules_per_unit_after(after.energy_joules_per_unit().mean());
  move.set_runs(after.seconds_per_unit().count());
  return move;
}

}  // namespace wattle::scheduler
