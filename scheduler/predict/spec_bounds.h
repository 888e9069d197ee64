// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The largest values of a job's fields. The planner (validate_spec.cc) and the coordinator
// (coordinator/core/validate.cc) share them, so that both refuse the same values.
#ifndef WATTLE_SCHEDULER_PREDICT_SPEC_BOUNDS_H_
#define WATTLE_SCHEDULER_PREDICT_SPEC_BOUNDS_H_

namespace wattle::scheduler {

inline constexpr double kSpecCountMax = 1e12;  // Steps, examples, prompts, tokens to read.
inline constexpr double kSpecEpochsMax = 100'000;
inline constexpr double kSpecBatchMax = 4096;      // Also for gradient accumulation steps.
inline constexpr double kSpecTokensMax = 1 << 24;  // In a sequence, or newly generated.
inline constexpr double kSpecMeanTokensMax = 1e9;  // Mean of a declared data set's examples.
inline constexpr double kSpecSecondsMax = 366.0 * 24 * 3600;  // A year.
inline constexpr double kSpecAdapterRankMax = 1024;           // spec.proto
inline constexpr double kSpecPriorityMax = 100;               // spec.proto

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_SPEC_BOUNDS_H_
