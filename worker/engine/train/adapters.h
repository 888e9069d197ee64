// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The adapters of a training run (LoRA): their parameters in a separate arena, beside a frozen
// model. models/layers.h computes with them once they are attached. Not thread-safe. May throw
// libtorch's exceptions.
#ifndef WATTLE_WORKER_ENGINE_TRAIN_ADAPTERS_H_
#define WATTLE_WORKER_ENGINE_TRAIN_ADAPTERS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <ATen/core/Tensor.h>

#include "models/adapters.h"
#include "worker/engine/models/model_files.h"
#include "worker/engine/models/parameters.h"
#include "worker/engine/train/method_settings.h"

namespace wattle::engine {

// PEFT's file names.
inline constexpr char kAdapterWeightsFile[] = "adapter_model.safetensors";
inline constexpr char kAdapterConfigFile[] = "adapter_config.json";

struct Adapters {
  LoraSettings settings;
  models::ModelDirectory files;  // the model's, for names without prefix
  std::vector<models::AdapterModule> modules;
  std::vector<Parameter> parameters;  // A and B of each module
  ArenaLayout layout;
  at::Tensor arena;  // float [layout.elements]
};

// New adapters initialized like PEFT's: A uniform in ±1/√inputs, drawn from the seed, and B zero,
// so that the model is initially unchanged. Errors: kFailedPrecondition for settings out of range
// or a target that matches nothing.
absl::StatusOr<Adapters> MakeAdapters(const LoraSettings& settings,
                                      const models::ModelDirectory& files, uint64_t seed,
                                      at::Device device);

// Attaches views of `arena`, which has the layout of the adapters, to the matrices of `weights`:
// the adapters themselves, or their gradients.
void AttachAdapters(const Adapters& adapters, const at::Tensor& arena, DecoderWeights& weights);

// Writes and reads adapter_config.json and adapter_model.safetensors in PEFT's format. `directory`
// is created if it does not exist.
absl::Status SaveAdapters(const std::string& directory, const Adapters& adapters);

// Adds alpha / rank * B A to the model's FP32 weights, and detaches the adapters.
void MergeAdapters(const Adapters& adapters, LoadedModel& model);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_ADAPTERS_H_
