// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Models between disk and memory: a Hugging Face directory (F32, F16 or BF16, a GGUF file, or one
// of our quantized forms; see models/model_directory.h) to parameters and back. Tensors are read,
// and quantized by a recipe, one after the other: a model is never in memory twice. No exceptions
// leave this file.
#ifndef WATTLE_WORKER_ENGINE_MODELS_MODEL_FILES_H_
#define WATTLE_WORKER_ENGINE_MODELS_MODEL_FILES_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <ATen/core/Tensor.h>

#include "base/durable_file.h"
#include "models/model_directory.h"
#include "worker/engine/models/decoder.h"
#include "worker/engine/models/parameters.h"
#include "worker/engine/models/weights.h"

namespace wattle::engine {

struct LoadedModel {
  std::string directory;
  models::ModelDirectory files;
  std::vector<Parameter> parameters;
  ArenaLayout layout;             // of `arena`
  at::Tensor arena;               // float: the FP32 parameters
  Decoder decoder;                // its weights are views of the arena and packed matrices
  v1::QuantizationRecipe recipe;  // current form of the parameters

  [[nodiscard]] bool is_quantized() const;
  // The FP32 and the BF16 parameters, each in its shape; undefined for quantized ones.
  [[nodiscard]] std::vector<at::Tensor> Values() const;
};

struct LoadOptions {
  std::string device = "cpu";  // "cpu", "cuda", "cuda:1"
  // Quantizes each matrix as it is read; null: the form of the files for a quantized model, else
  // FP32.
  const v1::QuantizationRecipe* recipe = nullptr;
  // Without a recipe: FP16, BF16 and the codes of a GGUF file keep the form of the files
  // (models::ModelDirectory::stored_recipe), for inference.
  bool in_stored_form = false;
  // NF4 matrices that are quantized here also have quantized scales, as in QLoRA: such a model is
  // for training, and cannot generate or be saved.
  bool double_quantize = false;
  // Matrices that would be FP32 are BF16, rounded to nearest if the files have more bits: for
  // training, like the above, but the model can be saved.
  bool bf16_matrices = false;
  // Leaves every matrix of the recipe empty, for a caller that rounds them itself.
  bool defer_quantized = false;
  // Called after each quantized matrix, with its number of weights; false stops the load
  // (kCancelled). Empty: no calls.
  std::function<bool(int64_t weights)> on_quantized = {};
};

// Errors: those of InspectModelDirectory; kUnavailable for a missing device; kDataLoss for
// non-finite weights or scales; kFailedPrecondition for a recipe on a quantized model, or one with
// formats that the engine does not have.
absl::StatusOr<LoadedModel> LoadModel(const std::string& directory, const LoadOptions& options);

// Reads tensors from a file of FP32, F16 or BF16 into `values`, one per parameter, on any device;
// undefined ones are skipped. files: the names in the file. Errors: kInvalidArgument and kDataLoss
// as for LoadModel.
absl::Status ReadValues(const std::string& path, const models::ModelDirectory& files,
                        const std::vector<Parameter>& parameters,
                        const std::vector<at::Tensor>& values);

// Writes the defined values as one safetensors file, F32 or BF16 according to their type, under the
// Hugging Face names.
absl::Status WriteValues(const std::string& path, const models::ModelDirectory& files,
                         const std::vector<Parameter>& parameters,
                         const std::vector<at::Tensor>& values,
                         const FileOperationObserver& observer);

// Reads and writes the parameters in an arena.
absl::Status ReadArena(const std::string& path, const models::ModelDirectory& files,
                       const std::vector<Parameter>& parameters, const ArenaLayout& layout,
                       at::Tensor& arena);
absl::Status WriteArena(const std::string& path, const models::ModelDirectory& files,
                        const std::vector<Parameter>& parameters, const ArenaLayout& layout,
                        const at::Tensor& arena, const FileOperationObserver& observer);

// A directory with config.json, the tokenizer's files from model.directory, and model.safetensors:
// F32 and BF16 that transformers loads, or the packed form of a quantized model. `directory` is
// created if it does not exist.
absl::Status SaveModel(const std::string& directory, const LoadedModel& model);

// Number of weights in the matrices that a recipe covers, and the number of these matrices.
struct QuantizableWeights {
  int64_t matrices = 0;
  int64_t weights = 0;
};
[[nodiscard]] QuantizableWeights QuantizableWeightsOf(const models::DecoderConfig& config);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_MODEL_FILES_H_
