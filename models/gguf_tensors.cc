// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/gguf_tensors.h"

#include <utility>

#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "models/family.h"

namespace wattle::models {
namespace {

// The names of a slot's parts: as many as the family's files have.
std::vector<const char*> GgufNames(Slot slot, size_t parts) {
  switch (slot) {
    case Slot::kTokens:
      return {"token_embd"};
    case Slot::kPositions:
      return {"position_embd"};
    case Slot::kAttentionNorm:
      return {"attn_norm"};
    case Slot::kQkv:
      return parts == 1 ? std::vector<const char*>{"attn_qkv"}
                        : std::vector<const char*>{"attn_q", "attn_k", "attn_v"};
    case Slot::kAttentionOutput:
      return {"attn_output"};
    case Slot::kAttentionPostNorm:
      return {"post_attention_norm"};
    case Slot::kMlpNorm:
      return {"ffn_norm"};
    case Slot::kUp:
      return parts == 1 ? std::vector<const char*>{"ffn_up"}
                        : std::vector<const char*>{"ffn_gate", "ffn_up"};
    case Slot::kDown:
      return {"ffn_down"};
    case Slot::kMlpPostNorm:
      return {"post_ffw_norm"};
    case Slot::kFinalNorm:
      return {"output_norm"};
    case Slot::kHead:
      return {"output"};
    case Slot::kAttentionInnerNorm:
    case Slot::kMlpInnerNorm:
      break;
  }
  WATTLE_CHECK(false, "no family that GGUF holds has the slot");
  return {};
}

GgufConversion ConversionOf(const DecoderConfig& config, const ModelTensor& tensor, size_t part) {
  constexpr size_t kQuery = 0;
  constexpr size_t kKey = 1;
  GgufConversion conversion{.transposed = tensor.layout.transposed,
                            .interleaved_heads = tensor.layout.interleaved_heads,
                            .one_added = config.norm == Norm::kRmsNormPlusOne &&
                                         tensor.part == Part::kWeight &&
                                         !tensor.is_matrix()};  // the weight of a norm
  if (tensor.slot == Slot::kQkv && FamilyOf(config).gguf->rotary_pairs) {
    const LayerDescription& layer = config.layers[static_cast<size_t>(tensor.layer)];
    conversion.rotary_heads = part == kQuery ? layer.heads : part == kKey ? layer.kv_heads : 0;
  }
  return conversion;
}

}  // namespace

int64_t GgufConversion::HuggingFaceRow(int64_t row, int64_t rows) const {
  if (rotary_heads > 0) {
    const int64_t head_size = rows / rotary_heads;
    const int64_t inside = row % head_size;
    return row - inside + inside % 2 * (head_size / 2) + inside / 2;
  }
  if (interleaved_heads > 0) {
    const int64_t head_size = rows / (3 * interleaved_heads);
    const int64_t part = row / (interleaved_heads * head_size);
    const int64_t head = row / head_size % interleaved_heads;
    return (head * 3 + part) * head_size + row % head_size;
  }
  return row;
}

int64_t GgufConversion::RowOfOutput(int64_t row, int64_t rows) const {
  if (rotary_heads == 0) {
    return row;  // GGUF and the engine order interleaved heads alike
  }
  const int64_t head_size = rows / rotary_heads;
  const int64_t inside = row % head_size;
  return row - inside + inside % (head_size / 2) * 2 + inside / (head_size / 2);
}

std::vector<GgufPlacement> GgufPlacements(const DecoderConfig& config) {
  std::vector<GgufPlacement> placements;
  for (const ModelTensor& tensor : ModelTensors(config)) {
    const std::vector<const char*> names = GgufNames(tensor.slot, tensor.files.size());
    WATTLE_CHECK(names.size() == tensor.files.size(), "a name for each part");
    for (size_t part = 0; part < names.size(); ++part) {
      GgufPlacement placement{.hugging_face = tensor.files[part],
                              .gguf = tensor.files[part],
                              .conversion = ConversionOf(config, tensor, part),
                              .is_matrix = tensor.is_matrix() && tensor.slot != Slot::kPositions};
      placement.gguf.name =
          absl::StrCat(tensor.layer >= 0 ? absl::StrCat("blk.", tensor.layer, ".") : "",
                       names[part], tensor.part == Part::kWeight ? ".weight" : ".bias");
      if (placement.conversion.transposed) {
        std::swap(placement.gguf.shape[0], placement.gguf.shape[1]);
      }
      placements.push_back(std::move(placement));
    }
  }
  return placements;
}

std::string HeadName(const DecoderConfig& config) {
  for (const SlotNames& names : FamilyOf(config).slots) {
    if (names.slot == Slot::kHead) {
      return absl::StrCat(names.parts[0], ".weight");
    }
  }
  WATTLE_CHECK(false, "a family names its head");
  return "";
}

}  // namespace wattle::models
