// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Validates profile rows. The bounds admit any board that Wattle knows and reject a unit that is
// off by 1000. Most other errors show in the three columns that must agree: seconds, watts, joules.
#include <cmath>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "base/status_macros.h"
#include "base/utf8.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

// Power from a sleeping microcontroller's to a large server's.
constexpr double kPowerWattsMin = 0.05;
constexpr double kPowerWattsMax = 3000.0;
// Largest ratio between joules per unit and watts × seconds per unit. Means over different samples
// differ a little; wrong units differ by 1000 or 3600.
constexpr double kEnergyMismatchMax = 2.0;

struct Bounds {
  double min;
  double max;
};

// Seconds per unit, from a server's accelerator to the slowest board with a model that just fits
// into its memory.
Bounds SecondsBounds(v1::WorkUnit unit) {
  switch (unit) {
    case v1::WORK_UNIT_EXAMPLE:
      return {1e-5, 1e5};
    case v1::WORK_UNIT_TRAINING_TOKEN:
    case v1::WORK_UNIT_EVALUATED_TOKEN:
      return {1e-8, 1e3};
    case v1::WORK_UNIT_GENERATED_TOKEN:
      return {1e-6, 1e4};
    case v1::WORK_UNIT_PARAMETER:
      return {1e-13, 1e-2};
    default:
      return {0, 0};
  }
}

absl::Status Refuse(const v1::ProfileRow& row, absl::string_view field, absl::string_view what) {
  const std::string note =
      row.source_note().empty() ? "" : absl::StrCat(" (", row.source_note(), ")");
  return absl::InvalidArgumentError(
      OneLine(absl::StrCat("profile row of ", row.device_class(), note, ": ", field, ": ", what)));
}

absl::Status CheckStatistic(const v1::ProfileRow& row, absl::string_view field,
                            const v1::Statistic& value, Bounds bounds) {
  if (!std::isfinite(value.mean()) || value.mean() < bounds.min || value.mean() > bounds.max) {
    return Refuse(row, field,
                  absl::StrFormat("%g is outside %g to %g; check the unit that the name says",
                                  value.mean(), bounds.min, bounds.max));
  }
  if (!std::isfinite(value.relative_deviation()) || value.relative_deviation() < 0 ||
      value.count() < 1) {
    return Refuse(row, field,
                  absl::StrFormat("count %d and relative deviation %g; wanted a count of at least "
                                  "1 and a deviation of at least 0",
                                  value.count(), value.relative_deviation()));
  }
  return absl::OkStatus();
}

absl::Status CheckNotNegative(const v1::ProfileRow& row, absl::string_view field, double value) {
  if (!std::isfinite(value) || value < 0) {
    return Refuse(row, field, absl::StrFormat("%g; wanted a number of at least 0", value));
  }
  return absl::OkStatus();
}

// A single run keeps to the bounds of a mean: a wrong unit in one of fifty hardly moves their mean.
absl::Status CheckRuns(const v1::ProfileRow& row) {
  const Bounds seconds = SecondsBounds(row.unit());
  for (const v1::RunObservation& run : row.runs()) {
    // A contended run is kept only for its scores. Rows of version 0.1.0 do not mark it.
    const bool contended = run.contended() || run.seconds_per_unit() == 0;
    if (!contended &&
        (!std::isfinite(run.seconds_per_unit()) || run.seconds_per_unit() < seconds.min ||
         run.seconds_per_unit() > seconds.max)) {
      return Refuse(row, "runs.seconds_per_unit",
                    absl::StrFormat("%g is outside %g to %g; check the unit that the name says",
                                    run.seconds_per_unit(), seconds.min, seconds.max));
    }
    if (run.power_watts() != 0 &&
        (!std::isfinite(run.power_watts()) || run.power_watts() < kPowerWattsMin ||
         run.power_watts() > kPowerWattsMax)) {
      return Refuse(row, "runs.power_watts",
                    absl::StrFormat("%g is outside %g to %g; check the unit that the name says",
                                    run.power_watts(), kPowerWattsMin, kPowerWattsMax));
    }
    for (const double score : {run.time_score(), run.energy_score()}) {
      if (!std::isfinite(score) || score < 0) {
        return Refuse(row, "runs.time_score and runs.energy_score",
                      absl::StrFormat("%g; wanted a number of at least 0", score));
      }
    }
  }
  for (const v1::AnswerLengths& of : row.answer_lengths()) {
    if (!std::isfinite(of.tokens_per_end()) || of.tokens_per_end() <= 0 || of.runs() < 1) {
      return Refuse(row, "answer_lengths.tokens_per_end",
                    absl::StrFormat("%g of %d runs; wanted a number above 0 of at least one run",
                                    of.tokens_per_end(), of.runs()));
    }
  }
  if (row.has_change() &&
      (!std::isfinite(row.change().time_ratio()) || row.change().time_ratio() <= 0)) {
    return Refuse(row, "change.time_ratio",
                  absl::StrFormat("%g; wanted a number above 0", row.change().time_ratio()));
  }
  return absl::OkStatus();
}

absl::Status CheckDetails(const v1::ProfileRow& row) {
  WATTLE_RETURN_IF_ERROR(CheckNotNegative(row, "peak_power_watts", row.peak_power_watts()));
  WATTLE_RETURN_IF_ERROR(
      CheckNotNegative(row, "net_energy_joules_per_unit", row.net_energy_joules_per_unit()));
  WATTLE_RETURN_IF_ERROR(
      CheckNotNegative(row, "step_overhead_seconds", row.step_overhead_seconds()));
  WATTLE_RETURN_IF_ERROR(CheckNotNegative(row, "idle_power_watts", row.idle_power_watts()));
  WATTLE_RETURN_IF_ERROR(CheckNotNegative(row, "units_per_example", row.units_per_example()));
  WATTLE_RETURN_IF_ERROR(CheckNotNegative(row, "units_per_step", row.units_per_step()));
  WATTLE_RETURN_IF_ERROR(CheckNotNegative(row, "bytes_per_token", row.bytes_per_token()));
  return CheckNotNegative(row, "start_seconds", row.start_seconds());
}

absl::Status CheckEnergy(const v1::ProfileRow& row) {
  const bool has_power = row.power_watts().count() != 0 || row.power_watts().mean() != 0;
  const bool has_energy =
      row.energy_joules_per_unit().count() != 0 || row.energy_joules_per_unit().mean() != 0;
  if (!has_power && !has_energy) {
    return absl::OkStatus();  // A row without a sensor has only a time.
  }
  WATTLE_RETURN_IF_ERROR(
      CheckStatistic(row, "power_watts", row.power_watts(), {kPowerWattsMin, kPowerWattsMax}));
  if (row.seconds_per_unit().count() == 0) {
    return absl::OkStatus();  // A row that has only power.
  }
  WATTLE_RETURN_IF_ERROR(
      CheckStatistic(row, "energy_joules_per_unit", row.energy_joules_per_unit(), {1e-15, 1e9}));
  const double expected_joules = row.power_watts().mean() * row.seconds_per_unit().mean();
  const double ratio = row.energy_joules_per_unit().mean() / expected_joules;
  if (ratio > kEnergyMismatchMax || ratio < 1 / kEnergyMismatchMax) {
    return Refuse(
        row, "energy_joules_per_unit",
        absl::StrFormat("%g J, but %g s at %g W make %g J; one of the three has a wrong unit",
                        row.energy_joules_per_unit().mean(), row.seconds_per_unit().mean(),
                        row.power_watts().mean(), expected_joules));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateProfileRow(const v1::ProfileRow& row) {
  if (row.device_class().empty()) {
    return Refuse(row, "device_class", "empty; wanted a class such as \"jetson-orin-nano\"");
  }
  if (row.source() == v1::PROFILE_SOURCE_UNSPECIFIED) {
    return Refuse(row, "source", "missing; wanted measured or published");
  }
  if (row.source() == v1::PROFILE_SOURCE_IMPORTED && !row.device_id().empty()) {
    return Refuse(row, "device_id",
                  "set; an imported row is of a class, no device here measured it");
  }
  if (row.signature().method() == v1::METHOD_UNSPECIFIED) {
    return Refuse(row, "signature.method", "missing");
  }
  const bool power_only = row.source() == v1::PROFILE_SOURCE_PUBLISHED &&
                          row.seconds_per_unit().count() == 0 &&
                          row.seconds_per_unit().mean() == 0 && row.power_watts().count() > 0;
  if (!power_only) {
    const v1::ModelShape& model = row.signature().model();
    if (model.layers() < 1 || model.width() < 1 || model.heads() < 1 ||
        model.vocabulary_size() < 1 || model.context_length() < 1) {
      return Refuse(row, "signature.model",
                    "a size is missing or negative; wanted layers, width, heads, vocabulary and "
                    "context of at least 1");
    }
    if (row.unit() == v1::WORK_UNIT_UNSPECIFIED) {
      return Refuse(row, "unit", "missing; a rate without its unit says nothing");
    }
    WATTLE_RETURN_IF_ERROR(
        CheckStatistic(row, "seconds_per_unit", row.seconds_per_unit(), SecondsBounds(row.unit())));
  }
  WATTLE_RETURN_IF_ERROR(CheckDetails(row));
  WATTLE_RETURN_IF_ERROR(CheckRuns(row));
  return CheckEnergy(row);
}

}  // namespace wattle::scheduler
