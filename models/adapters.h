// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Which matrices of a model have low-rank adapters (LoRA), and how the adapters' tensors are named
// in PEFT's files. A module is a linear layer by its name in the model's files ("h.0.attn.c_attn",
// "layers.0.self_attn.q_proj"); the engine stores some modules as rows of one matrix. Pure;
// thread-safe.
#ifndef WATTLE_MODELS_ADAPTERS_H_
#define WATTLE_MODELS_ADAPTERS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "models/decoder_config.h"
#include "models/tensors.h"

namespace wattle::models {

// The target for every linear layer except the head.
inline constexpr char kAllLinear[] = "all-linear";

// The adapter of one module: y += alpha / rank * B A x.
struct AdapterModule {
  std::string name;  // the module's name without the layer: "c_attn"
  Slot slot = Slot::kQkv;
  int64_t layer = 0;
  int64_t first_row = 0;    // rows of the engine's matrix that are the module
  bool transposed = false;  // the files store the module's matrix as [inputs, outputs]
  // With PEFT's names; B's rows are in the engine's order (ModelTensor::layout).
  ModelTensor a;  // [rank, inputs]
  ModelTensor b;  // [outputs, rank]
};

// The modules that `targets` name, in the order of the files; no targets: kAllLinear. A target
// matches a module as in PEFT: by the whole name, or by the part of it after a dot. rank: at least
// 1. Errors: kInvalidArgument for a target that matches no module, with the available names.
absl::StatusOr<std::vector<AdapterModule>> AdapterModules(const DecoderConfig& config,
                                                          const std::vector<std::string>& targets,
                                                          int64_t rank);

// Number of parameters in all adapters.
[[nodiscard]] int64_t AdapterParameterCount(const std::vector<AdapterModule>& modules);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_ADAPTERS_H_
