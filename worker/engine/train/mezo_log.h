// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What training by forward passes did to the weights: for each step a factor and for each of its
// directions a number. With the weights that the run began with they give every later weight again,
// bit for bit and on any processor: moving along a direction rounds once for each weight.
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
// {"seed": 1, "direction": 0, "scalar": -1.5e-06, "keep": 1} for each direction, in order.
inline constexpr char kMezoLogFile[] = "mezo.jsonl";

struct MezoMove {
  Direction direction;
  float scalar = 0.0F;  // how far the weights moved along the direction
  float keep = 1.0F;    // weight decay: matrices and tables were multiplied with it before
};

// The parameters that training moves; layout: of `arena`, holds those and no others.
struct MovedValues {
  const std::vector<Parameter>& parameters;
  const ArenaLayout& layout;
  at::Tensor arena;
};

void Apply(const MezoMove& move, const MovedValues& values);

std::string FormatMezoLog(const std::vector<MezoMove>& moves);
// Errors: kDataLoss for a text that FormatMezoLog did not write.
absl::StatusOr<std::vector<MezoMove>> ParseMezoLog(const std::string& text);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_MEZO_LOG_H_
