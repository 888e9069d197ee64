// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Models between disk and memory: a Hugging Face directory (F32, F16 or BF16, a GGUF file, or one
// of our quantized forms; see models/model_directory.h) to parameters and back. Tensors are read,
// and quantized where a recipe says so, one after the other: a model is never in memory twice. No
// exceptions leave this file.
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
  v1::QuantizationRecipe recipe;  // in which form the parameters are held now

  [[nodiscard]] bool is_quantized() const;
  // The FP32 and the BF16 parameters, each in its shape; undefined where it is quantized.
  [[nodiscard]] std::vector<at::Tensor> Values() const;
};

struct LoadOptions {
  std::string device = "cpu";  // "cpu", "cuda", "cuda:1"
  // Quantizes each matrix as it is read; null: as the files of a quantized model have it, and else
  // in FP32, whatever the files have.
  const v1::QuantizationRecipe* recipe = nullptr;
  // Without a recipe: FP16, BF16 and the codes of a GGUF file are held as the files have them
  // (models::ModelDirectory::stored_recipe), for inference.
  bool in_stored_form = false;
  // NF4 matrices that are quantized here have their scales quantized too, as QLoRA wants: the model
  // is held for training, and cannot generate or be saved.
  bool double_quantize = false;
  // Matrices that would be FP32 are held in BF16, rounded to the nearest where the files have more:
  // for training, as above, but the model can be saved.
  bool bf16_matrices = false;
  // Leaves every matrix that the recipe quantizes empty, for a caller that rounds them itself.
  bool defer_quantized = false;
  // Called after each matrix that was quantized, with its number of weights; false stops the load
  // (kCancelled). Empty: nobody is told.
  std::function<bool(int64_t weights)> on_quantized = {};
};

// Errors: those of InspectModelDirectory; kUnavailable for a device that is not there; kDataLoss
// for weights or scales that are not finite; kFailedPrecondition for a recipe on a quantized model,
// or one whose formats the engine lacks.
absl::StatusOr<LoadedModel> LoadModel(const std::string& directory, const LoadOptions& options);

// Reads tensors of a file of FP32, F16 or BF16 ones into `values`: of each parameter, on any
// device; what is undefined there is not read. files: says how the file names them. Errors:
// kInvalidArgument and kDataLoss as LoadModel.
absl::Status ReadValues(const std::string& path, const models::ModelDirectory& files,
                        const std::vector<Parameter>& parameters,
                        const std::vector<at::Tensor>& values);

// Writes the values that are defined as one safetensors file, F32 or BF16 as they are, under the
// Hugging Face names.
absl::Status WriteValues(const std::string& path, const models::ModelDirectory& files,
                         const std::vector<Parameter>& parameters,
                         const std::vector<at::Tensor>& values,
                         const FileOperationObserver& observer);

// The same of the parameters that an arena holds.
absl::Status ReadArena(const std::string& path, const models::ModelDirectory& files,
                       const std::vector<Parameter>& parameters, const ArenaLayout& layout,
                       at::Tensor& arena);
absl::Status WriteArena(const std::string& path, const models::ModelDirectory& files,
                        const std::vector<Parameter>& parameters, const ArenaLayout& layout,
                        const at::Tensor& arena, const FileOperationObserver& observer);

// A directory with config.json, the tokenizer's files from model.directory, and model.safetensors:
// F32 and BF16 that transformers loads, or the packed form of a quantized model. `directory` is
// made if it is not there.
absl::Status SaveModel(const std::string& directory, const LoadedModel& model);

// Numbers in the matrices that a recipe is about, and how many matrices they are.
struct QuantizableWeights {
  int64_t matrices = 0;
  int64_t weights = 0;
};
[[nodiscard]] QuantizableWeights QuantizableWeightsOf(const models::DecoderConfig& config);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_MODEL_FILES_H_
