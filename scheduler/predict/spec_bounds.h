// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The largest values of a job's fields. The planner (validate_spec.cc) and the coordinator, which
// takes the job (coordinator/core/validate.cc), refuse the same values.
#ifndef WATTLE_SCHEDULER_PREDICT_SPEC_BOUNDS_H_
#define WATTLE_SCHEDULER_PREDICT_SPEC_BOUNDS_H_

namespace wattle::scheduler {

inline constexpr double kSpecCountMax = 1e12;  // Steps, examples, prompts, tokens to read.
inline constexpr double kSpecEpochsMax = 100'000;
inline constexpr double kSpecBatchMax = 4096;                 // Also gradient accumulation steps.
inline constexpr double kSpecTokensMax = 1 << 24;             // Of a sequence, or newly generated.
inline constexpr double kSpecMeanTokensMax = 1e9;             // Of a declared data set's examples.
inline constexpr double kSpecSecondsMax = 366.0 * 24 * 3600;  // A year.
inline constexpr double kSpecPriorityMax = 100;               // spec.proto

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_SPEC_BOUNDS_H_
