// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Reading of metadata for gguf_config.cc, and for gguf_fields.cc, which reads again what it writes.
#ifndef WATTLE_MODELS_GGUF_CONFIG_INTERNAL_H_
#define WATTLE_MODELS_GGUF_CONFIG_INTERNAL_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "formats/gguf.h"
#include "models/decoder_config.h"

namespace wattle::models {

// What is read of the tensors' values.
struct TensorFacts {
  bool tied = false;
  std::vector<float> rope_factors;
};

// As DecoderConfigOfGguf.
absl::StatusOr<DecoderConfig> ReadGgufConfig(const formats::GgufHeader& header,
                                             const std::string& file, const TensorFacts& facts);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_GGUF_CONFIG_INTERNAL_H_
