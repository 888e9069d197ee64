// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/predict/imported_rows.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"

#include "base/status_macros.h"
#include "base/utf8.h"
#include "scheduler/predict/datasheet.h"
#include "scheduler/predict/model_cost.h"
#include "scheduler/predict/predict.h"
#include "scheduler/predict/work.h"
#include "scheduler/predict/workload_cost.h"
#include "scheduler/profiles/exported_rows.h"
#include "scheduler/profiles/run_interval.h"
#include "wattle/v1/device.pb.h"

namespace wattle::scheduler {
namespace {

// A row further from the local prediction than this many deviations of both contradicts it.
constexpr double kFarDeviations = 3;
// A published row comes from another engine, perhaps on another processor of the board. Imported
// rows are more accurate, so a published row only detects numbers in another unit.
constexpr double kFarFromPublishedFactor = 30;
// Weights of fewer bytes may stay in a cache, and are then read faster than from memory.
constexpr double kCacheBytes = 64 << 20;
constexpr size_t kFleetDigits = 8;

absl::Status Refuse(int index, const v1::ProfileRow& row, absl::string_view what) {
  return absl::InvalidArgumentError(
      OneLine(absl::StrCat("rows[", index, "]: profile row of ", row.device_class(), ": ", what)));
}

// Checks the fields that ValidateProfileRow skips because no prediction uses them.
absl::Status CheckFinite(int index, const v1::ProfileRow& row) {
  const std::pair<absl::string_view, double> numbers[] = {
      {"seconds_per_unit.min", row.seconds_per_unit().min()},
      {"seconds_per_unit.max", row.seconds_per_unit().max()},
      {"power_watts.min", row.power_watts().min()},
      {"power_watts.max", row.power_watts().max()},
      {"energy_joules_per_unit.min", row.energy_joules_per_unit().min()},
      {"energy_joules_per_unit.max", row.energy_joules_per_unit().max()},
      {"temperature_celsius_max", row.temperature_celsius_max()},
      {"throttled_fraction", row.throttled_fraction()},
      {"updated_unix_seconds", row.updated_unix_seconds()},
  };
  for (const auto& [name, value] : numbers) {
    if (!std::isfinite(value)) {
      return Refuse(index, row,
                    absl::StrFormat("%s: %g, wanted a number; leave the row out", name, value));
    }
  }
  return absl::OkStatus();
}

// A rate above the datasheet's has its seconds in another unit.
absl::Status CheckRate(int index, const v1::ProfileRow& row) {
  const DatasheetPeak peak = PeakOf(row.device_class());
  const double seconds = row.seconds_per_unit().mean();
  const Currency currency = CurrencyOf(row.signature().method());
  if (currency == Currency::kParameters) {
    return absl::OkStatus();  // The operations are unknown; ValidateProfileRow checks bounds.
  }
  const double tokens = currency == Currency::kWeightBytes && row.unit() == v1::WORK_UNIT_EXAMPLE
                            ? kPublishedTokensPerPrompt
                            : 1;
  const double operations =
      currency == Currency::kFlops
          ? CostPerUnit(row, /*step_flops_per_parameter=*/0)
          : tokens * ForwardFlopsPerToken(row.signature().model(), /*attended_tokens=*/0);
  const auto too_fast = [&](double rate, double limit, absl::string_view unit) {
    return Refuse(
        index, row,
        absl::StrFormat("seconds_per_unit: %g, which is %.3g %s, and %s at most %.3g; "
                        "check that the number is in seconds",
                        seconds, rate, unit,
                        peak.of_class ? "its datasheet gives" : "a computer reaches", limit));
  };
  if (operations / seconds > peak.operations_per_second) {
    return too_fast(operations / seconds / 1e9, peak.operations_per_second / 1e9, "GFLOP/s");
  }
  if (currency == Currency::kWeightBytes) {
    // A batch reads the weights once for all its prompts.
    const double bytes = CostPerUnit(row, /*step_flops_per_parameter=*/0) /
                         std::max(1, row.signature().batch_size());
    if (bytes > kCacheBytes && bytes / seconds > peak.bytes_per_second) {
      return too_fast(bytes / seconds / 1e9, peak.bytes_per_second / 1e9, "GB/s of weights");
    }
  }
  return absl::OkStatus();
}

// A run of the row's workload, large enough that its units are not whole by chance.
WorkAmount WorkLike(const v1::ProfileRow& row) {
  constexpr double kExamples = 1000;
  WorkAmount work;
  work.signature = row.signature();
  work.unit = row.unit();
  work.examples = kExamples;
  const bool counts_examples = row.unit() == v1::WORK_UNIT_EXAMPLE;
  const double per_example = counts_examples               ? 1
                             : row.units_per_example() > 0 ? row.units_per_example()
                                                           : kSquadTokensPerExample;
  work.units = kExamples * per_example;
  work.tokens_per_example = counts_examples ? 0 : row.units_per_example();
  work.steps = row.units_per_step() > 0 ? work.units / row.units_per_step() : 0;
  return work;
}

absl::Status CheckKnown(int index, const v1::ProfileRow& row, const ProfileTable& known) {
  if (absl::StartsWith(row.device_class(), "generic-")) {
    return absl::OkStatus();  // The class's machines share only an instruction set.
  }
  v1::Device device;
  device.mutable_info()->set_device_class(row.device_class());
  device.mutable_info()->set_emulated(row.emulated());
  device.mutable_info()->set_power_mode(row.power_mode());
  const WorkAmount work = WorkLike(row);
  const v1::Prediction prediction = Predict(known, device, work, {});
  if (prediction.provenance() == v1::PROVENANCE_DATASHEET) {
    return absl::OkStatus();  // No local row exists for boards of this class.
  }
  const auto check = [&](absl::string_view field, double value, double whole, double deviation,
                         double own_deviation) {
    const double here = whole / work.units;
    const double far = kFarDeviations * std::hypot(deviation, own_deviation);
    const double allowed = prediction.provenance() == v1::PROVENANCE_PUBLISHED
                               ? std::max(far, std::log(kFarFromPublishedFactor))
                               : far;
    const double distance = std::abs(std::log(value / here));
    if (distance <= allowed) {
      return absl::OkStatus();
    }
    return Refuse(index, row,
                  absl::StrFormat("%s: %g, and by what is known here %g (%s), a factor of %.3g "
                                  "where %.3g is allowed; check unit, class and power mode, or "
                                  "leave the row out",
                                  field, value, here, prediction.provenance_note(),
                                  std::exp(distance), std::exp(allowed)));
  };
  WATTLE_RETURN_IF_ERROR(check("seconds_per_unit", row.seconds_per_unit().mean(),
                               prediction.run_seconds().mean(), prediction.time_deviation(),
                               kImportedDeviation));
  if (row.energy_joules_per_unit().count() == 0) {
    return absl::OkStatus();
  }
  return check("energy_joules_per_unit", row.energy_joules_per_unit().mean(),
               prediction.run_energy_joules().mean(), prediction.energy_deviation(),
               std::hypot(kImportedDeviation, kPowerImportedDeviation));
}

std::string NoteOf(const v1::ProfileExport& file, absl::string_view file_name) {
  const absl::Time exported = absl::UnixEpoch() + absl::Seconds(file.exported_unix_seconds());
  return absl::StrCat(
      "fleet ", file.fleet().empty() ? "without a name" : file.fleet().substr(0, kFleetDigits),
      ", ", absl::FormatTime("%Y-%m-%d", exported, absl::UTCTimeZone()), ", ", file_name);
}

}  // namespace

absl::StatusOr<std::vector<v1::ProfileRow>> ImportedRows(const ProfileTable& table,
                                                         const v1::ProfileExport& file,
                                                         absl::string_view file_name) {
  WATTLE_RETURN_IF_ERROR(CheckExportHead(file));
  ProfileTable known = table;
  known.RemoveImported("");  // Rows of an earlier import do not count: this import may correct
                             // them.
  const std::string note = NoteOf(file, file_name);
  std::map<std::string, int> indices;
  std::vector<v1::ProfileRow> imported;
  for (int i = 0; i < file.rows_size(); ++i) {
    v1::ProfileRow row = WithoutOrigin(file.rows(i));
    if (row.source() != v1::PROFILE_SOURCE_MEASURED) {
      return Refuse(i, row,
                    absl::StrCat("source: ", v1::ProfileSource_Name(row.source()),
                                 ", wanted PROFILE_SOURCE_MEASURED, because only measured rows "
                                 "move; leave the row out"));
    }
    if (const absl::Status valid = ValidateProfileRow(row); !valid.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("rows[", i, "]: ", valid.message()));
    }
    WATTLE_RETURN_IF_ERROR(CheckFinite(i, row));
    WATTLE_RETURN_IF_ERROR(CheckRate(i, row));
    WATTLE_RETURN_IF_ERROR(CheckKnown(i, row, known));
    row.set_source(v1::PROFILE_SOURCE_IMPORTED);
    row.set_source_note(note);
    const auto [at, is_new] = indices.emplace(ProfileKey(row), i);
    if (!is_new) {
      return Refuse(i, row,
                    absl::StrCat("the same class, mode and workload as rows[", at->second,
                                 "]; leave one of them out"));
    }
    imported.push_back(std::move(row));
  }
  return imported;
}

}  // namespace wattle::scheduler
