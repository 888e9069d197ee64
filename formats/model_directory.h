// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A Hugging Face model directory, checked without libtorch: config.json, model.safetensors (every
// tensor there, of the right shape), and a byte-level BPE tokenizer that fits the vocabulary.
// `wattle model push` refuses a bad one before a byte is sent, the runner before a tensor is made.
// Thread-safe.
//
// An int8 directory (result of a quantize job) has the same tensor names; each quantized matrix has
// type I8 and its own shape, and beside it stands "<name>_scale", F32, one per output channel:
// [out] for a block's [in, out] matrix, [vocabulary] for the embedding or head. weight = int8 *
// scale. The file's metadata says {"wattle.quantization": "int8_per_channel"}.
#ifndef WATTLE_FORMATS_MODEL_DIRECTORY_H_
#define WATTLE_FORMATS_MODEL_DIRECTORY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "formats/decoder_config.h"
#include "formats/safetensors.h"

namespace wattle::formats {

inline constexpr char kConfigFile[] = "config.json";
inline constexpr char kWeightsFile[] = "model.safetensors";
inline constexpr char kVocabularyFile[] = "vocab.json";
inline constexpr char kMergesFile[] = "merges.txt";
inline constexpr char kTokenizerFile[] = "tokenizer.json";
inline constexpr char kQuantizationMetadataKey[] = "wattle.quantization";
inline constexpr char kInt8PerChannel[] = "int8_per_channel";
inline constexpr char kScaleSuffix[] = "_scale";

struct ModelDirectory {
  DecoderConfig config;
  std::string tensor_prefix;  // "" or "transformer.": what the file puts before the names of
                              // CheckpointTensors
  DataType stored_type =
      DataType::kF32;      // of the token embedding, or of its scale's neighbours: F32, F16 or BF16
  bool int8 = false;       // an int8 directory as described above
  int64_t size_bytes = 0;  // of `files`
  std::vector<std::string> files;  // names inside the directory that belong to the model, sorted

  [[nodiscard]] v1::ModelShape shape() const { return ToShape(config); }
  [[nodiscard]] int64_t parameter_count() const { return config.parameter_count(); }
};

// Checks the whole directory. Errors, one line each with file and tensor: kNotFound (a file is
// missing), kDataLoss (truncated weights), kInvalidArgument (a tensor missing, of another shape,
// unknown; a tokenizer larger than the vocabulary), kUnimplemented (another model family).
absl::StatusOr<ModelDirectory> InspectModelDirectory(const std::string& directory);

// The name of `tensor` (of CheckpointTensors) in the file: the prefix, but never before
// "lm_head.weight".
[[nodiscard]] std::string TensorNameInFile(const ModelDirectory& model, const std::string& tensor);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_MODEL_DIRECTORY_H_
