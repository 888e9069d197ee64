// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/predict/workload_cost.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"

#include "proto/model_shape.h"
#include "proto/training_signature.h"
#include "scheduler/predict/job_kinds.h"
#include "scheduler/predict/model_cost.h"

namespace wattle::scheduler {
namespace {

double Truncated(double tokens, const v1::WorkloadSignature& signature) {
  double limit = signature.model().context_length();
  if (signature.sequence_length() > 0) {
    limit = std::min<double>(limit, signature.sequence_length());
  }
  return std::min(tokens, limit);
}

double TrainingFlops(const v1::WorkloadSignature& signature, double attended_tokens) {
  const v1::ModelShape& shape = signature.model();
  if (const int directions = MezoDirections(signature); directions > 0) {
    return 2 * directions * ForwardFlopsPerToken(shape, attended_tokens);
  }
  const double share =
      signature.trained_layers() > 0
          ? std::min(1.0, static_cast<double>(signature.trained_layers()) / shape.layers())
          : 1.0;
  const double again = signature.activation_checkpointing()
                           ? share * ForwardFlopsPerToken(shape, attended_tokens)
                           : 0;
  if (signature.trained_layers() > 0) {
    return again + LastLayersTrainingFlopsPerToken(shape, share * shape.layers(), attended_tokens);
  }
  return again + (signature.adapter_rank() > 0
                      ? AdapterTrainingFlopsPerToken(shape, attended_tokens)
                      : TrainingFlopsPerToken(shape, attended_tokens));
}

// Numbers that an optimizer step changes, where its fixed work counts.
double UpdatedParameters(const v1::WorkloadSignature& signature) {
  return signature.trained_layers() > 0
             ? LastLayersParameterCount(signature.model(), signature.trained_layers())
             : ParameterCount(signature.model());
}

double FlopsPerToken(const v1::WorkloadSignature& signature, double attended_tokens) {
  const double passes = MethodCostOf(signature.method()).forward_passes;
  return passes > 0 ? passes * ForwardFlopsPerToken(signature.model(), attended_tokens)
                    : TrainingFlops(signature, attended_tokens);
}

double TokensPerExample(const v1::ProfileRow& row) {
  const double known = row.unit() == v1::WORK_UNIT_EXAMPLE ? 0 : row.units_per_example();
  return Truncated(known > 0 ? known : kSquadTokensPerExample, row.signature());
}

double FlopsPerUnit(const v1::ProfileRow& row, double step_flops_per_parameter) {
  const double tokens = TokensPerExample(row);
  const double per_token = FlopsPerToken(row.signature(), tokens);
  if (row.unit() == v1::WORK_UNIT_EXAMPLE) {
    return tokens * per_token;
  }
  const double step =
      MethodCostOf(row.signature().method()).steps_cost && row.units_per_step() > 0
          ? step_flops_per_parameter * UpdatedParameters(row.signature()) / row.units_per_step()
          : 0;
  return per_token + step;
}

double FlopsOfWork(const WorkAmount& work, const v1::ProfileRow& row,
                   double step_flops_per_parameter) {
  const bool tokens_known = work.tokens_per_example > 0;
  const double tokens =
      tokens_known ? work.tokens_per_example : Truncated(TokensPerExample(row), work.signature);
  const double units = tokens_known ? work.units : work.examples * tokens;
  double steps = row.units_per_step() > 0 ? work.steps : 0;
  if (work.signature.batch_size() == 0 && row.units_per_step() > 0) {
    steps = units / row.units_per_step();
  }
  const double step_flops =
      MethodCostOf(work.signature.method()).steps_cost
          ? steps * step_flops_per_parameter * UpdatedParameters(work.signature)
          : 0;
  return units * FlopsPerToken(work.signature, tokens) + step_flops;
}

}  // namespace

int MezoDirections(const v1::WorkloadSignature& signature) {
  absl::string_view name = signature.optimizer();
  if (!absl::ConsumePrefix(&name, kMezoOptimizer)) {
    return 0;
  }
  int directions = 1;
  return absl::ConsumePrefix(&name, "-") && absl::SimpleAtoi(name, &directions)
             ? std::max(1, directions)
             : 1;
}

Currency CurrencyOf(v1::Method method) {
  return MethodCostOf(method).currency;
}

double CostPerUnit(const v1::ProfileRow& row, double step_flops_per_parameter) {
  switch (CurrencyOf(row.signature().method())) {
    case Currency::kFlops:
      return FlopsPerUnit(row, step_flops_per_parameter);
    case Currency::kWeightBytes:
      return WeightBytesPerToken(row.signature()) *
             (row.unit() == v1::WORK_UNIT_EXAMPLE ? kPublishedTokensPerPrompt : 1);
    case Currency::kParameters:
      break;
  }
  return 1;
}

double CostOfWork(const WorkAmount& work, const v1::ProfileRow& row,
                  double step_flops_per_parameter) {
  switch (CurrencyOf(work.signature.method())) {
    case Currency::kFlops:
      return FlopsOfWork(work, row, step_flops_per_parameter);
    case Currency::kWeightBytes:
      return work.units * WeightBytesPerToken(work.signature);
    case Currency::kParameters:
      break;
  }
  return work.units;
}

double CostPerToken(const v1::WorkloadSignature& signature) {
  switch (CurrencyOf(signature.method())) {
    case Currency::kFlops:
      return FlopsPerToken(signature, Truncated(kSquadTokensPerExample, signature));
    case Currency::kWeightBytes:
      return WeightBytesPerToken(signature);
    case Currency::kParameters:
      break;
  }
  return ParameterCount(signature.model());
}

}  // namespace wattle::scheduler
