// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The model families. To add one, write families/NAME.cc, where NAME::Families() returns its row: a
// Family converts config.json and GGUF metadata to a description, and names the tensors of the
// files. The build finds the file. Then write the family's row in the table of
// proto/model_shape.cc, which programs without models/ read; decoder_config_test.cc compares the
// two. Last come goldens: tests/golden/engine, tests/golden/gguf and tests/golden/spec. A family
// that no field of LayerDescription can describe needs a new field there and a branch in
// worker/engine/models. No other code contains a family's name; family_test.cc checks this.
// Thread-safe.
#ifndef WATTLE_MODELS_FAMILY_H_
#define WATTLE_MODELS_FAMILY_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "nlohmann/json_fwd.hpp"

#include "formats/gguf_tokenizer.h"
#include "models/decoder_config.h"
#include "models/field_reader.h"
#include "models/metadata_reader.h"
#include "models/tensors.h"

namespace wattle::v1 {
class ModelShape;
}

namespace wattle::models {

// The names of one slot's tensors in the files, without ".weight" and ".bias".
struct SlotNames {
  Slot slot;
  std::vector<const char*> parts;  // stacked by rows, in the order of Slot
  bool transposed = false;
  bool interleaved_heads = false;  // see FileLayout
};

// Buffers in a family's old files that are not weights.
enum class HarmlessBuffer {
  kCausalMask,          // [1, 1, positions, positions], lower triangle of ones
  kMaskedBias,          // one number
  kInverseFrequencies,  // [dimensions / 2], of the rotary positions
};
struct BufferName {
  const char* suffix;
  HarmlessBuffer kind;
};

// A larger model that contains a model of a family.
struct WholeModel {
  const char* model_type;
  const char* remedy;  // how to extract the part
};

// A family in llama.cpp's GGUF files. gguf_config.cc and gguf_fields.cc have the metadata common to
// all architectures, gguf_tensors.cc the tensors' names.
struct GgufForm {
  const char* architecture;  // "phi2": general.architecture
  // Metadata to the fields of config.json, except model_type, vocab_size and the text's tokens; the
  // reader keeps errors. nullptr: files of the architecture are read as another family.
  nlohmann::ordered_json (*read)(MetadataReader& reader) = nullptr;
  // The first field of config.json that keeps llama.cpp from loading the tensors
  // (llama_model::load_tensors); empty: none. nullptr: llama.cpp loads all models of the family.
  std::string (*unloadable)(const DecoderConfig& config) = nullptr;
  bool has_parallel_residual = false;  // the metadata has use_parallel_residual
  bool has_rope_factors = false;       // llama.cpp loads the tensor rope_freqs.weight
  bool rotary_pairs = false;           // see GgufConversion::rotary_heads
  // Aliases for a known pre-tokenizer found only in this architecture's files.
  std::vector<formats::GgufPreTokenizerName> pre_tokenizers = {};
};

struct Family {
  const char* name;        // "gpt2": model_type in config.json, architecture in a model shape
  const char* class_name;  // "GPT2LMHeadModel": the class of transformers
  // "transformer.": prefix of every name but the head's in some files
  const char* file_prefix = "model.";
  const char* layer_prefix = "layers.";  // "h.": followed by the layer's number and a dot
  std::vector<SlotNames> slots;
  std::vector<BufferName> harmless_buffers = {};
  std::optional<WholeModel> whole_model = {};
  // Initialization: standard deviation of a matrix, and whether it is divided by √(2 layers) for
  // the two matrices that end in the residual stream.
  double initial_deviation = 0.02;
  bool scaled_residual_initialization = false;
  // config.json to description; the reader keeps errors.
  DecoderConfig (*read)(FieldReader& reader) = nullptr;
  // Writes the fields of config.json, except model_type, architectures and torch_dtype.
  void (*write)(const DecoderConfig& config, nlohmann::ordered_json& json) = nullptr;
  // Adds the properties of every model of the family to a description that only has sizes; every
  // layer becomes a variant of `layer`.
  void (*describe)(DecoderConfig& config, LayerDescription layer) = nullptr;
  double rotary_share = 1.0;          // of each head's dimensions, in the description of a shape
  std::optional<GgufForm> gguf = {};  // nullopt: no GGUF files in this version
};

// In the order of the table in proto/model_shape.cc.
[[nodiscard]] const std::vector<Family>& Families();
// nullptr: unknown family.
[[nodiscard]] const Family* FindFamily(absl::string_view name);
// The whole model of this model_type; nullptr: no family is a part of such a model.
[[nodiscard]] const WholeModel* FindWholeModel(absl::string_view model_type);
// The family of a description made by this library.
[[nodiscard]] const Family& FamilyOf(const DecoderConfig& config);
// "gpt2, llama".
[[nodiscard]] std::string FamilyNames();

// The family that reads GGUF files of the architecture; nullptr: this version has none.
[[nodiscard]] const Family* FindGgufFamily(absl::string_view architecture);
// "gpt2, llama, qwen2, phi2".
[[nodiscard]] std::string GgufArchitectureNames();
// The aliases of all families, for formats::TokenizerFilesOfGguf.
[[nodiscard]] std::vector<formats::GgufPreTokenizerName> GgufPreTokenizerNames();

}  // namespace wattle::models

#endif  // WATTLE_MODELS_FAMILY_H_
