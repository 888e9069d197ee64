// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/predict/pass_time.h"

#include <algorithm>
#include <cmath>

#include "scheduler/predict/datasheet.h"
#include "scheduler/predict/job_kinds.h"
#include "scheduler/predict/workload_cost.h"
#include "scheduler/profiles/calibration.h"

namespace wattle::scheduler {
namespace {

// The pass time of an evaluated batch relative to a generated token's: the batch is packed and
// padded, and the loss of each of its tokens is read back.
constexpr double kPassesOfBatch = 4;
// Passes take at most this share of a row's time; a tenth is left for operations and bytes.
constexpr double kPassShareMax = 0.9;

double BatchOf(const v1::WorkloadSignature& signature, const WorkAmount& work) {
  const int batch =
      signature.batch_size() > 0 ? signature.batch_size() : work.signature.batch_size();
  return std::max(1, batch);
}

// 0: the method passes over no batches of examples.
double PassesOfExample(const v1::WorkloadSignature& signature, const WorkAmount& work) {
  const double models = MethodCostOf(signature.method()).models_per_batch;
  return models > 0
             ? models * kPassesOfBatch / BatchOf(signature, work) + work.answer_passes_per_example
             : 0;
}

// The factor e^(kInterval90 deviation) above the mean, less one.
double RiseAt90(double deviation) {
  return std::expm1(kInterval90 * deviation);
}

}  // namespace

double PassesOfWork(const WorkAmount& work) {
  if (MethodCostOf(work.signature.method()).pass_per_unit) {
    return work.units / BatchOf(work.signature, work);
  }
  return work.examples * PassesOfExample(work.signature, work);
}

double PassesPerUnit(const v1::ProfileRow& row, const WorkAmount& work) {
  const v1::WorkloadSignature& signature = row.signature();
  if (MethodCostOf(signature.method()).pass_per_unit) {
    return row.unit() == v1::WORK_UNIT_EXAMPLE ? kPublishedTokensPerPrompt
                                               : 1 / BatchOf(signature, work);
  }
  const double of_example = PassesOfExample(signature, work);
  if (row.unit() == v1::WORK_UNIT_EXAMPLE) {
    return of_example;
  }
  return row.units_per_example() > 0 ? of_example / row.units_per_example() : 0;
}

SplitRate SplitRow(const v1::ProfileRow& row, const RunQuery& query,
                   double step_flops_per_parameter) {
  const double cost = CostPerUnit(row, step_flops_per_parameter);
  const double seconds = row.seconds_per_unit().mean();
  const double passes = PassesPerUnit(row, query.work);
  const double prior_here = PassSecondsPrior(query.device, query.work.signature);
  if (passes <= 0) {
    return {seconds / cost, prior_here, 0};
  }
  const double prior_of_row = PassSecondsPrior(query.device, row.signature());
  const double in_passes = std::min(passes * prior_of_row, kPassShareMax * seconds);
  return {(seconds - in_passes) / cost, in_passes / passes * prior_here / prior_of_row,
          in_passes / cost};
}

RunTime TimeAtRate(const SplitRate& rate, double cost, double passes, double size_ratio) {
  RunTime time;
  time.size_seconds = rate.seconds_per_cost * cost * size_ratio;
  time.pass_seconds = rate.seconds_per_pass * passes;
  // The time of the row's own passes does not count as time of its sizes.
  time.pass_error_seconds =
      std::abs(time.pass_seconds - rate.pass_seconds_per_cost * cost * size_ratio);
  return time;
}

double CombinedDeviation(const RunTime& time, double size_deviation) {
  if (time.seconds() <= 0) {
    return size_deviation;
  }
  const double rise = std::hypot(time.size_seconds * RiseAt90(size_deviation),
                                 time.pass_error_seconds * RiseAt90(kPassDeviation));
  return std::log1p(rise / time.seconds()) / kInterval90;
}

}  // namespace wattle::scheduler
