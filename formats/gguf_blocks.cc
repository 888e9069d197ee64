// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/gguf_blocks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "base/fp16.h"

namespace wattle::formats {
namespace {

constexpr std::array kTypes = {
    GgufTypeTraits{GgufType::kF32, "F32", 1, 4},
    GgufTypeTraits{GgufType::kF16, "F16", 1, 2},
    GgufTypeTraits{GgufType::kBF16, "BF16", 1, 2},
    GgufTypeTraits{GgufType::kQ8_0, "Q8_0", 32, 34},
    GgufTypeTraits{GgufType::kQ6K, "Q6_K", 256, 210},
    GgufTypeTraits{GgufType::kQ4_0, "Q4_0", 32, 18},
};

struct UnreadType {
  uint32_t number = 0;
  absl::string_view name;
};
constexpr std::array kUnread = {
    UnreadType{3, "Q4_1"},     UnreadType{6, "Q5_0"},    UnreadType{7, "Q5_1"},
    UnreadType{9, "Q8_1"},     UnreadType{10, "Q2_K"},   UnreadType{11, "Q3_K"},
    UnreadType{12, "Q4_K"},    UnreadType{13, "Q5_K"},   UnreadType{15, "Q8_K"},
    UnreadType{16, "IQ2_XXS"}, UnreadType{17, "IQ2_XS"}, UnreadType{18, "IQ3_XXS"},
    UnreadType{19, "IQ1_S"},   UnreadType{20, "IQ4_NL"}, UnreadType{21, "IQ3_S"},
    UnreadType{22, "IQ2_S"},   UnreadType{23, "IQ4_XS"}, UnreadType{24, "I8"},
    UnreadType{25, "I16"},     UnreadType{26, "I32"},    UnreadType{27, "I64"},
    UnreadType{28, "F64"},     UnreadType{29, "IQ1_M"},  UnreadType{34, "TQ1_0"},
    UnreadType{35, "TQ2_0"},   UnreadType{39, "MXFP4"},
};

constexpr int64_t kHalfBytes = 2;
constexpr int64_t kSmallBlock = 32;  // weights in a block of Q4_0 or Q8_0
constexpr float kQ8CodeMax = 127.0F;

uint16_t HalfAt(const std::byte* bytes) {
  uint16_t bits = 0;
  std::memcpy(&bits, bytes, sizeof(bits));
  return bits;
}

int CodeAt(const std::byte* bytes, int64_t index) {
  return std::to_integer<int>(bytes[index]);
}

void DequantizeQ8(const std::byte* block, float* values) {
  const float scale = FloatFromFp16(HalfAt(block));
  for (int64_t i = 0; i < kSmallBlock; ++i) {
    const auto code = static_cast<int8_t>(CodeAt(block, kHalfBytes + i));
    values[i] = scale * static_cast<float>(code);
  }
}

// Byte i has weight i in its lower half and weight i + 16 in its upper half.
void DequantizeQ4(const std::byte* block, float* values) {
  constexpr int64_t kHalf = kSmallBlock / 2;
  const float scale = FloatFromFp16(HalfAt(block));
  for (int64_t i = 0; i < kHalf; ++i) {
    const int codes = CodeAt(block, kHalfBytes + i);
    values[i] = scale * static_cast<float>((codes & 0xf) - 8);
    values[i + kHalf] = scale * static_cast<float>((codes >> 4) - 8);
  }
}

// A block of Q6_K: 128 bytes of lower four bits, 64 of upper two bits, 16 scales of 16 weights
// each, one F16. The bits of 128 weights are stored together: weight 32 k + i has its lower bits at
// bit 4 (k / 2) of byte 32 (k mod 2) + i, and its upper bits at bit 2 k of byte i.
constexpr int64_t kQ6Block = 256;
constexpr int64_t kQ6Group = 16;
constexpr int64_t kQ6ScalesAt = 192;
constexpr int64_t kQ6ScaleAt = kQ6ScalesAt + kQ6Block / kQ6Group;

int Q6Code(const std::byte* block, int64_t weight) {
  constexpr int64_t kPart = 128;
  constexpr int64_t kUpperAt = 128;
  const int64_t part = weight / kPart;
  const int64_t k = weight % kPart / 32;
  const int64_t i = weight % 32;
  const int lower = CodeAt(block, part * 64 + k % 2 * 32 + i) >> (k / 2 * 4) & 0xf;
  const int upper = CodeAt(block, kUpperAt + part * 32 + i) >> (2 * k) & 0x3;
  return lower | upper << 4;
}

float Q6GroupScale(const std::byte* block, int64_t group) {
  return static_cast<float>(static_cast<int8_t>(CodeAt(block, kQ6ScalesAt + group)));
}

void DequantizeQ6(const std::byte* block, float* values) {
  const float scale = FloatFromFp16(HalfAt(block + kQ6ScaleAt));
  for (int64_t weight = 0; weight < kQ6Block; ++weight) {
    values[weight] = scale * Q6GroupScale(block, weight / kQ6Group) *
                     static_cast<float>(Q6Code(block, weight) - 32);
  }
}

// Block `number` of `out`.
void UnpackQ6(const std::byte* block, int64_t number, const UnpackedBlocks& out) {
  constexpr int64_t kGroups = kQ6Block / kQ6Group;
  for (int64_t weight = 0; weight < kQ6Block; ++weight) {
    out.codes[static_cast<size_t>(number * kQ6Block + weight)] =
        static_cast<int8_t>(Q6Code(block, weight));
  }
  for (int64_t group = 0; group < kGroups; ++group) {
    out.scales[static_cast<size_t>(number * kGroups + group)] = Q6GroupScale(block, group);
  }
  out.block_scales[static_cast<size_t>(number)] = FloatFromFp16(HalfAt(block + kQ6ScaleAt));
}

// For the types with one scale per block.
void UnpackSmall(GgufType type, const std::byte* block, int8_t* codes, float& scale) {
  scale = FloatFromFp16(HalfAt(block));
  if (type == GgufType::kQ8_0) {
    std::memcpy(codes, block + kHalfBytes, kSmallBlock);
    return;
  }
  for (int64_t pair = 0; pair < kSmallBlock / 2; ++pair) {
    const int two = CodeAt(block, kHalfBytes + pair);
    codes[pair] = static_cast<int8_t>(two & 0xf);
    codes[pair + kSmallBlock / 2] = static_cast<int8_t>(two >> 4);
  }
}

void QuantizeQ8(const float* values, std::byte* block) {
  float largest = 0.0F;
  for (int64_t i = 0; i < kSmallBlock; ++i) {
    largest = std::max(largest, std::abs(values[i]));
  }
  const float scale = largest / kQ8CodeMax;
  const float inverse = scale == 0.0F ? 0.0F : 1.0F / scale;
  const uint16_t stored = Fp16FromFloat(scale);
  std::memcpy(block, &stored, sizeof(stored));
  for (int64_t i = 0; i < kSmallBlock; ++i) {
    const auto code = static_cast<int8_t>(std::round(values[i] * inverse));
    block[kHalfBytes + i] = static_cast<std::byte>(code);
  }
}

// The value of largest magnitude gets code 0.
void QuantizeQ4(const float* values, std::byte* block) {
  constexpr int64_t kHalf = kSmallBlock / 2;
  constexpr double kZeroCode = 8.0;
  const float* extreme = values;
  for (int64_t i = 1; i < kSmallBlock; ++i) {
    extreme = std::abs(values[i]) > std::abs(*extreme) ? values + i : extreme;
  }
  const float scale = *extreme / -8.0F;
  const float inverse = scale == 0.0F ? 0.0F : 1.0F / scale;
  const uint16_t stored = Fp16FromFloat(scale);
  std::memcpy(block, &stored, sizeof(stored));
  const auto code = [&](int64_t i) {
    const double place = static_cast<double>(values[i]) * static_cast<double>(inverse) + kZeroCode;
    return static_cast<unsigned>(std::clamp(std::trunc(place + 0.5), 0.0, 15.0));
  };
  for (int64_t i = 0; i < kHalf; ++i) {
    block[kHalfBytes + i] = static_cast<std::byte>(code(i) | code(i + kHalf) << 4);
  }
}

}  // namespace

const GgufTypeTraits* FindGgufType(uint32_t number) {
  const auto* found = std::find_if(kTypes.begin(), kTypes.end(), [&](const GgufTypeTraits& traits) {
    return static_cast<uint32_t>(traits.type) == number;
  });
  return found == kTypes.end() ? nullptr : found;
}

const GgufTypeTraits& TraitsOf(GgufType type) {
  const GgufTypeTraits* found = FindGgufType(static_cast<uint32_t>(type));
  WATTLE_CHECK(found != nullptr, "every enumerator is in the table");
  return *found;
}

absl::string_view UnreadGgufTypeName(uint32_t number) {
  const auto* found = std::find_if(kUnread.begin(), kUnread.end(),
                                   [&](const UnreadType& type) { return type.number == number; });
  return found == kUnread.end() ? absl::string_view() : found->name;
}

std::string GgufTypeNames() {
  std::string names;
  for (const GgufTypeTraits& traits : kTypes) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", traits.name);
  }
  return names;
}

void DequantizeGguf(GgufType type, absl::Span<const std::byte> bytes, absl::Span<float> values) {
  const GgufTypeTraits& traits = TraitsOf(type);
  const int64_t blocks = static_cast<int64_t>(values.size()) / traits.block_elements;
  WATTLE_CHECK(static_cast<int64_t>(bytes.size()) == blocks * traits.block_bytes,
               "the bytes of these values");
  for (int64_t i = 0; i < blocks; ++i) {
    const std::byte* block = bytes.data() + i * traits.block_bytes;
    float* out = values.data() + i * traits.block_elements;
    switch (type) {
      case GgufType::kF32:
        std::memcpy(out, block, sizeof(float));
        break;
      case GgufType::kF16:
        *out = FloatFromFp16(HalfAt(block));
        break;
      case GgufType::kBF16:
        *out = FloatFromBf16(HalfAt(block));
        break;
      case GgufType::kQ4_0:
        DequantizeQ4(block, out);
        break;
      case GgufType::kQ8_0:
        DequantizeQ8(block, out);
        break;
      case GgufType::kQ6K:
        DequantizeQ6(block, out);
        break;
    }
  }
}

void UnpackGguf(GgufType type, absl::Span<const std::byte> bytes, const UnpackedBlocks& out) {
  WATTLE_CHECK(type == GgufType::kQ4_0 || type == GgufType::kQ8_0 || type == GgufType::kQ6K,
               "a type with codes");
  const GgufTypeTraits& traits = TraitsOf(type);
  const bool q6 = type == GgufType::kQ6K;
  const size_t blocks = q6 ? out.block_scales.size() : out.scales.size();
  WATTLE_CHECK(bytes.size() == blocks * static_cast<size_t>(traits.block_bytes) &&
                   out.codes.size() == blocks * static_cast<size_t>(traits.block_elements) &&
                   (!q6 || out.scales.size() == blocks * kQ6Block / kQ6Group),
               "the bytes of these codes");
  for (size_t i = 0; i < blocks; ++i) {
    const std::byte* block = bytes.data() + i * static_cast<size_t>(traits.block_bytes);
    if (q6) {
      UnpackQ6(block, static_cast<int64_t>(i), out);
    } else {
      UnpackSmall(type, block, out.codes.data() + i * kSmallBlock, out.scales[i]);
    }
  }
}

void QuantizeGguf(GgufType type, absl::Span<const float> values, absl::Span<std::byte> bytes) {
  const GgufTypeTraits& traits = TraitsOf(type);
  const int64_t blocks = static_cast<int64_t>(values.size()) / traits.block_elements;
  WATTLE_CHECK(static_cast<int64_t>(bytes.size()) == blocks * traits.block_bytes,
               "the bytes of these values");
  WATTLE_CHECK(type == GgufType::kF32 || type == GgufType::kF16 || type == GgufType::kQ8_0 ||
                   type == GgufType::kQ4_0,
               "one of the types that are written");
  for (int64_t i = 0; i < blocks; ++i) {
    const float* source = values.data() + i * traits.block_elements;
    std::byte* block = bytes.data() + i * traits.block_bytes;
    if (type == GgufType::kQ8_0) {
      QuantizeQ8(source, block);
    } else if (type == GgufType::kQ4_0) {
      QuantizeQ4(source, block);
    } else if (type == GgufType::kF16) {
      const uint16_t half = Fp16FromFloat(*source);
      std::memcpy(block, &half, sizeof(half));
    } else {
      std::memcpy(block, source, sizeof(float));
    }
  }
}

}  // namespace wattle::formats
