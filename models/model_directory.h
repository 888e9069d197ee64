// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A Hugging Face model directory, checked without libtorch: config.json, model.safetensors or the
// files of model.safetensors.index.json (every tensor there, of the right shape), and a tokenizer
// that fits the vocabulary. `wattle model push`
// refuses a bad directory before a byte is sent, the runner before a tensor is made. Thread-safe.
//
// model.gguf may replace the safetensors files; gguf_directory.h makes the other files from it. Its
// tensors are read as F32, or as the codes in the file.
//
// A quantized directory, the result of a quantize job, has the same config.json and tokenizer. Its
// model.safetensors holds the tensors of ModelTensors by the engine's names: F32 in the engine's
// shape, or U8 bytes in the packed format of worker/engine/kernels, with the scales in U8
// "<name>_scale". The file's metadata has {"wattle.quantization": "packed"} and the recipe as JSON
// under "wattle.recipe".
//
// Versions before 0.2 wrote another int8 form, which is still read: {"wattle.quantization":
// "int8_per_channel"}, the names and shapes of the Hugging Face files, I8 for each quantized matrix
// and F32 "<name>_scale", one scale per output channel.
#ifndef WATTLE_MODELS_MODEL_DIRECTORY_H_
#define WATTLE_MODELS_MODEL_DIRECTORY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "formats/safetensors.h"
#include "formats/tensor_source.h"
#include "models/decoder_config.h"
#include "models/tensors.h"
#include "wattle/v1/profile.pb.h"
#include "wattle/v1/quantization.pb.h"

namespace wattle::models {

inline constexpr char kConfigFile[] = "config.json";
inline constexpr char kWeightsFile[] = "model.safetensors";
inline constexpr char kGgufFile[] = "model.gguf";
inline constexpr char kVocabularyFile[] = "vocab.json";
inline constexpr char kMergesFile[] = "merges.txt";
inline constexpr char kTokenizerFile[] = "tokenizer.json";
// Files stored with the model. Two are read here: generation_config.json for its end tokens, and
// tokenizer_config.json for its end token if neither generation_config.json nor config.json has
// one.
inline constexpr char kTokenizerConfigFile[] = "tokenizer_config.json";
inline constexpr char kSpecialTokensFile[] = "special_tokens_map.json";
inline constexpr char kGenerationConfigFile[] = "generation_config.json";
inline constexpr char kQuantizationMetadataKey[] = "wattle.quantization";
inline constexpr char kRecipeMetadataKey[] = "wattle.recipe";
inline constexpr char kPackedForm[] = "packed";
inline constexpr char kInt8PerChannelForm[] = "int8_per_channel";
inline constexpr char kScaleSuffix[] = "_scale";

enum class StoredForm {
  kHuggingFace,     // F32, F16 or BF16, also mixed
  kPacked,          // quantized, as described above
  kInt8PerChannel,  // quantized by a version before 0.2
};

struct ModelDirectory {
  DecoderConfig config;
  std::string tensor_prefix;  // "" or the family's: what the file puts before the names
  StoredForm form = StoredForm::kHuggingFace;
  v1::QuantizationRecipe recipe;  // "none" of an unquantized model
  // The form of the numbers in the files, which inference keeps: `recipe` for a quantized model;
  // for an unquantized one FP32, FP16 or BF16, and for a GGUF file also Q8_0 and Q4_0.
  v1::QuantizationRecipe stored_recipe;
  int64_t size_bytes = 0;                  // sum over `files`
  std::vector<std::string> files;          // names of the model's files in the directory, sorted
  std::vector<std::string> weights_files;  // the subset of `files` that holds the tensors
  // Tensors of the file that are not read: buffers that old versions of transformers saved, and a
  // copy of a tied head. The values of each were checked against the config.
  std::vector<std::string> ignored_tensors;

  [[nodiscard]] v1::ModelShape shape() const { return ToShape(config); }
  [[nodiscard]] int64_t parameter_count() const { return config.parameter_count(); }
  // RecipeIdentity of `recipe`.
  [[nodiscard]] std::string quantization() const;
  [[nodiscard]] bool is_quantized() const { return form != StoredForm::kHuggingFace; }
};

// Checks the whole directory. Errors, one line each with file and tensor: kNotFound (a file is
// missing), kDataLoss (truncated weights), kInvalidArgument (a tensor that is missing, unknown or
// has another shape; a buffer or a tied head that contradicts the config; a tokenizer larger than
// the vocabulary; no end token in any file), kUnimplemented (another model family).
absl::StatusOr<ModelDirectory> InspectModelDirectory(const std::string& directory);

// The tensors of a directory: model.safetensors, or else model.safetensors.index.json, or else
// model.gguf. config: the directory's. Errors: those of SafetensorsSet and GgufWeights.
absl::StatusOr<std::unique_ptr<formats::TensorSource>> OpenWeights(const std::string& directory,
                                                                   const DecoderConfig& config);

// The name in the file of one of CheckpointTensors: with the prefix, except for the head.
[[nodiscard]] std::string TensorNameInFile(const ModelDirectory& model, const std::string& tensor);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_MODEL_DIRECTORY_H_
