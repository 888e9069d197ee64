// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Maps the tensors of a Hugging Face file to those of a GGUF file of llama.cpp: the names, and how
// llama.cpp's converter changes the numbers. Names:
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
// Divisors of the rotary frequencies (Llama 3.1 and later), which the metadata does not have.
inline constexpr char kGgufRopeFactors[] = "rope_freqs.weight";

// How the converter changes a tensor of the Hugging Face file.
struct GgufConversion {
  bool transposed = false;  // GGUF has [outputs, inputs], the layout of nn.Linear
  // If more than 0, the number of heads: in each head, rows of the first and second half of the
  // rotary positions alternate (query and key of the architecture llama).
  int64_t rotary_heads = 0;
  // If more than 0, the number of heads: rows are grouped by head in the Hugging Face file; in
  // GGUF, query of all heads comes first, then key, then value (GPT-NeoX).
  int64_t interleaved_heads = 0;
  bool one_added = false;  // norms of Gemma

  // The row of the Hugging Face tensor, of `rows`, that is row `row` of the GGUF tensor.
  [[nodiscard]] int64_t HuggingFaceRow(int64_t row, int64_t rows) const;
  // The row of the GGUF tensor, of `rows`, that is row `row` of the engine's matrix: query of all
  // heads, then key, then value.
  [[nodiscard]] int64_t RowOfOutput(int64_t row, int64_t rows) const;
  [[nodiscard]] bool keeps_order() const {
    return !transposed && rotary_heads == 0 && interleaved_heads == 0;
  }
};

struct GgufPlacement {
  FileTensor hugging_face;  // without the family's prefix
  FileTensor gguf;          // its shape in GGUF
  GgufConversion conversion;
  bool is_matrix = false;  // a linear layer or the token embedding: may be F16 or quantized
};

// Every tensor of the model, in the order of ModelTensors. config: of a family that has a GgufForm.
[[nodiscard]] std::vector<GgufPlacement> GgufPlacements(const DecoderConfig& config);

// The name of the head's weights in a Hugging Face file, even for a model that ties it.
[[nodiscard]] std::string HeadName(const DecoderConfig& config);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_GGUF_TENSORS_H_
