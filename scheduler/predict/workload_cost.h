// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A common currency for rows and jobs, so that a rate that was measured on one workload can price
// another: floating-point operations for batches in matrix products (fine-tuning, evaluation),
// bytes of weights for tokens that are generated one at a time, parameters for quantization. Pure;
// thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_WORKLOAD_COST_H_
#define WATTLE_SCHEDULER_PREDICT_WORKLOAD_COST_H_

#include "scheduler/predict/work.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

enum class Currency { kFlops, kWeightBytes, kParameters };

Currency CurrencyOf(v1::Method method);

// Tokens of a SQuAD 2.0 example, for a published row or a declared job without a number: 882 bytes
// of context, question and answer on average (development set) at 4.4 bytes per token.
inline constexpr double kSquadTokensPerExample = 200;

// A published generation row gives the time of a prompt without its tokens. 50 is the usual default
// of the library that made it.
inline constexpr double kPublishedTokensPerPrompt = 50;

// Fixed work of an optimizer step (AdamW, clipping, clearing) in operations for each parameter.
// Measured on one x86 core with a model of 30 million parameters and batches of 2 to 16: the time
// of 44 training tokens, which is 270 operations for each parameter. This is a prior: rows of
// different batches determine a board's own value (same_workload.h).
inline constexpr double kStepFlopsPerParameter = 300;

// The directions of a step of training by forward passes, at least 1; 0 for every other workload
// (proto/training_signature.h).
int MezoDirections(const v1::WorkloadSignature& signature);

// Cost of one unit of a row. `step_flops_per_parameter` applies only to rows with known steps.
double CostPerUnit(const v1::ProfileRow& row, double step_flops_per_parameter);

// Cost of the whole job at a rate from `row`. Values that the job omits (tokens of an example,
// batch) are taken from the row. A row without known steps prices no steps.
double CostOfWork(const WorkAmount& work, const v1::ProfileRow& row,
                  double step_flops_per_parameter);

// Cost of one token (or parameter) of a workload, which measures the distance between two models.
double CostPerToken(const v1::WorkloadSignature& signature);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_WORKLOAD_COST_H_
