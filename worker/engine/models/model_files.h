// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Models between disk and memory: a Hugging Face directory of the GPT-2 family (F32, F16 or BF16,
// or our int8 form; see formats/model_directory.h) to weights and back, and random weights for a
// run from scratch. No exceptions leave this file.
#ifndef WATTLE_WORKER_ENGINE_MODELS_MODEL_FILES_H_
#define WATTLE_WORKER_ENGINE_MODELS_MODEL_FILES_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <ATen/core/Tensor.h>

#include "base/durable_file.h"
#include "formats/model_directory.h"
#include "worker/engine/models/decoder.h"
#include "worker/engine/models/weights.h"

namespace wattle::engine {

struct LoadedModel {
  std::string directory;
  formats::ModelDirectory files;
  FlatLayout layout;
  at::Tensor flat;  // float [layout.elements] behind decoder.weights; undefined for an int8 model
  Decoder decoder;
  [[nodiscard]] bool is_int8() const { return !flat.defined(); }
};

// device: "cpu", "cuda", "cuda:1". Errors: those of InspectModelDirectory; kUnavailable for a
// device that is not there; kDataLoss for weights that are not finite.
absl::StatusOr<LoadedModel> LoadModel(const std::string& directory, const std::string& device);

// Reads one file of tensors named as the layout (with `prefix` before them) into a flat buffer of
// the host.
absl::Status ReadFlat(const std::string& path, const formats::ModelDirectory& names,
                      const FlatLayout& layout, at::Tensor& flat);

// Writes a flat buffer as one safetensors file, F32.
absl::Status WriteFlat(const std::string& path, const formats::ModelDirectory& names,
                       const FlatLayout& layout, const at::Tensor& flat,
                       const FileOperationObserver& observer);

// A directory that transformers loads: config.json, model.safetensors (F32), the tokenizer's files
// from model.directory. `directory` is made if it is not there.
absl::Status SaveModel(const std::string& directory, const LoadedModel& model);
// Everything but the weights: what SaveModel and the int8 form have in common.
absl::Status SaveModelCompanions(const std::string& directory, const LoadedModel& model);

// GPT-2's initialization: normal of deviation 0.02, that of the residual projections divided by √(2
// layers); biases 0, norm weights 1. A pure function of config and seed.
at::Tensor RandomFlat(const formats::DecoderConfig& config, const FlatLayout& layout,
                      uint64_t seed);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_MODEL_FILES_H_
