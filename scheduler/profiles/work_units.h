// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Counts work in the same units for finished work (receipts) and for requested work (predictions).
// Pure.
#ifndef WATTLE_SCHEDULER_PROFILES_WORK_UNITS_H_
#define WATTLE_SCHEDULER_PROFILES_WORK_UNITS_H_

#include "wattle/v1/job.pb.h"

namespace wattle::scheduler {

// A prompt token costs this share of a generated one. All prompt tokens pass the model in one
// batch; a generated token passes by itself, and each weight is read from memory for it. Measured
// on one x86 core with a model of 30 million parameters: 0.03. A Pi 5 has fewer operations for each
// byte by its datasheet: about 0.07.
inline constexpr double kPromptTokenWeight = 0.05;

inline double GenerationUnits(double prompt_tokens, double generated_tokens) {
  return generated_tokens + kPromptTokenWeight * prompt_tokens;
}

// A held-out token needs only the forward pass, which is a third of a training token's work.
inline constexpr double kHeldoutTokenWeight = 1.0 / 3.0;

// Units of a finished attempt as the runner counted them; for generation, generated tokens and
// weighted prompt tokens.
double UnitsOf(const v1::WorkDone& work);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_WORK_UNITS_H_
