// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

#include "base/status_macros.h"
#include "models/family.h"
#include "models/gguf_config.h"
#include "models/gguf_keys_internal.h"
#include "models/gguf_tensors.h"

namespace wattle::models {
namespace {

// Writes the keys of one model.
class FieldsWriter {
 public:
  FieldsWriter(const DecoderConfig& config, const GgufForm& form)
      : config_(config), layer_(config.layers.front()), form_(form), prefix_(form.architecture) {
    prefix_ += '.';
    Set(kArchitecture, std::string(form.architecture));
  }

  GgufArchitectureFields Write() {
    WriteSizes();
    WriteTokens();
    Set(config_.norm == Norm::kLayerNorm ? kNormEpsilon : kRmsEpsilon, config_.norm_epsilon);
    if (layer_.rotary.has_value()) {
      WriteAttention(*layer_.rotary);
    }
    if (form_.has_parallel_residual) {
      Set(kParallelResidual, layer_.residual != Residual::kSequential);
    }
    if (config_.logit_softcap > 0.0) {
      Set(kLogitSoftcap, config_.logit_softcap);
      Set(kAttentionSoftcap, layer_.attention_softcap);
      Set(kSlidingWindow, layer_.window);
    }
    return std::move(fields_);
  }

 private:
  void Set(const std::string& key, formats::GgufValue value) {
    fields_.metadata[key[0] == '%' ? prefix_ + key.substr(1) : key] = std::move(value);
  }

  void WriteSizes() {
    Set(kContextLength, config_.max_positions);
    Set(kEmbeddingLength, config_.width);
    Set(kBlockCount, config_.layer_count());
    Set(kFeedForwardLength, layer_.mlp_width);
    Set(kHeadCount, layer_.heads);
    Set(kHeadCountKv, layer_.kv_heads);
    Set(kVocabularySize, config_.vocabulary);
  }

  void WriteTokens() {
    Set(kBeginId, config_.bos_token_id);
    Set(kEndId, config_.eos_token_id);
    const std::vector<int64_t>& more = config_.more_eos_token_ids;
    if (!more.empty()) {
      Set(kEndOfTurnId, more[0]);
    }
    if (more.size() > 1) {
      Set(kEndOfMessageId, more[1]);
    }
  }

  void WriteAttention(const Rotary& rotary) {
    if (layer_.head_size * layer_.heads != config_.width || config_.norm != Norm::kLayerNorm) {
      Set(kKeyLength, layer_.head_size);
      Set(kValueLength, layer_.head_size);
    }
    Set(kRopeBase, rotary.base);
    Set(kRopeDimensions, rotary.dimensions);
    if (!rotary.scaling.has_value()) {
      return;
    }
    if (rotary.scaling->is_linear()) {
      Set(kRopeScalingType, std::string("linear"));
      Set(kRopeScalingFactor, rotary.scaling->factor);
      return;
    }
    Rotary plain = rotary;
    plain.scaling.reset();
    for (int64_t i = 0; i < rotary.dimensions / 2; ++i) {
      fields_.rope_factors.push_back(static_cast<float>(plain.Frequency(i) / rotary.Frequency(i)));
    }
  }

  const DecoderConfig& config_;
  const LayerDescription& layer_;
  const GgufForm& form_;
  std::string prefix_;
  GgufArchitectureFields fields_;
};

// The description without the parts that metadata cannot represent: dropout, and end tokens beyond
// the third.
DecoderConfig Comparable(DecoderConfig config, const std::string& family) {
  config.family = family;
  config.attention_dropout = config.residual_dropout = config.embedding_dropout = 0.0;
  config.more_eos_token_ids.clear();
  return config;
}

absl::Status Refuse(const std::string& file, const GgufForm& form, absl::string_view field) {
  return absl::UnimplementedError(
      absl::StrCat(file, ": config.json: ", field, ": GGUF files of the architecture ",
                   form.architecture, " cannot hold this; the model stays in safetensors"));
}

// The first field of config.json that keeps llama.cpp from loading the tensors
// (llama_model::load_tensors); empty: none.
std::string UnloadableField(const DecoderConfig& config, const GgufForm& form,
                            bool has_rope_factors) {
  const LayerDescription& layer = config.layers.front();
  if (has_rope_factors && !form.has_rope_factors) {
    return "rope_scaling of Llama 3";
  }
  if (layer.qkv_bias && layer.attention_width() != config.width) {
    return absl::StrCat("head_dim ", layer.head_size, " with biases");
  }
  return form.unloadable == nullptr ? "" : form.unloadable(config);
}

// The first field whose value in `read` differs from `wanted`.
std::string DifferingField(const DecoderConfig& wanted, const DecoderConfig& read) {
  const auto ours = nlohmann::json::parse(FormatDecoderConfig(wanted));
  const auto theirs = nlohmann::json::parse(FormatDecoderConfig(read));
  for (const auto& [key, value] : ours.items()) {
    if (theirs.value(key, nlohmann::json()) != value) {
      return absl::StrCat(key, " ", value.dump());
    }
  }
  return "a field";
}

}  // namespace

absl::StatusOr<GgufArchitectureFields> GgufFieldsOf(const DecoderConfig& config,
                                                    const std::string& file) {
  const std::optional<GgufForm>& form = FamilyOf(config).gguf;
  if (!form.has_value()) {
    return absl::UnimplementedError(
        absl::StrCat(file, ": a model of the family ", config.family,
                     " is not written as GGUF in this version; those of these architectures are: ",
                     GgufArchitectureNames()));
  }
  GgufArchitectureFields fields = FieldsWriter(config, *form).Write();
  formats::GgufHeader header{.metadata = fields.metadata, .tensors = {}};
  for (const GgufPlacement& placement : GgufPlacements(config)) {
    header.tensors.push_back({.name = placement.gguf.name, .shape = placement.gguf.shape});
  }
  if (!fields.rope_factors.empty()) {
    header.tensors.push_back({.name = kGgufRopeFactors, .shape = {config.width}});
  }
  std::sort(header.tensors.begin(), header.tensors.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  WATTLE_ASSIGN_OR_RETURN(
      DecoderConfig read,
      ReadGgufConfig(header, file,
                     {.tied = config.tied_embeddings, .rope_factors = fields.rope_factors}));
  const DecoderConfig wanted = Comparable(config, config.family);
  read = Comparable(std::move(read), config.family);
  if (read != wanted) {
    return Refuse(file, *form, DifferingField(wanted, read));
  }
  const std::string field = UnloadableField(config, *form, !fields.rope_factors.empty());
  if (!field.empty()) {
    return Refuse(file, *form, field);
  }
  return fields;
}

}  // namespace wattle::models
