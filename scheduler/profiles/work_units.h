// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How work is counted, the same for what was done (receipts) and for what is asked (predictions).
// Pure.
#ifndef WATTLE_SCHEDULER_PROFILES_WORK_UNITS_H_
#define WATTLE_SCHEDULER_PROFILES_WORK_UNITS_H_

#include "wattle/v1/job.pb.h"

namespace wattle::scheduler {

// A prompt token passes the model in a batch of the whole prompt, a generated one alone, when each
// weight is read from memory for one token: a prompt token counts as a tenth of a generated one.
inline constexpr double kPromptTokenWeight = 0.1;

inline double GenerationUnits(double prompt_tokens, double generated_tokens) {
  return generated_tokens + kPromptTokenWeight * prompt_tokens;
}

// A held-out example's token passes forward only: a third of a training token's work.
inline constexpr double kHeldoutTokenWeight = 1.0 / 3.0;

// Units of a finished attempt: as the runner counted them, generated tokens with their prompts.
double UnitsOf(const v1::WorkDone& work);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_WORK_UNITS_H_
