// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The architecture of a model in GGUF metadata (general.architecture, then "llama.block_count" and
// others), converted to the decoder description and back. Keys: Keys of the gguf package; defaults:
// llama_model::load_hparams of llama.cpp. Thread-safe.
#ifndef WATTLE_MODELS_GGUF_CONFIG_H_
#define WATTLE_MODELS_GGUF_CONFIG_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "formats/gguf.h"
#include "models/decoder_config.h"
#include "models/metadata_reader.h"

namespace wattle::models {

// Errors, one line with file and key: kInvalidArgument for a key that is missing, of another type
// or out of range; kUnimplemented for another architecture, or a variant that the engine does not
// have.
absl::StatusOr<DecoderConfig> DecoderConfigOfGguf(const formats::GgufFile& file);
// DecoderConfigOfGguf from a file's header; `facts` are the required facts about its tensors.
absl::StatusOr<DecoderConfig> ReadGgufConfig(const formats::GgufHeader& header,
                                             const std::string& file, const TensorFacts& facts);

// The metadata of a model's architecture, without its tokenizer.
struct GgufArchitectureFields {
  formats::GgufMetadata metadata;
  // Values of the tensor rope_freqs.weight; empty: the file has no such tensor.
  std::vector<float> rope_factors;
};
// file: a name for messages. Errors: kUnimplemented for a family that llama.cpp does not have, and,
// with its name, for a field of config.json that the metadata cannot represent or that keeps
// llama.cpp from loading the tensors.
absl::StatusOr<GgufArchitectureFields> GgufFieldsOf(const DecoderConfig& config,
                                                    const std::string& file);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_GGUF_CONFIG_H_
