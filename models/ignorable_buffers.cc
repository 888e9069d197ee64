// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/ignorable_buffers.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "base/fp16.h"
#include "base/status_macros.h"
#include "models/family.h"

namespace wattle::models {
namespace {

using formats::DataType;

// float16 keeps 11 bits of a frequency.
constexpr double kFrequencyTolerance = 1e-2;
// Large tensors are compared in pieces of this size.
constexpr int64_t kCompareBytes = int64_t{1} << 20;

absl::Status Contradicts(const formats::TensorSource& file, const formats::TensorEntry& tensor,
                         absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(file.path(), ": tensor ", tensor.name, ": ", what));
}

// All bytes of a buffer. Buffers are small: none has a dimension of the vocabulary's size.
absl::StatusOr<std::vector<std::byte>> BytesOf(const formats::TensorSource& file,
                                               const formats::TensorEntry& tensor) {
  std::vector<std::byte> bytes(static_cast<size_t>(tensor.size_bytes()));
  WATTLE_RETURN_IF_ERROR(file.Read(tensor, absl::MakeSpan(bytes)));
  return bytes;
}

// One number of a buffer as float; nullopt for a type that such buffers never have.
std::optional<float> NumberAt(DataType type, absl::Span<const std::byte> buffer, int64_t index) {
  const std::byte* bytes = buffer.data() + index * formats::ElementSizeBytes(type);
  switch (type) {
    case DataType::kF32: {
      float value = 0.0F;
      std::memcpy(&value, bytes, sizeof(value));
      return value;
    }
    case DataType::kU8:
    case DataType::kBool:
      return static_cast<float>(*bytes);
    case DataType::kF16: {
      uint16_t half = 0;
      std::memcpy(&half, bytes, sizeof(half));
      return FloatFromFp16(half);
    }
    case DataType::kBF16: {
      uint16_t half = 0;
      std::memcpy(&half, bytes, sizeof(half));
      return FloatFromBf16(half);
    }
    default:
      return std::nullopt;
  }
}

absl::Status CheckMask(const DecoderConfig& config, const formats::TensorSource& file,
                       const formats::TensorEntry& tensor) {
  const int64_t positions = config.max_positions;
  if (tensor.shape != std::vector<int64_t>{1, 1, positions, positions}) {
    return Contradicts(file, tensor,
                       absl::StrCat("a causal mask of ", positions, " positions is wanted, found ",
                                    formats::FormatShape(tensor.shape)));
  }
  WATTLE_ASSIGN_OR_RETURN(const std::vector<std::byte> mask, BytesOf(file, tensor));
  for (int64_t row = 0; row < positions; ++row) {
    for (int64_t column = 0; column < positions; ++column) {
      const std::optional<float> value = NumberAt(tensor.type, mask, row * positions + column);
      if (value.has_value() && *value != (column <= row ? 1.0F : 0.0F)) {
        return Contradicts(file, tensor,
                           absl::StrCat("is no causal mask at row ", row, ", column ", column,
                                        "; this model attends otherwise"));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CheckFrequencies(const DecoderConfig& config, const formats::TensorSource& file,
                              const formats::TensorEntry& tensor) {
  const std::optional<Rotary>& rotary = config.layers.front().rotary;
  if (!rotary.has_value() || tensor.shape != std::vector<int64_t>{rotary->dimensions / 2}) {
    return Contradicts(file, tensor,
                       "does not fit the rotary positions that config.json describes");
  }
  WATTLE_ASSIGN_OR_RETURN(const std::vector<std::byte> frequencies, BytesOf(file, tensor));
  for (int64_t i = 0; i < rotary->dimensions / 2; ++i) {
    const double wanted = rotary->Frequency(i);
    const std::optional<float> value = NumberAt(tensor.type, frequencies, i);
    if (value.has_value() && !(std::abs(*value - wanted) <= kFrequencyTolerance * wanted)) {
      return Contradicts(file, tensor,
                         absl::StrCat("frequency ", i, " is ", *value, ", rope_theta makes it ",
                                      wanted, "; this model has other positions"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckTiedHead(const formats::TensorSource& file, const formats::TensorEntry& head,
                           const std::string& embedding) {
  const formats::TensorEntry* tokens = file.Find(embedding);
  if (tokens == nullptr) {
    return absl::OkStatus();  // the missing embedding is reported separately
  }
  bool same = tokens->type == head.type && tokens->size_bytes() == head.size_bytes();
  std::vector<std::byte> ours(kCompareBytes);
  std::vector<std::byte> theirs(kCompareBytes);
  for (int64_t at = 0; same && at < head.size_bytes(); at += kCompareBytes) {
    const auto part = static_cast<size_t>(std::min(kCompareBytes, head.size_bytes() - at));
    WATTLE_RETURN_IF_ERROR(file.ReadPart(*tokens, at, absl::MakeSpan(ours).first(part)));
    WATTLE_RETURN_IF_ERROR(file.ReadPart(head, at, absl::MakeSpan(theirs).first(part)));
    same = std::memcmp(ours.data(), theirs.data(), part) == 0;
  }
  if (!same) {
    return Contradicts(file, head,
                       absl::StrCat("differs from ", embedding,
                                    ", although config.json ties the two; write "
                                    "\"tie_word_embeddings\": false or remove the tensor"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<bool> IsIgnorable(const DecoderConfig& config, const formats::TensorSource& file,
                                 const formats::TensorEntry& tensor, const std::string& embedding) {
  const Family& family = FamilyOf(config);
  if (config.tied_embeddings) {
    for (const SlotNames& names : family.slots) {
      if (names.slot == Slot::kHead && tensor.name == absl::StrCat(names.parts[0], ".weight")) {
        const absl::Status status = CheckTiedHead(file, tensor, embedding);
        return status.ok() ? absl::StatusOr<bool>(true) : status;
      }
    }
  }
  for (const BufferName& buffer : family.harmless_buffers) {
    if (!absl::EndsWith(tensor.name, buffer.suffix)) {
      continue;
    }
    absl::Status status;
    switch (buffer.kind) {
      case HarmlessBuffer::kCausalMask:
        status = CheckMask(config, file, tensor);
        break;
      case HarmlessBuffer::kMaskedBias:
        status = tensor.element_count() == 1 ? absl::OkStatus()
                                             : Contradicts(file, tensor, "one number is wanted");
        break;
      case HarmlessBuffer::kInverseFrequencies:
        status = CheckFrequencies(config, file, tensor);
        break;
    }
    return status.ok() ? absl::StatusOr<bool>(true) : status;
  }
  return false;
}

}  // namespace wattle::models
