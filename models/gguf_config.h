// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The architecture of a model as GGUF metadata has it (general.architecture, then
// "llama.block_count" and others), to the decoder description and back. Keys: Keys of the gguf
// package; defaults: llama_model::load_hparams of llama.cpp. Thread-safe.
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
// or out of range; kUnimplemented for another architecture, or a variant that the engine lacks.
absl::StatusOr<DecoderConfig> DecoderConfigOfGguf(const formats::GgufFile& file);
// The same of a file's header alone, with what `facts` says of the tensors.
absl::StatusOr<DecoderConfig> ReadGgufConfig(const formats::GgufHeader& header,
                                             const std::string& file, const TensorFacts& facts);

// What a file says of a model's architecture, without its tokenizer.
struct GgufArchitectureFields {
  formats::GgufMetadata metadata;
  // Values of the tensor rope_freqs.weight; empty: there is no such tensor.
  std::vector<float> rope_factors;
};
// file: a name for messages. Errors: kUnimplemented for a family that llama.cpp lacks, and for a
// field of config.json that the metadata cannot hold or with which llama.cpp does not load the
// tensors, by its name.
absl::StatusOr<GgufArchitectureFields> GgufFieldsOf(const DecoderConfig& config,
                                                    const std::string& file);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_GGUF_CONFIG_H_
