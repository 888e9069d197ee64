// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Scales by cost within a class and transfers between classes. Deviations grow with the logarithm
// of the factor that is bridged.
#include "scheduler/predict/other_workload.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "scheduler/predict/measured_rates.h"
#include "scheduler/predict/pass_time.h"
#include "scheduler/predict/power_mode.h"
#include "scheduler/predict/same_workload.h"
#include "scheduler/predict/work.h"
#include "scheduler/predict/workload_cost.h"
#include "scheduler/profiles/profile_table.h"
#include "scheduler/profiles/run_interval.h"

namespace wattle::scheduler {
namespace {

constexpr double kOtherModelDeviation = 0.30;
// Deviation for each factor of e in cost between two models: small models leave a board idle
// between operations. Even the published tables disagree by a factor of 1.6 between two models
// whose cost differs by 1.5.
constexpr double kModelDistanceDeviation = 0.35;
constexpr double kOtherMethodDeviation = 0.20;
constexpr double kRatioDeviation = 0.15;
constexpr double kSimilarFactor = 4.0;
// Passes are assumed to last equally long on both classes. Error of the seconds of passes for an
// error of e in the prior of a pass.
constexpr double kPassRatioShare = 0.6;
constexpr double kPowerOtherModelDeviation = 0.15;
constexpr double kPowerOtherMethodDeviation = 0.25;

std::string Name(const v1::WorkloadSignature& signature) {
  return absl::StrCat(signature.model().architecture(), " ", signature.model().layers(), " x ",
                      signature.model().width());
}

double ModelDistance(const v1::WorkloadSignature& a, const v1::WorkloadSignature& b) {
  return std::abs(std::log(CostPerToken(a) / CostPerToken(b)));
}

bool HasTime(const v1::ProfileRow& row) {
  return row.seconds_per_unit().count() > 0;
}

bool SameCurrency(const v1::ProfileRow& row, const v1::WorkloadSignature& signature) {
  return CurrencyOf(row.signature().method()) == CurrencyOf(signature.method());
}

// Seconds per cost without the time of passes.
double SecondsPerCost(const v1::ProfileRow& row, const RunQuery& query) {
  return SplitRow(row, query, kStepFlopsPerParameter).seconds_per_cost;
}

double GrossWatts(const v1::ProfileRow& row) {
  return row.power_watts().count() > 0
             ? row.energy_joules_per_unit().mean() / row.seconds_per_unit().mean()
             : 0;
}

// Deviation between a row and a prediction on its class because of the row's source; 0 for a row
// measured in this fleet.
double DeviationOfSource(const v1::ProfileRow& row) {
  switch (row.source()) {
    case v1::PROFILE_SOURCE_PUBLISHED:
      return kPublishedDeviation;
    case v1::PROFILE_SOURCE_IMPORTED:
      return kImportedDeviation;
    default:
      return 0;
  }
}

struct SourceWords {
  v1::Provenance provenance = v1::PROVENANCE_UNSPECIFIED;
  absl::string_view word;
};

SourceWords WordsOf(const v1::ProfileRow& row) {
  switch (row.source()) {
    case v1::PROFILE_SOURCE_PUBLISHED:
      return {v1::PROVENANCE_PUBLISHED, "published"};
    case v1::PROFILE_SOURCE_IMPORTED:
      return {v1::PROVENANCE_IMPORTED, "imported"};
    default:
      return {v1::PROVENANCE_OTHER_MODEL, "measured"};
  }
}

RunEstimate ScaledFrom(const v1::ProfileRow& row, const RunQuery& query) {
  RunEstimate estimate;
  const bool same = SameWorkload(row.signature(), query.work.signature);
  const RunTime time = TimeAtRate(SplitRow(row, query, kStepFlopsPerParameter),
                                  CostOfWork(query.work, row, kStepFlopsPerParameter),
                                  PassesOfWork(query.work), /*size_ratio=*/1);
  estimate.run_seconds = time.seconds();
  estimate.time_deviation = CombinedDeviation(time, DeviationFromWork(row, query.work));
  const double of_source = DeviationOfSource(row);
  // Left out: the job's distance from the row, which shifts the estimates of all devices equally.
  estimate.own_time_deviation =
      CombinedDeviation(time, of_source > 0 ? of_source : kRatioDeviation);
  estimate.energy_joules = GrossWatts(row) * estimate.run_seconds;
  // The paper's own watts, which it rounds separately from its joules.
  estimate.power_watts = row.power_watts().mean();
  estimate.power_deviation = same ? kPowerPublishedDeviation : kPowerOtherModelDeviation;
  const auto [provenance, source] = WordsOf(row);
  estimate.provenance = provenance;
  estimate.idle_power_watts = row.idle_power_watts();
  estimate.mode = ModeOf(row, query.device);
  estimate.note =
      same ? absl::StrCat(source, ": ", row.source_note())
           : absl::StrFormat("scaled by cost x%.3g a token from %s %s (%s)",
                             CostPerToken(query.work.signature) / CostPerToken(row.signature()),
                             source, Name(row.signature()), row.source_note());
  return estimate;
}

// Whether an imported row of the same workload replaces this published one.
bool IsDisplaced(const v1::ProfileRow& row, const ProfileTable::ClassRows& of_class,
                 const v1::DeviceInfo& device) {
  return row.source() == v1::PROFILE_SOURCE_PUBLISHED &&
         std::any_of(of_class.begin(), of_class.end(), [&](const auto& entry) {
           const v1::ProfileRow& other = entry.second;
           return other.source() == v1::PROFILE_SOURCE_IMPORTED && Serves(other, device) &&
                  SameWorkload(other.signature(), row.signature());
         });
}

std::optional<RunEstimate> NearestOfClass(const ProfileTable& table, const RunQuery& query) {
  const v1::ProfileRow* best = nullptr;
  double best_deviation = 0;
  const ProfileTable::ClassRows& of_class = table.OfClass(query.device.device_class());
  for (const auto& [key, row] : of_class) {
    if (!HasTime(row) || !Serves(row, query.device) || !SameCurrency(row, query.work.signature) ||
        IsDisplaced(row, of_class, query.device)) {
      continue;
    }
    const double deviation = DeviationFromWork(row, query.work);
    if (best == nullptr || deviation < best_deviation) {
      best = &row;
      best_deviation = deviation;
    }
  }
  if (best == nullptr) {
    return std::nullopt;
  }
  return ScaledFrom(*best, query);
}

// A workload measured on both classes, with one row of each.
struct Shared {
  const v1::ProfileRow* here = nullptr;
  const v1::ProfileRow* there = nullptr;
  double distance = 0;  // Distance of its cost from the job's.
};

// Imported rows may not transfer, because two fleets have no common ratio.
bool MayTransfer(const v1::ProfileRow& row, const v1::DeviceInfo& device) {
  return HasTime(row) && row.source() != v1::PROFILE_SOURCE_IMPORTED && row.device_id().empty() &&
         (row.source() == v1::PROFILE_SOURCE_PUBLISHED || row.emulated() == device.emulated());
}

// Which shared workloads may transfer a rate.
enum class Bridges { kAny, kMeasured };

bool Allows(Bridges bridges, const v1::ProfileRow& row) {
  return bridges == Bridges::kAny || row.source() == v1::PROFILE_SOURCE_MEASURED;
}

std::optional<Shared> NearestShared(const ProfileTable::ClassRows& here,
                                    const ProfileTable::ClassRows& there, const RunQuery& query,
                                    Bridges bridges) {
  std::optional<Shared> best;
  for (const auto& [here_key, a] : here) {
    if (!MayTransfer(a, query.device) || !SameCurrency(a, query.work.signature)) {
      continue;
    }
    const double distance = ModelDistance(a.signature(), query.work.signature);
    for (const auto& [there_key, b] : there) {
      // Both rows must be measured or both published, because two engines have no common ratio.
      if (a.source() == b.source() && Allows(bridges, a) && MayTransfer(b, query.device) &&
          SameWorkload(a.signature(), b.signature()) &&
          (!best.has_value() || distance < best->distance)) {
        best = Shared{&a, &b, distance};
      }
    }
  }
  return best;
}

RunEstimate TransferredFrom(const std::vector<const v1::ProfileRow*>& rows, const Shared& shared,
                            const RunQuery& query) {
  const WorkloadRate rate = InterpolateRate(rows, query);
  // One workload measured on both classes gives the ratio of their speeds.
  const double ratio = SecondsPerCost(*shared.here, query) / SecondsPerCost(*shared.there, query);
  RunTime time =
      TimeAtRate(rate.seconds, CostOfWork(query.work, *rate.nearest, rate.step_flops_per_parameter),
                 PassesOfWork(query.work), ratio);
  time.pass_error_seconds = std::max(time.pass_error_seconds, kPassRatioShare * time.pass_seconds);
  const double own_deviation = std::hypot(rate.deviation, kRatioDeviation);
  RunEstimate estimate;
  estimate.run_seconds = time.seconds();
  estimate.time_deviation = CombinedDeviation(
      time, std::hypot(own_deviation,
                       WildcardDeviation(rate.nearest->signature(), query.work.signature)) +
                kModelDistanceDeviation * shared.distance);
  estimate.own_time_deviation = CombinedDeviation(time, own_deviation);
  estimate.power_watts = GrossWatts(*shared.here);
  estimate.energy_joules = estimate.power_watts * estimate.run_seconds;
  estimate.power_deviation = kPowerOtherModelDeviation;
  estimate.provenance = v1::PROVENANCE_TRANSFERRED;
  estimate.idle_power_watts = shared.here->idle_power_watts();
  estimate.mode = ModeOf(*shared.here, query.device);
  estimate.note =
      absl::StrFormat("transferred from %s, x%.3g by %s on both", rate.nearest->device_class(),
                      ratio, Name(shared.here->signature()));
  return estimate;
}

struct Transfer {
  RunEstimate estimate;
  double distance = 0;
};

std::optional<Transfer> BestTransfer(const ProfileTable& table, const RunQuery& query,
                                     Bridges bridges) {
  std::optional<Transfer> best;
  const auto& here = table.OfClass(query.device.device_class());
  for (const auto& [device_class, there] : table.by_class()) {
    if (device_class == query.device.device_class()) {
      continue;
    }
    std::vector<const v1::ProfileRow*> sources;
    for (const auto& [key, row] : there) {
      if (row.source() == v1::PROFILE_SOURCE_MEASURED && MayTransfer(row, query.device) &&
          SameWorkload(row.signature(), query.work.signature)) {
        sources.push_back(&row);
      }
    }
    const std::optional<Shared> shared = NearestShared(here, there, query, bridges);
    if (sources.empty() || !shared.has_value()) {
      continue;
    }
    RunEstimate estimate = TransferredFrom(sources, *shared, query);
    if (!best.has_value() || estimate.time_deviation < best->estimate.time_deviation) {
      best = Transfer{std::move(estimate), shared->distance};
    }
  }
  return best;
}

bool HasPublishedRowOfWorkload(const ProfileTable& table, const RunQuery& query) {
  for (const auto& [key, row] : table.OfClass(query.device.device_class())) {
    if (row.source() == v1::PROFILE_SOURCE_PUBLISHED && HasTime(row) &&
        SameWorkload(row.signature(), query.work.signature)) {
      return true;
    }
  }
  return false;
}

}  // namespace

double DeviationFromWork(const v1::ProfileRow& row, const WorkAmount& work) {
  const bool same = SameWorkload(row.signature(), work.signature);
  double deviation =
      std::hypot(WildcardDeviation(row.signature(), work.signature), DeviationOfSource(row));
  if (!same) {
    deviation = std::hypot(deviation, kOtherModelDeviation);
    deviation += kModelDistanceDeviation * ModelDistance(row.signature(), work.signature);
  }
  if (row.signature().method() != work.signature.method()) {
    deviation = std::hypot(deviation, kOtherMethodDeviation);
  }
  return deviation;
}

std::optional<RunEstimate> FromOtherWorkloads(const ProfileTable& table, const RunQuery& query) {
  std::optional<RunEstimate> nearest = NearestOfClass(table, query);
  // The class has measured no work of this kind, so classes share published rows at most.
  if (std::optional<RunEstimate> rates = FromMeasuredRates(table, query); rates.has_value()) {
    return nearest.has_value() && nearest->time_deviation <= rates->time_deviation ? nearest
                                                                                   : rates;
  }
  // The class's own published row of this model is better than the published ratio of two classes.
  const bool published = HasPublishedRowOfWorkload(table, query);
  std::optional<Transfer> transfer =
      BestTransfer(table, query, published ? Bridges::kMeasured : Bridges::kAny);
  if (!transfer.has_value() || (published && transfer->distance > std::log(kSimilarFactor))) {
    return nearest;
  }
  if (nearest.has_value() && nearest->time_deviation <= transfer->estimate.time_deviation) {
    return nearest;
  }
  return transfer->estimate;
}

std::optional<PowerEstimate> PowerFromRows(const ProfileTable& table, const RunQuery& query) {
  const v1::ProfileRow* best = nullptr;
  double best_rank = 0;
  for (const auto& [key, row] : table.OfClass(query.device.device_class())) {
    if (row.power_watts().count() == 0 || !Serves(row, query.device)) {
      continue;
    }
    // The method matters most, then measured before the others, then the device's own row, then
    // imported before published.
    const double rank = (row.signature().method() == query.work.signature.method() ? 8 : 0) +
                        (row.source() == v1::PROFILE_SOURCE_MEASURED ? 4 : 0) +
                        (row.device_id().empty() ? 0 : 2) +
                        (row.source() == v1::PROFILE_SOURCE_IMPORTED ? 1 : 0);
    if (best == nullptr || rank > best_rank) {
      best = &row;
      best_rank = rank;
    }
  }
  if (best == nullptr) {
    return std::nullopt;
  }
  return PowerEstimate{best->power_watts().mean(),
                       best_rank >= 8 ? kPowerOtherModelDeviation : kPowerOtherMethodDeviation,
                       absl::StrCat("watts of ", best->source_note()), ModeOf(*best, query.device)};
}

}  // namespace wattle::scheduler
