// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Which matrices of a model have low-rank adapters (LoRA), and how the adapters' tensors are named
// in PEFT's files. A module is a linear layer as the model's files name it ("h.0.attn.c_attn",
// "layers.0.self_attn.q_proj"); the engine holds some of them as rows of one matrix. Pure;
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

// The target that means every linear layer but the head.
inline constexpr char kAllLinear[] = "all-linear";

// The adapter of one module: y += alpha / rank * B A x.
struct AdapterModule {
  std::string name;  // the module's name without the layer: "c_attn"
  Slot slot = Slot::kQkv;
  int64_t layer = 0;
  int64_t first_row = 0;    // of the engine's matrix, of the rows that the module makes up
  bool transposed = false;  // the files hold the module's matrix as [inputs, outputs]
  // With PEFT's names; B's rows stand in the engine's order, as ModelTensor::layout says.
  ModelTensor a;  // [rank, inputs]
  ModelTensor b;  // [outputs, rank]
};

// The modules that `targets` name, in the order of the files; no targets: kAllLinear. A target
// names a module as in PEFT: the whole name, or the end of it that follows a dot. rank: at least 1.
// Errors: kInvalidArgument for a target that names none, with the names that there are.
absl::StatusOr<std::vector<AdapterModule>> AdapterModules(const DecoderConfig& config,
                                                          const std::vector<std::string>& targets,
                                                          int64_t rank);

// Numbers in all adapters.
[[nodiscard]] int64_t AdapterParameterCount(const std::vector<AdapterModule>& modules);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_ADAPTERS_H_
