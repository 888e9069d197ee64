// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The model families. To add one: a file like gpt2.cc with a Family (config.json to description and
// back, names of its tensors), a line in family.cc, goldens under tests/golden/engine. What no
// field of LayerDescription can say is a new field there and a branch in worker/engine/models.
// Thread-safe.
#ifndef WATTLE_MODELS_FAMILY_H_
#define WATTLE_MODELS_FAMILY_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

#include "models/decoder_config.h"
#include "models/field_reader.h"
#include "models/tensors.h"

namespace wattle::models {

// The names of one slot's tensors in the files, without ".weight" and ".bias".
struct SlotNames {
  Slot slot;
  std::vector<const char*> parts;  // one below the other, as Slot says
  bool transposed = false;
  bool interleaved_heads = false;  // see FileLayout
};

// Buffers that are no weights but that old files of a family hold.
enum class HarmlessBuffer {
  kCausalMask,          // [1, 1, positions, positions], lower triangle of ones
  kMaskedBias,          // one number
  kInverseFrequencies,  // [dimensions / 2] of the rotary positions
};
struct BufferName {
  const char* suffix;
  HarmlessBuffer kind;
};

// A model that contains one of a family.
struct WholeModel {
  const char* model_type;
  const char* remedy;  // how the part is had alone
};

struct Family {
  const char* name;         // "gpt2": model_type in config.json, architecture in a model shape
  const char* class_name;   // "GPT2LMHeadModel": the class of transformers
  const char* file_prefix;  // "transformer.": stands before every name but the head's in some files
  const char* layer_prefix;  // "h.": followed by the layer's number and a dot
  std::vector<SlotNames> slots;
  std::vector<BufferName> harmless_buffers;
  std::optional<WholeModel> whole_model = {};
  // Initialization: deviation of a matrix, and whether the two that end in the residual stream get
  // less, by √(2 layers).
  double initial_deviation = 0.02;
  bool scaled_residual_initialization = false;
  // config.json to description; the reader keeps the errors.
  DecoderConfig (*read)(FieldReader& reader) = nullptr;
  // The fields of config.json beside model_type, architectures and torch_dtype.
  void (*write)(const DecoderConfig& config, nlohmann::ordered_json& json) = nullptr;
  // A description of these sizes, each of which is in range.
  DecoderConfig (*from_shape)(const v1::ModelShape& shape) = nullptr;
};

// nullptr: no such family.
[[nodiscard]] const Family* FindFamily(absl::string_view name);
// The whole model of this model_type; nullptr: none of the families is a part of such a model.
[[nodiscard]] const WholeModel* FindWholeModel(absl::string_view model_type);
// The family of a description that this library made.
[[nodiscard]] const Family& FamilyOf(const DecoderConfig& config);
// "gpt2, llama".
[[nodiscard]] std::string FamilyNames();

// One for each family's file.
const Family& GemmaFamily();
const Family& Gemma2Family();
const Family& Gpt2Family();
const Family& GptNeoxFamily();
const Family& Kosmos2TextFamily();
const Family& LlamaFamily();
const Family& MistralFamily();
const Family& PhiFamily();
const Family& Qwen2Family();
const Family& StableLmFamily();

}  // namespace wattle::models

#endif  // WATTLE_MODELS_FAMILY_H_
