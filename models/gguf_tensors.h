// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Where the tensors of a Hugging Face file stand in a GGUF file of llama.cpp: the names, and what
// llama.cpp's converter does to the numbers. Names:
// TENSOR_NAMES of the gguf package; conversions: convert_hf_to_gguf.py of llama.cpp. Pure;
// thread-safe.
#ifndef WATTLE_MODELS_GGUF_TENSORS_H_
#define WATTLE_MODELS_GGUF_TENSORS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "models/decoder_config.h"
#include "models/tensors.h"

namespace wattle::models {

inline constexpr char kGgufHead[] = "output.weight";
inline constexpr char kGgufTokens[] = "token_embd.weight";
// Divisors of the rotary frequencies (Llama 3.1 and later); the metadata does not have them.
inline constexpr char kGgufRopeFactors[] = "rope_freqs.weight";

// What the converter does to a tensor of the Hugging Face file.
struct GgufConversion {
  bool transposed = false;  // GGUF has [outputs, inputs], as nn.Linear
  // More than 0: of each of this many heads, the rows of the first half and of the second half of
  // the rotary positions alternate (query and key of the architecture llama).
  int64_t rotary_heads = 0;
  // More than 0: the rows stand head by head in the Hugging Face file, and query of all heads, then
  // key, then value in GGUF (GPT-NeoX).
  int64_t interleaved_heads = 0;
  bool one_added = false;  // norms of Gemma

  // The row of the Hugging Face tensor that row `row` of the GGUF tensor is, of `rows`.
  [[nodiscard]] int64_t HuggingFaceRow(int64_t row, int64_t rows) const;
  // The row of the GGUF tensor that is row `row` of the engine's matrix, of `rows`: query of all
  // heads, then key, then value.
  [[nodiscard]] int64_t RowOfOutput(int64_t row, int64_t rows) const;
  [[nodiscard]] bool keeps_order() const {
    return !transposed && rotary_heads == 0 && interleaved_heads == 0;
  }
};

struct GgufPlacement {
  FileTensor hugging_face;  // without the family's prefix
  FileTensor gguf;          // its shape as GGUF has it
  GgufConversion conversion;
  bool is_matrix = false;  // of a linear layer or the token embedding: may be F16 or quantized
};

// Every tensor of the model, in the order of ModelTensors. config: of a family that has a GgufForm.
[[nodiscard]] std::vector<GgufPlacement> GgufPlacements(const DecoderConfig& config);

// The name of the head's weights in a Hugging Face file, also of a model that ties it.
[[nodiscard]] std::string HeadName(const DecoderConfig& config);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_GGUF_TENSORS_H_
