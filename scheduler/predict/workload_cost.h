// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A common currency for rows and jobs, so that a rate measured on one can price the other:
// floating-point operations where a batch passes through matrix products (fine-tuning, evaluation),
// bytes of weights where one token is generated at a time, parameters for quantization. Pure;
// thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_WORKLOAD_COST_H_
#define WATTLE_SCHEDULER_PREDICT_WORKLOAD_COST_H_

#include "scheduler/predict/work.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

enum class Currency { kFlops, kWeightBytes, kParameters };

Currency CurrencyOf(v1::Method method);

// Tokens of a SQuAD 2.0 example, where a published row or a declared job gives none: 882 bytes of
// context, question and answer on average (development set) at 4.4 bytes a token.
inline constexpr double kSquadTokensPerExample = 200;

// Fixed work of an optimizer step, in operations for each parameter: AdamW, clipping and clearing.
// Measured on one x86 core with a model of 30 million parameters, batches of 2 to 16: the time of
// 44 training tokens, which are 270 operations a parameter. A prior: rows of different batches tell
// a board's own value (same_workload.h).
inline constexpr double kStepFlopsPerParameter = 300;

// Cost of one unit of a row. `step_flops_per_parameter` counts for rows that tell their steps.
double CostPerUnit(const v1::ProfileRow& row, double step_flops_per_parameter);

// Cost of the whole job, as priced by a rate from `row`: what the job does not tell (tokens of an
// example, batch) is taken to be as in the row, and a row that does not tell its steps prices none.
double CostOfWork(const WorkAmount& work, const v1::ProfileRow& row,
                  double step_flops_per_parameter);

// Cost of one token (or parameter) of a workload, for "how far is this model from that one".
double CostPerToken(const v1::WorkloadSignature& signature);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_WORKLOAD_COST_H_
