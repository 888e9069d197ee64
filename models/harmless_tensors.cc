// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/harmless_tensors.h"

#include <cmath>
#include <cstring>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "models/family.h"

namespace wattle::models {
namespace {

using formats::DataType;

// float16 keeps 11 bits of a frequency.
constexpr double kFrequencyTolerance = 1e-2;

absl::Status Contradicts(const formats::SafetensorsSet& file, const formats::TensorEntry& tensor,
                         absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(file.path(), ": tensor ", tensor.name, ": ", what));
}

// One number of a buffer as float; nothing for a type that such buffers never have.
std::optional<float> NumberAt(const formats::SafetensorsSet& file,
                              const formats::TensorEntry& tensor, int64_t index) {
  const std::byte* bytes =
      file.Bytes(tensor).data() + index * formats::ElementSizeBytes(tensor.type);
  switch (tensor.type) {
    case DataType::kF32: {
      float value = 0.0F;
      std::memcpy(&value, bytes, sizeof(value));
      return value;
    }
    case DataType::kU8:
      return static_cast<float>(*bytes);
    case DataType::kBF16: {
      uint16_t half = 0;
      std::memcpy(&half, bytes, sizeof(half));
      const uint32_t bits = static_cast<uint32_t>(half) << 16;
      float value = 0.0F;
      std::memcpy(&value, &bits, sizeof(value));
      return value;
    }
    default:
      return std::nullopt;
  }
}

absl::Status CheckMask(const DecoderConfig& config, const formats::SafetensorsSet& file,
                       const formats::TensorEntry& tensor) {
  const int64_t positions = config.max_positions;
  if (tensor.shape != std::vector<int64_t>{1, 1, positions, positions}) {
    return Contradicts(file, tensor,
                       absl::StrCat("a causal mask of ", positions, " positions is wanted, found ",
                                    formats::FormatShape(tensor.shape)));
  }
  for (int64_t row = 0; row < positions; ++row) {
    for (int64_t column = 0; column < positions; ++column) {
      const std::optional<float> value = NumberAt(file, tensor, row * positions + column);
      if (value.has_value() && *value != (column <= row ? 1.0F : 0.0F)) {
        return Contradicts(file, tensor,
                           absl::StrCat("is no causal mask at row ", row, ", column ", column,
                                        "; this model attends otherwise"));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CheckFrequencies(const DecoderConfig& config, const formats::SafetensorsSet& file,
                              const formats::TensorEntry& tensor) {
  const std::optional<Rotary>& rotary = config.layers.front().rotary;
  if (!rotary.has_value() || tensor.shape != std::vector<int64_t>{rotary->dimensions / 2}) {
    return Contradicts(file, tensor,
                       "does not fit the rotary positions that config.json describes");
  }
  for (int64_t i = 0; i < rotary->dimensions / 2; ++i) {
    const double wanted = rotary->Frequency(i);
    const std::optional<float> value = NumberAt(file, tensor, i);
    if (value.has_value() && !(std::abs(*value - wanted) <= kFrequencyTolerance * wanted)) {
      return Contradicts(file, tensor,
                         absl::StrCat("frequency ", i, " is ", *value, ", rope_theta makes it ",
                                      wanted, "; this model has other positions"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckTiedHead(const formats::SafetensorsSet& file, const formats::TensorEntry& head,
                           const std::string& embedding) {
  const formats::TensorEntry* tokens = file.Find(embedding);
  if (tokens == nullptr) {
    return absl::OkStatus();  // the missing embedding is reported by itself
  }
  const auto ours = file.Bytes(*tokens);
  const auto theirs = file.Bytes(head);
  if (tokens->type != head.type || ours.size() != theirs.size() ||
      std::memcmp(ours.data(), theirs.data(), ours.size()) != 0) {
    return Contradicts(file, head,
                       absl::StrCat("differs from ", embedding,
                                    ", although config.json ties the two; write "
                                    "\"tie_word_embeddings\": false or remove the tensor"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<bool> IsHarmless(const DecoderConfig& config, const formats::SafetensorsSet& file,
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
