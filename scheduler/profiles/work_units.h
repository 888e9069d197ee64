// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How work is counted, the same for what was done (receipts) and for what is asked (predictions).
// Pure.
#ifndef WATTLE_SCHEDULER_PROFILES_WORK_UNITS_H_
#define WATTLE_SCHEDULER_PROFILES_WORK_UNITS_H_

#include "wattle/v1/job.pb.h"

namespace wattle::scheduler {

// A prompt token passes the model in a batch of the whole prompt, a generated one alone, when each
// weight is read from memory for one token. Measured on one x86 core with a model of 30 million
// parameters: 0.03; a Pi 5 has fewer operations for each byte: about 0.07 by its datasheet.
inline constexpr double kPromptTokenWeight = 0.05;

inline double GenerationUnits(double prompt_tokens, double generated_tokens) {
  return generated_tokens + kPromptTokenWeight * prompt_tokens;
}

// A held-out example's token passes forward only: a third of a training token's work.
inline constexpr double kHeldoutTokenWeight = 1.0 / 3.0;

// Units of a finished attempt: as the runner counted them, generated tokens with their prompts.
double UnitsOf(const v1::WorkDone& work);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_WORK_UNITS_H_
