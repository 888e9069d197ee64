// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Uses exact rows, and a small regression over batch and length.
#include "scheduler/predict/same_workload.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "base/fault_point.h"
#include "scheduler/predict/power_mode.h"
#include "scheduler/predict/unmeasured_mode.h"
#include "scheduler/predict/workload_cost.h"
#include "scheduler/profiles/calibration.h"
#include "scheduler/profiles/mode_numbers.h"
#include "scheduler/profiles/probe.h"
#include "scheduler/profiles/profile_table.h"
#include "scheduler/profiles/run_interval.h"
#include "scheduler/profiles/signature_fields.h"

namespace wattle::scheduler {
namespace {

// Deviation for each factor of e between the batches or lengths of row and job.
constexpr double kDistanceDeviation = 0.10;
constexpr double kPowerInterpolatedDeviation = 0.07;
constexpr double kUnknownBatchDeviation = 0.12;
constexpr double kUnknownLengthDeviation = 0.12;
// The fixed cost of a step is searched over these multiples of its prior. The standard deviation of
// the prior's logarithm is ln 2 × kStepPriorDeviation.
constexpr double kStepMultiples[] = {0, 0.125, 0.25, 0.5,  0.707, 1,    1.414, 2,  2.83,
                                     4, 5.66,  8,    11.3, 16,    22.6, 32,    64, 128};
constexpr double kStepPriorDeviation = 2.5;
constexpr double kStepZeroDistance =
    4;  // Distance of "no fixed cost" from the prior, in factors of two.

double Square(double value) {
  return value * value;
}

// `than` may be null.
bool IsNewer(const v1::ProfileRow& row, const v1::ProfileRow* than) {
  return than == nullptr || row.updated_unix_seconds() > than->updated_unix_seconds();
}

double Distance(const v1::ProfileRow& row, const WorkAmount& work) {
  double distance = 0;
  if (row.signature().batch_size() > 0 && work.signature.batch_size() > 0) {
    distance += std::abs(
        std::log(static_cast<double>(row.signature().batch_size()) / work.signature.batch_size()));
  }
  // A generation's row has the length of uncut texts; a token of cut ones takes as long.
  if (row.units_per_example() > 0 && work.tokens_per_example > 0 &&
      work.unit != v1::WORK_UNIT_GENERATED_TOKEN) {
    distance += std::abs(std::log(row.units_per_example() / work.tokens_per_example));
  }
  return distance;
}

double Weight(const v1::ProfileRow& row, const RunQuery& query) {
  const auto count = static_cast<double>(std::min<int64_t>(row.seconds_per_unit().count(), 5));
  const double engine =
      IsOfOtherEngine(row, query.device.engine_version()) ? kOtherEngineDeviation : 0;
  // Inverse variance: repeats average out with their count, errors of engine and distance do not.
  return 1 / (Square(kRepeatDeviation) / count + Square(engine) +
              Square(kDistanceDeviation * Distance(row, query.work)));
}

struct LogMean {
  double mean = 0;
  double misfit = 0;  // Sum of squares about the mean, in units of the repeat deviation.
};

struct WeighedRate {
  SplitRate split;
  double log = 0;  // Logarithm of the seconds for a unit of cost, without those of passes.
  double weight = 0;
};
using WeighedRates = absl::InlinedVector<WeighedRate, 4>;

WeighedRates RatesOf(absl::Span<const v1::ProfileRow* const> rows, const RunQuery& query,
                     double step_flops_per_parameter) {
  WeighedRates rates;
  rates.reserve(rows.size());
  for (const v1::ProfileRow* row : rows) {
    const SplitRate split = SplitRow(*row, query, step_flops_per_parameter);
    rates.push_back({split, std::log(split.seconds_per_cost), Weight(*row, query)});
  }
  return rates;
}

LogMean MeanOfLogRates(const WeighedRates& rates) {
  double weights = 0;
  LogMean result;
  for (const WeighedRate& rate : rates) {
    result.mean += rate.weight * rate.log;
    weights += rate.weight;
  }
  result.mean /= weights;
  for (const WeighedRate& rate : rates) {
    result.misfit += Square((rate.log - result.mean) / kRepeatDeviation);
  }
  return result;
}

// The step cost with the least misfit plus distance from the prior. Rows of one batch leave the
// prior unchanged.
double FitStepCost(absl::Span<const v1::ProfileRow* const> rows, const RunQuery& query) {
  if (rows.size() < 2) {
    return kStepFlopsPerParameter;
  }
  double best = kStepFlopsPerParameter;
  // The right step cost makes rows of different batches agree in their rate.
  double best_penalty = MeanOfLogRates(RatesOf(rows, query, best)).misfit;
  for (const double multiple : kStepMultiples) {
    const double distance = multiple > 0 ? std::log2(multiple) : kStepZeroDistance;
    const double penalty =
        MeanOfLogRates(RatesOf(rows, query, multiple * kStepFlopsPerParameter)).misfit +
        Square(distance / kStepPriorDeviation);
    if (penalty < best_penalty) {
      best_penalty = penalty;
      best = multiple * kStepFlopsPerParameter;
    }
  }
  return best;
}

enum class Whose { kDevice, kClass, kImported, kProbed };

using WorkloadRow = ProfileTable::WorkloadRow;

// Whether the row may serve the device as one of these, by the index.
bool IsOf(Whose whose, const WorkloadRow& row, bool emulated, uint64_t device) {
  if (row.emulated != emulated && !WATTLE_FAULT_POINT("emulated rows")) {
    return false;
  }
  switch (row.source) {
    case v1::PROFILE_SOURCE_MEASURED:
      return row.of_class ? whose == Whose::kClass
                          : whose == Whose::kDevice && row.device == device;
    case v1::PROFILE_SOURCE_IMPORTED:
      return whose == Whose::kImported;
    case v1::PROFILE_SOURCE_PROBED:
      return whose == Whose::kProbed && row.device == device;
    default:
      return false;
  }
}

// A query with the values that each look-up in the index needs. Most rows are accepted or refused
// by the index only, because the rows themselves are scattered in memory.
struct Search {
  const RunQuery& query;
  const ProfileTable::WorkloadRows& rows;  // The class's rows, sorted by key.
  uint64_t device = 0;
  uint64_t power_mode = 0;
  uint64_t no_power_mode = 0;
  ModeNumbers mode_numbers;  // The present mode's numbers; zeros: unknown.

  [[nodiscard]] bool Matches(Whose whose, const WorkloadRow& row) const {
    return IsOf(whose, row, query.device.emulated(), device);
  }
  // Runs under this mode's name but with other numbers are runs of another mode.
  [[nodiscard]] bool IsOfPresentMode(const WorkloadRow& row) const {
    return row.power_mode == no_power_mode || power_mode == no_power_mode ||
           (row.power_mode == power_mode && MaySetTheSame(row.mode_numbers, mode_numbers));
  }
  // REQUIRES: the row matches in the index. Digests may agree by chance, so the texts decide.
  [[nodiscard]] bool IsOfDevice(const WorkloadRow& row) const {
    return row.of_class || row.row().device_id() == query.device.device_id();
  }
  [[nodiscard]] bool IsOfWorkload(const WorkloadRow& row) const {
    return SameWorkload(row.row().signature(), query.work.signature);
  }
};

Search SearchOf(const ProfileTable& table, const RunQuery& query) {
  const v1::PowerMode* const present = FindListedMode(query.device, query.device.power_mode());
  return {query,
          table.OfWorkload(query.device.device_class(), query.work.signature),
          TextDigest(query.device.device_id()),
          TextDigest(query.device.power_mode()),
          TextDigest(""),
          present == nullptr ? ModeNumbers() : ModeNumbersOf(*present)};
}

// Rows of one device or class, all of the present mode or all of other ones.
struct Selected {
  std::vector<const WorkloadRow*> rows;
  bool of_present_mode = true;
};

// All rows of this workload that may serve the device: its own, its class's, or imported ones. Rows
// outdated by a change of the device serve only if there are no others.
Selected Select(const Search& search, Whose whose) {
  Selected selected;
  std::vector<const WorkloadRow*> other_modes;
  std::optional<bool> of_first;  // Whether the first row is of the workload.
  const auto of_workload = [&](const WorkloadRow& row) {
    if (!row.as_first) {
      return search.IsOfWorkload(row);
    }
    if (!of_first.has_value()) {
      of_first = search.IsOfWorkload(search.rows.front());
    }
    return *of_first;
  };
  for (const WorkloadRow& indexed : search.rows) {
    if (search.Matches(whose, indexed) && search.IsOfDevice(indexed) && of_workload(indexed)) {
      (search.IsOfPresentMode(indexed) ? selected.rows : other_modes).push_back(&indexed);
    }
  }
  if (selected.rows.empty()) {
    selected = {std::move(other_modes), false};
  }
  std::vector<const WorkloadRow*>& rows = selected.rows;
  const auto outdated = [](const WorkloadRow* indexed) { return IsOutdated(indexed->row()); };
  // A class does not change, and rows of other fleets carry no change.
  if (whose == Whose::kDevice && !std::all_of(rows.begin(), rows.end(), outdated)) {
    rows.erase(std::remove_if(rows.begin(), rows.end(), outdated), rows.end());
  }
  return selected;
}

// Prefetches the parts of the row that a prediction reads. The parts are scattered, and waiting for
// one after the other takes longer than the arithmetic.
void FetchAhead(const v1::ProfileRow& row) {
  const auto fetch = [](const auto& message, size_t bytes) {
    constexpr size_t kLine = 64;
    const char* const begin = reinterpret_cast<const char*>(&message);
    for (size_t at = 0; at < bytes; at += kLine) {
      __builtin_prefetch(begin + at);
    }
  };
  fetch(row, sizeof(row));
  for (const v1::Statistic* const part :
       {&row.seconds_per_unit(), &row.power_watts(), &row.energy_joules_per_unit()}) {
    fetch(*part, 1);
  }
  __builtin_prefetch(row.source_note().data());
  fetch(row.signature(), sizeof(row.signature()));
  fetch(row.signature().model(), sizeof(row.signature().model()));
}

// The newest row of the present mode at the job's batch and length, or null. Each engine version
// leaves its own row.
const v1::ProfileRow* Exact(const Selected& selected, const RunQuery& query) {
  const v1::ProfileRow* newest = nullptr;
  for (const WorkloadRow* const indexed : selected.rows) {
    if (selected.of_present_mode && IsAtBatchAndLength(*indexed, query.work.signature) &&
        IsNewer(indexed->row(), newest)) {
      newest = &indexed->row();
    }
  }
  return newest;
}

// Exact(Select(search, whose)) without a list of the others. REQUIRES: whose is not kDevice,
// because rows of a device may be outdated.
const v1::ProfileRow* ExactOf(const Search& search, Whose whose) {
  const v1::ProfileRow* newest = nullptr;
  for (const WorkloadRow& indexed : search.rows) {
    if (!IsAtBatchAndLength(indexed, search.query.work.signature) ||
        !search.Matches(whose, indexed) || !search.IsOfPresentMode(indexed)) {
      continue;
    }
    FetchAhead(indexed.row());
    if (search.IsOfDevice(indexed) && search.IsOfWorkload(indexed) &&
        IsNewer(indexed.row(), newest)) {
      newest = &indexed.row();
    }
  }
  return newest;
}

// Widens the interval, because the device is not, or no longer, the one that was measured.
void Widen(double deviation, RunEstimate* estimate) {
  estimate->time_deviation = std::hypot(estimate->time_deviation, deviation);
  estimate->own_time_deviation = std::hypot(estimate->own_time_deviation, deviation);
  estimate->power_deviation = std::hypot(estimate->power_deviation, deviation);
}

// A row of an older engine version is only a first estimate for the new version.
void WidenForEngine(const v1::ProfileRow& row, const RunQuery& query, RunEstimate* estimate) {
  if (row.source() == v1::PROFILE_SOURCE_IMPORTED ||
      !IsOfOtherEngine(row, query.device.engine_version())) {
    return;  // An imported row's deviation already covers other versions.
  }
  estimate->time_deviation = std::hypot(estimate->time_deviation, kOtherEngineDeviation);
  estimate->own_time_deviation = std::hypot(estimate->own_time_deviation, kOtherEngineDeviation);
  absl::StrAppend(&estimate->note, ", with another version of the engine");
}

// Carries an estimate over the device's change.
void CarryOver(const v1::ProfileRow& row, RunEstimate* estimate) {
  if (!IsOutdated(row)) {
    return;
  }
  const CarriedChange change = CarryOverChange(row);
  estimate->run_seconds *= change.factor;
  estimate->energy_joules *= change.factor;
  Widen(change.deviation, estimate);
  absl::StrAppend(&estimate->note, ", before the device changed its speed by a factor of ",
                  absl::StrFormat("%.2f", row.change().time_ratio()));
}

// The median over the runs of the highest temperature, because one long run among many short ones
// says little about the row's mean. A class's row keeps no runs and has only the maximum.
double UsualTemperatureMax(const v1::ProfileRow& row) {
  std::vector<double> celsius;
  for (const v1::RunObservation& run : row.runs()) {
    if (run.temperature_celsius_max() > 0) {
      celsius.push_back(run.temperature_celsius_max());
    }
  }
  if (celsius.empty()) {
    return row.temperature_celsius_max();
  }
  const auto middle = celsius.begin() + static_cast<ptrdiff_t>(celsius.size() / 2);
  std::nth_element(celsius.begin(), middle, celsius.end());
  return *middle;
}

RunEstimate Finish(const WorkloadRate& rate, const RunQuery& query) {
  const v1::ProfileRow& row = *rate.nearest;
  RunEstimate estimate;
  const RunTime time =
      TimeAtRate(rate.seconds, CostOfWork(query.work, row, rate.step_flops_per_parameter),
                 PassesOfWork(query.work), /*size_ratio=*/1);
  estimate.run_seconds = time.seconds();
  estimate.own_time_deviation = std::hypot(rate.deviation, CombinedDeviation(time, 0));
  estimate.time_deviation = std::hypot(estimate.own_time_deviation,
                                       WildcardDeviation(row.signature(), query.work.signature));
  estimate.power_watts = rate.power_watts;
  estimate.energy_joules = rate.power_watts * estimate.run_seconds;
  estimate.power_deviation = rate.rows == 1 ? kPowerRepeatDeviation : kPowerInterpolatedDeviation;
  estimate.start_seconds = row.start_seconds();
  estimate.idle_power_watts = row.idle_power_watts();
  estimate.peak_memory_bytes = row.peak_memory_bytes();
  estimate.temperature_celsius_max = UsualTemperatureMax(row);
  return estimate;
}

// Widens the interval by the difference between the rows' boards and the device.
void WidenFor(Whose whose, RunEstimate* estimate) {
  if (whose == Whose::kClass) {
    Widen(kClassDeviation, estimate);
  } else if (whose == Whose::kImported) {
    estimate->time_deviation = std::hypot(estimate->time_deviation, kImportedDeviation);
    estimate->own_time_deviation = std::hypot(estimate->own_time_deviation, kImportedDeviation);
    estimate->power_deviation = std::hypot(estimate->power_deviation, kPowerImportedDeviation);
  }
}

v1::Provenance ProvenanceOf(Whose whose) {
  switch (whose) {
    case Whose::kDevice:
      return v1::PROVENANCE_MEASURED_DEVICE;
    case Whose::kClass:
      return v1::PROVENANCE_MEASURED_CLASS;
    case Whose::kImported:
      return v1::PROVENANCE_IMPORTED;
    case Whose::kProbed:
      return v1::PROVENANCE_PROBED;
  }
  return v1::PROVENANCE_UNSPECIFIED;
}

// "2 runs, last attempt j1.1".
std::string RunsWords(const v1::ProfileRow& row) {
  return absl::StrCat(
      row.seconds_per_unit().count(), row.seconds_per_unit().count() == 1 ? " run, " : " runs, ",
      row.source() == v1::PROFILE_SOURCE_IMPORTED ? "" : "last ", row.source_note());
}

RunEstimate FromExactRow(const v1::ProfileRow& row, const RunQuery& query, Whose whose) {
  WorkloadRate rate = InterpolateRate({&row}, query);
  rate.deviation = std::max(kRepeatDeviation, row.seconds_per_unit().relative_deviation());
  if (WATTLE_FAULT_POINT("interval of the mean")) {
    rate.deviation /= std::sqrt(static_cast<double>(row.seconds_per_unit().count()));
  }
  RunEstimate estimate = Finish(rate, query);
  WidenFor(whose, &estimate);
  estimate.provenance = ProvenanceOf(whose);
  estimate.note = absl::StrCat(whose == Whose::kDevice  ? "measured on this device: "
                               : whose == Whose::kClass ? "measured on this class: "
                                                        : "imported: ",
                               RunsWords(row));
  WidenForEngine(row, query, &estimate);
  CarryOver(row, &estimate);
  return estimate;
}

RunEstimate FromProbe(const v1::ProfileRow& row, const RunQuery& query) {
  WorkloadRate rate = InterpolateRate({&row}, query);
  rate.deviation = kProbeDeviation;
  RunEstimate estimate = Finish(rate, query);
  estimate.provenance = v1::PROVENANCE_PROBED;
  estimate.note = absl::StrCat("probed on this device: ", row.source_note());
  WidenForEngine(row, query, &estimate);
  return estimate;
}

// Describes how a job follows from rows that differ in mode, batch or length.
absl::string_view HowWords(const Selected& selected, const v1::WorkloadSignature& job,
                           bool imported) {
  const bool open = job.batch_size() == 0 || job.sequence_length() == 0;
  if (!selected.of_present_mode) {
    const bool scale = !open && std::none_of(selected.rows.begin(), selected.rows.end(),
                                             [&job](const WorkloadRow* row) {
                                               return IsAtBatchAndLength(*row, job);
                                             });
    return scale ? "carried over power modes, batch and length" : "carried over power modes";
  }
  return !open ? "interpolated over batch and length" : imported ? "imported" : "measured";
}

// A job that omits batch or length still counts as measured by rows of its workload. Rows of
// another fleet never count as measured, and rows of other modes are a separate kind of transfer
// with errors of its own.
v1::Provenance LevelOf(const Selected& selected, bool open, Whose whose) {
  if (whose == Whose::kImported) {
    return v1::PROVENANCE_IMPORTED;
  }
  if (!selected.of_present_mode) {
    return v1::PROVENANCE_OTHER_MODE;
  }
  return open ? ProvenanceOf(whose) : v1::PROVENANCE_INTERPOLATED;
}

RunEstimate FromRows(const Selected& selected, const RunQuery& query, Whose whose) {
  std::vector<const v1::ProfileRow*> rows;
  for (const WorkloadRow* const indexed : selected.rows) {
    rows.push_back(&indexed->row());
  }
  const WorkloadRate rate = InterpolateRate(rows, query);
  RunEstimate estimate = Finish(rate, query);
  estimate.power_deviation = std::hypot(estimate.power_deviation, kPowerInterpolatedDeviation);
  if (!selected.of_present_mode) {
    estimate.mode = ModeOf(*rate.nearest, query.device);
  }
  WidenFor(whose, &estimate);
  const bool open =
      query.work.signature.batch_size() == 0 || query.work.signature.sequence_length() == 0;
  estimate.provenance = LevelOf(selected, open, whose);
  estimate.note =
      absl::StrCat(HowWords(selected, query.work.signature, whose == Whose::kImported), " from ",
                   rows.size(), rows.size() == 1 ? " row" : " rows",
                   whose == Whose::kDevice  ? " of this device"
                   : whose == Whose::kClass ? " of this class"
                                            : absl::StrCat(" of ", rate.nearest->source_note()),
                   open ? "; the job leaves batch or length open" : "");
  WidenForEngine(*rate.nearest, query, &estimate);
  CarryOver(*rate.nearest, &estimate);
  return estimate;
}

// An estimate for the present mode by its numbers, from rows of other modes.
RunEstimate FromNumbers(const UnmeasuredMode& mode, const RunQuery& query, Whose whose) {
  WorkloadRate rate = mode.nearest;
  rate.deviation = mode.time_deviation;
  RunEstimate estimate = Finish(rate, query);
  estimate.run_seconds = mode.run_seconds;
  estimate.power_watts = mode.power_watts;
  estimate.energy_joules = mode.power_watts * mode.run_seconds;
  estimate.power_deviation = mode.power_deviation;
  WidenFor(whose, &estimate);
  estimate.provenance =
      whose == Whose::kImported ? v1::PROVENANCE_IMPORTED : v1::PROVENANCE_OTHER_MODE;
  estimate.note = mode.words;
  CarryOver(*rate.nearest, &estimate);
  return estimate;
}

absl::string_view OwnerOf(Whose whose) {
  switch (whose) {
    case Whose::kClass:
      return "this class";
    case Whose::kImported:
      return "other fleets";
    default:
      return "this device";
  }
}

// Rows that are not at the job's batch and length, or are of other modes than the device's present
// one. A class's row is the mean of its boards, so the boards add no information to it.
RunEstimate FromSelected(const Search& search, const Selected& selected, Whose whose) {
  if (!selected.of_present_mode) {
    const ModeTeachers teachers{OwnerOf(whose), whose == Whose::kDevice ? &search.rows : nullptr};
    if (const std::optional<UnmeasuredMode> mode =
            FromMeasuredModes(selected.rows, teachers, search.query);
        mode.has_value()) {
      return FromNumbers(*mode, search.query, whose);
    }
  }
  return FromRows(selected, search.query, whose);
}

}  // namespace

bool SameWorkload(const v1::WorkloadSignature& a, const v1::WorkloadSignature& b) {
  return SameIn(SignaturePart::kModel, a, b) && SameIn(SignaturePart::kWorkload, a, b);
}

bool Serves(const v1::ProfileRow& row, const v1::DeviceInfo& device) {
  if (row.source() == v1::PROFILE_SOURCE_PUBLISHED) {
    return true;
  }
  return (row.emulated() == device.emulated() || WATTLE_FAULT_POINT("emulated rows")) &&
         (row.device_id().empty() || row.device_id() == device.device_id());
}

double WildcardDeviation(const v1::WorkloadSignature& row, const v1::WorkloadSignature& job) {
  // A published row and a job that both omit the field need no deviation: the job repeats the
  // experiment of the row's authors.
  double squares = 0;
  if ((row.batch_size() == 0) != (job.batch_size() == 0)) {
    squares += Square(kUnknownBatchDeviation);
  }
  if ((row.sequence_length() == 0) != (job.sequence_length() == 0)) {
    squares += Square(kUnknownLengthDeviation);
  }
  // Generation and quantization have neither batch nor length.
  return CurrencyOf(job.method()) == Currency::kFlops ? std::sqrt(squares) : 0;
}

WorkloadRate InterpolateRate(absl::Span<const v1::ProfileRow* const> rows, const RunQuery& query) {
  WorkloadRate rate;
  rate.rows = static_cast<int>(rows.size());
  rate.step_flops_per_parameter = FitStepCost(rows, query);
  const WeighedRates rates = RatesOf(rows, query, rate.step_flops_per_parameter);
  rate.seconds.seconds_per_cost = std::exp(MeanOfLogRates(rates).mean);
  double weights = 0;
  rate.nearest = rows.front();
  double nearest_weight = -1;
  double power = 0;
  double power_weights = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const v1::ProfileRow* const row = rows[i];
    const auto& [split, log, weight] = rates[i];
    rate.seconds.seconds_per_pass += weight * split.seconds_per_pass;
    rate.seconds.pass_seconds_per_cost += weight * split.pass_seconds_per_cost;
    weights += weight;
    if (weight > nearest_weight) {
      nearest_weight = weight;
      rate.nearest = row;
    }
    if (row->power_watts().count() > 0) {
      // Joules over seconds: a published row rounds its watts separately.
      power += weight * row->energy_joules_per_unit().mean() / row->seconds_per_unit().mean();
      power_weights += weight;
    }
  }
  rate.seconds.seconds_per_pass /= weights;
  rate.seconds.pass_seconds_per_cost /= weights;
  rate.power_watts = power_weights > 0 ? power / power_weights : 0;
  // The error of the mean, and the spread of the one run that is predicted.
  rate.deviation = std::hypot(1 / std::sqrt(weights), kRepeatDeviation);
  return rate;
}

bool IsMeasured(const ProfileTable& table, const RunQuery& query) {
  const Search search = SearchOf(table, query);
  return std::any_of(search.rows.begin(), search.rows.end(), [&search](const WorkloadRow& row) {
    return (search.Matches(Whose::kDevice, row) || search.Matches(Whose::kClass, row)) &&
           search.IsOfDevice(row) && search.IsOfWorkload(row);
  });
}

std::optional<RunEstimate> FromSameWorkload(const ProfileTable& table, const RunQuery& query) {
  const Search search = SearchOf(table, query);
  const Selected of_device = Select(search, Whose::kDevice);
  // The class's rows describe the device before its change.
  const bool changed = std::any_of(of_device.rows.begin(), of_device.rows.end(),
                                   [](const auto* indexed) { return indexed->row().has_change(); });
  if (const v1::ProfileRow* const row = Exact(of_device, query); row != nullptr) {
    return FromExactRow(*row, query, Whose::kDevice);
  }
  // A probe does not predict other batches and lengths: half a minute cannot separate a step's
  // fixed cost from the tokens' cost.
  if (const v1::ProfileRow* const row = ExactOf(search, Whose::kProbed); row != nullptr) {
    return FromProbe(*row, query);
  }
  if (!changed) {
    if (const v1::ProfileRow* const row = ExactOf(search, Whose::kClass); row != nullptr) {
      return FromExactRow(*row, query, Whose::kClass);
    }
  }
  if (!of_device.rows.empty()) {
    return FromSelected(search, of_device, Whose::kDevice);
  }
  if (const Selected of_class = Select(search, Whose::kClass); !of_class.rows.empty()) {
    return FromSelected(search, of_class, Whose::kClass);
  }
  if (const v1::ProfileRow* const row = ExactOf(search, Whose::kImported); row != nullptr) {
    return FromExactRow(*row, query, Whose::kImported);
  }
  if (const Selected imported = Select(search, Whose::kImported); !imported.rows.empty()) {
    return FromSelected(search, imported, Whose::kImported);
  }
  return std::nullopt;
}

}  // namespace wattle::scheduler
