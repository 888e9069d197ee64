// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/predict/measured_rates.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"

#include "proto/rate_bounds.h"
#include "scheduler/predict/datasheet.h"
#include "scheduler/predict/other_workload.h"
#include "scheduler/predict/pass_time.h"
#include "scheduler/predict/same_workload.h"
#include "scheduler/predict/work.h"
#include "scheduler/predict/workload_cost.h"
#include "scheduler/profiles/mode_numbers.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

// Error of a transfer by rates: boards also differ in what no rate measures, such as caches, kernel
// launches and the work around the products. An assumption; the level learns its own error.
constexpr double kRatesDeviation = 0.25;
// The value for a transfer through a shared workload: passes are assumed to last equally long on
// both boards.
constexpr double kPassRatioShare = 0.6;

// The rate that decides the speed of a kind of work.
struct NeededRate {
  const char* words;
  double (v1::MeasuredRates::*of)() const;
};

std::optional<NeededRate> RateFor(const v1::WorkloadSignature& work) {
  switch (CurrencyOf(work.method())) {
    case Currency::kFlops:
      if (absl::StartsWith(work.precision(), "bf16")) {
        return NeededRate{"BF16 products", &v1::MeasuredRates::bf16_flops};
      }
      if (absl::StartsWith(work.precision(), "fp16")) {
        return NeededRate{"FP16 products", &v1::MeasuredRates::fp16_flops};
      }
      return NeededRate{"FP32 products", &v1::MeasuredRates::fp32_flops};
    case Currency::kWeightBytes:
      if (work.quantization().empty() || work.quantization() == "none") {
        return NeededRate{"memory", &v1::MeasuredRates::memory_bytes_per_second};
      }
      if (absl::StartsWith(work.quantization(), "int8")) {
        return NeededRate{"int8 products", &v1::MeasuredRates::int8_weights_per_second};
      }
      return NeededRate{"4-bit products", &v1::MeasuredRates::int4_weights_per_second};
    case Currency::kParameters:
      return std::nullopt;  // Quantization is no matrix product.
  }
  return std::nullopt;
}

// The rates of a mode. An empty name, of a board with one mode or an unknown mode, matches any
// mode.
const v1::MeasuredRates* InMode(const std::vector<v1::MeasuredRates>& rates,
                                const std::string& mode, const NeededRate& needed) {
  for (const v1::MeasuredRates& each : rates) {
    const bool same = each.power_mode() == mode || each.power_mode().empty() || mode.empty();
    if (same && (each.*needed.of)() > 0) {
      return &each;
    }
  }
  return nullptr;
}

// The device's own rates in its present mode, else in any mode.
std::optional<v1::MeasuredRates> RatesHere(const v1::DeviceInfo& device, const NeededRate& needed) {
  std::vector<v1::MeasuredRates> told = UsableRates(device);
  told.erase(
      std::remove_if(told.begin(), told.end(),
                     [&](const auto& rates) { return !RateProblemOn(device, rates).empty(); }),
      told.end());
  const v1::MeasuredRates* here = InMode(told, device.power_mode(), needed);
  if (here == nullptr) {
    here = InMode(told, "", needed);
  }
  return here == nullptr ? std::nullopt : std::optional(*here);
}

bool IsMeasuredOfClass(const v1::ProfileRow& row, const RunQuery& query) {
  return row.source() == v1::PROFILE_SOURCE_MEASURED && Serves(row, query.device) &&
         row.seconds_per_unit().count() > 0 &&
         CurrencyOf(row.signature().method()) == CurrencyOf(query.work.signature.method());
}

// Rows of one class, mode and workload, with the ratio of seconds on this device over seconds on
// that class.
struct Source {
  std::vector<const v1::ProfileRow*> rows;
  double ratio = 1;
};

RunEstimate EstimateFrom(const Source& source, const NeededRate& needed,
                         const v1::MeasuredRates& here, const RunQuery& query) {
  const WorkloadRate rate = InterpolateRate(source.rows, query);
  const v1::ProfileRow& row = *rate.nearest;
  RunTime time =
      TimeAtRate(rate.seconds, CostOfWork(query.work, row, rate.step_flops_per_parameter),
                 PassesOfWork(query.work), source.ratio);
  time.pass_error_seconds = std::max(time.pass_error_seconds, kPassRatioShare * time.pass_seconds);
  const double own = std::hypot(rate.deviation, kRatesDeviation);
  RunEstimate estimate;
  estimate.run_seconds = time.seconds();
  estimate.time_deviation =
      CombinedDeviation(time, std::hypot(own, DeviationFromWork(row, query.work)));
  estimate.own_time_deviation = CombinedDeviation(time, own);
  estimate.provenance = v1::PROVENANCE_MEASURED_RATES;
  estimate.mode.name = here.power_mode();
  estimate.note = absl::StrFormat("by measured rates from %s, x%.3g by %s", row.device_class(),
                                  source.ratio, needed.words);
  return estimate;
}

// The sources of one class: all rows of a mode together for this workload, each row by itself for
// other workloads.
std::vector<Source> SourcesOf(const ProfileTable::ClassRows& rows,
                              const std::vector<v1::MeasuredRates>& rates, const NeededRate& needed,
                              const v1::MeasuredRates& here, const RunQuery& query) {
  std::map<std::string, Source> of_workload;  // Keyed by power mode.
  std::vector<Source> sources;
  for (const auto& [key, row] : rows) {
    if (!IsMeasuredOfClass(row, query) || !row.device_id().empty()) {
      continue;
    }
    const v1::MeasuredRates* const there = InMode(rates, ModeNameOf(row), needed);
    if (there == nullptr) {
      continue;
    }
    const double ratio = (there->*needed.of)() / (here.*needed.of)();
    if (SameWorkload(row.signature(), query.work.signature)) {
      Source& source = of_workload[row.power_mode()];
      source.rows.push_back(&row);
      source.ratio = ratio;
    } else if (const auto other = RateFor(row.signature());
               other.has_value() && other->of == needed.of) {
      sources.push_back({{&row}, ratio});
    }
  }
  for (auto& [mode, source] : of_workload) {
    sources.push_back(std::move(source));
  }
  return sources;
}

}  // namespace

std::string RateProblemOn(const v1::DeviceInfo& device, const v1::MeasuredRates& rates) {
  const DatasheetPeak peak = PeakOf(device.device_class());
  return peak.of_class ? RateProblem(rates, {.memory_bytes_per_second = peak.bytes_per_second,
                                             .operations_per_second = peak.operations_per_second})
                       : RateProblem(rates);
}

std::optional<RunEstimate> FromMeasuredRates(const ProfileTable& table, const RunQuery& query) {
  const std::optional<NeededRate> needed = RateFor(query.work.signature);
  if (query.device.rates().empty() || table.rates().empty() || !needed.has_value()) {
    return std::nullopt;
  }
  const std::optional<v1::MeasuredRates> here = RatesHere(query.device, *needed);
  const auto& own = table.OfClass(query.device.device_class());
  if (!here.has_value() || std::any_of(own.begin(), own.end(), [&](const auto& entry) {
        return IsMeasuredOfClass(entry.second, query);
      })) {
    return std::nullopt;
  }
  std::optional<RunEstimate> best;
  for (const auto& [device_class, rows] : table.by_class()) {
    const std::vector<v1::MeasuredRates>& rates =
        table.rates().OfClass(device_class, query.device.emulated());
    if (rates.empty() || device_class == query.device.device_class()) {
      continue;
    }
    for (const Source& source : SourcesOf(rows, rates, *needed, *here, query)) {
      RunEstimate estimate = EstimateFrom(source, *needed, *here, query);
      if (!best.has_value() || estimate.time_deviation < best->time_deviation) {
        best = std::move(estimate);
      }
    }
  }
  return best;
}

}  // namespace wattle::scheduler
