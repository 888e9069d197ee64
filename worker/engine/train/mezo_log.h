// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The moves of the weights in training by forward passes: a factor for each step and a number for
// each of its directions. Applied to the initial weights, the moves reproduce every later state,
// bit for bit and on any processor, because a move along a direction rounds once for each weight.
#ifndef WATTLE_WORKER_ENGINE_TRAIN_MEZO_LOG_H_
#define WATTLE_WORKER_ENGINE_TRAIN_MEZO_LOG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <ATen/core/Tensor.h>

#include "worker/engine/models/parameters.h"
#include "worker/engine/models/perturbed_weights.h"

namespace wattle::engine {

// Beside the model in the output directory: one line
// {"seed": 1, "direction": 0, "scalar": -1.5e-06, "keep": 1} per direction, in order.
inline constexpr char kMezoLogFile[] = "mezo.jsonl";

struct MezoMove {
  Direction direction;
  float scalar = 0.0F;  // distance of the move along the direction
  float keep = 1.0F;    // weight decay: factor of matrices and tables before the move
};

// The parameters that training moves; layout: of `arena`, with exactly these parameters.
struct MovedValues {
  const std::vector<Parameter>& parameters;
  const ArenaLayout& layout;
  at::Tensor arena;
};

void Apply(const MezoMove& move, const MovedValues& values);

std::string FormatMezoLog(const std::vector<MezoMove>& moves);
// Errors: kDataLoss for a text not written by FormatMezoLog.
absl::StatusOr<std::vector<MezoMove>> ParseMezoLog(const std::string& text);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_MEZO_LOG_H_
