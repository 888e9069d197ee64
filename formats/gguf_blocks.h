// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The tensor types of GGUF files, and their values as float. The quantized types store a row in
// blocks: scales as F16, then codes. Layouts: ggml-common.h of llama.cpp; the values equal those of
// gguf.quants bit for bit. Pure; thread-safe.
#ifndef WATTLE_FORMATS_GGUF_BLOCKS_H_
#define WATTLE_FORMATS_GGUF_BLOCKS_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace wattle::formats {

// Numeric values are those used in files.
enum class GgufType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,  // 32 weights: scale (code - 8), code in [0, 15]
  kQ8_0 = 8,  // 32 weights: scale code, code in [-128, 127]
  kQ6K = 14,  // 256 weights: scale scale_of_16 (code - 32), code in [0, 63]
  kBF16 = 30,
};

struct GgufTypeTraits {
  GgufType type = GgufType::kF32;
  absl::string_view name;      // "Q8_0", as in llama.cpp
  int64_t block_elements = 1;  // divides the length of a row
  int64_t block_bytes = 4;
};

// nullptr: this version does not read the type.
[[nodiscard]] const GgufTypeTraits* FindGgufType(uint32_t number);
[[nodiscard]] const GgufTypeTraits& TraitsOf(GgufType type);
// "Q4_K" for a type that llama.cpp has and this version does not read; empty for any other number.
[[nodiscard]] absl::string_view UnreadGgufTypeName(uint32_t number);
// "F32, F16, …".
[[nodiscard]] std::string GgufTypeNames();

// bytes: whole blocks; values: as many as the blocks encode.
void DequantizeGguf(GgufType type, absl::Span<const std::byte> bytes, absl::Span<float> values);
// The codes and scales of blocks.
struct UnpackedBlocks {
  absl::Span<int8_t> codes;        // kQ4_0: from 0 to 15; kQ6K: from 0 to 63; kQ8_0: any
  absl::Span<float> scales;        // one per block; for kQ6K one per 16 weights, an integer
  absl::Span<float> block_scales;  // only for kQ6K: one per block, multiplies `scales`
};
// bytes: whole blocks.
void UnpackGguf(GgufType type, absl::Span<const std::byte> bytes, const UnpackedBlocks& out);
// The inverse of DequantizeGguf, rounding each value as gguf.quants does. Only for the types that
// are written: kF32, kF16, kQ8_0 and kQ4_0. values: whole blocks, finite.
void QuantizeGguf(GgufType type, absl::Span<const float> values, absl::Span<std::byte> bytes);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_GGUF_BLOCKS_H_
