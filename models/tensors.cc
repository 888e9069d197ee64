// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/tensors.h"

#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "models/family.h"

namespace wattle::models {
namespace {

absl::string_view SlotName(Slot slot) {
  switch (slot) {
    case Slot::kTokens:
      return "tokens";
    case Slot::kPositions:
      return "positions";
    case Slot::kAttentionNorm:
      return "attention_norm";
    case Slot::kQkv:
      return "qkv";
    case Slot::kAttentionInnerNorm:
      return "attention_inner_norm";
    case Slot::kAttentionOutput:
      return "attention_output";
    case Slot::kAttentionPostNorm:
      return "attention_post_norm";
    case Slot::kMlpNorm:
      return "mlp_norm";
    case Slot::kUp:
      return "up";
    case Slot::kMlpInnerNorm:
      return "mlp_inner_norm";
    case Slot::kDown:
      return "down";
    case Slot::kMlpPostNorm:
      return "mlp_post_norm";
    case Slot::kFinalNorm:
      return "final_norm";
    case Slot::kHead:
      return "head";
  }
  return "";
}

// Collects the tensors of one model.
class TensorList {
 public:
  explicit TensorList(const DecoderConfig& config) : config_(config), family_(FamilyOf(config)) {}

  // rows: of each part; columns are the inputs.
  void AddMatrix(Slot slot, int64_t layer, const std::vector<int64_t>& rows, int64_t columns) {
    const SlotNames& names = NamesOf(slot);
    ModelTensor tensor = Start(slot, Part::kWeight, layer);
    tensor.layout.transposed = names.transposed;
    tensor.shape = {0, columns};
    for (const auto& [name, size] : PartsOf(names, rows)) {
      tensor.shape[0] += size;
      tensor.files.push_back({FileName(name, Part::kWeight, layer),
                              names.transposed ? std::vector<int64_t>{columns, size}
                                               : std::vector<int64_t>{size, columns}});
    }
    tensors_.push_back(std::move(tensor));
  }

  void AddVector(Slot slot, Part part, int64_t layer, const std::vector<int64_t>& sizes) {
    ModelTensor tensor = Start(slot, part, layer);
    tensor.shape = {0};
    for (const auto& [name, size] : PartsOf(NamesOf(slot), sizes)) {
      tensor.shape[0] += size;
      tensor.files.push_back({FileName(name, part, layer), {size}});
    }
    tensors_.push_back(std::move(tensor));
  }

  void AddNorm(Slot slot, int64_t layer, int64_t width) {
    AddVector(slot, Part::kWeight, layer, {width});
    if (config_.norm == Norm::kLayerNorm) {
      AddVector(slot, Part::kBias, layer, {width});
    }
  }

  void AddLinear(Slot slot, int64_t layer, const std::vector<int64_t>& rows, int64_t columns,
                 bool bias) {
    AddMatrix(slot, layer, rows, columns);
    if (bias) {
      AddVector(slot, Part::kBias, layer, rows);
    }
  }

  std::vector<ModelTensor> Take() { return std::move(tensors_); }

 private:
  // The parts of a slot with their rows; a family that names one tensor stores all parts in it.
  static std::vector<std::pair<const char*, int64_t>> PartsOf(const SlotNames& names,
                                                              const std::vector<int64_t>& rows) {
    if (names.parts.size() == 1) {
      return {{names.parts[0], std::accumulate(rows.begin(), rows.end(), int64_t{0})}};
    }
    WATTLE_CHECK(names.parts.size() == rows.size(), "a family names one part or all of them");
    std::vector<std::pair<const char*, int64_t>> parts;
    for (size_t i = 0; i < rows.size(); ++i) {
      parts.emplace_back(names.parts[i], rows[i]);
    }
    return parts;
  }

  [[nodiscard]] const SlotNames& NamesOf(Slot slot) const {
    for (const SlotNames& names : family_.slots) {
      if (names.slot == slot) {
        return names;
      }
    }
    WATTLE_CHECK(false, "a family names every slot that its descriptions use");
    return family_.slots.front();
  }

  [[nodiscard]] ModelTensor Start(Slot slot, Part part, int64_t layer) const {
    ModelTensor tensor;
    if (NamesOf(slot).interleaved_heads) {
      tensor.layout.interleaved_heads = config_.layers[static_cast<size_t>(layer)].heads;
    }
    tensor.slot = slot;
    tensor.part = part;
    tensor.layer = layer;
    tensor.name = absl::StrCat(layer >= 0 ? absl::StrCat("layers.", layer, ".") : "",
                               SlotName(slot), part == Part::kWeight ? ".weight" : ".bias");
    return tensor;
  }

  [[nodiscard]] std::string FileName(const char* name, Part part, int64_t layer) const {
    return absl::StrCat(layer >= 0 ? absl::StrCat(family_.layer_prefix, layer, ".") : "", name,
                        part == Part::kWeight ? ".weight" : ".bias");
  }

  const DecoderConfig& config_;
  const Family& family_;
  std::vector<ModelTensor> tensors_;
};

}  // namespace

int64_t ModelTensor::element_count() const {
  int64_t count = 1;
  for (const int64_t size : shape) {
    count *= size;
  }
  return count;
}

bool ModelTensor::is_multiplied(const DecoderConfig& config) const {
  if (part != Part::kWeight) {
    return false;
  }
  switch (slot) {
    case Slot::kQkv:
    case Slot::kAttentionOutput:
    case Slot::kUp:
    case Slot::kDown:
    case Slot::kHead:
      return true;
    case Slot::kTokens:
      return config.tied_embeddings;
    case Slot::kPositions:
    case Slot::kAttentionNorm:
    case Slot::kAttentionInnerNorm:
    case Slot::kAttentionPostNorm:
    case Slot::kMlpNorm:
    case Slot::kMlpInnerNorm:
    case Slot::kMlpPostNorm:
    case Slot::kFinalNorm:
      return false;
  }
  return false;
}

std::vector<ModelTensor> ModelTensors(const DecoderConfig& config) {
  TensorList list(config);
  list.AddMatrix(Slot::kTokens, -1, {config.vocabulary}, config.width);
  if (config.learned_positions) {
    list.AddMatrix(Slot::kPositions, -1, {config.learned_offset + config.max_positions},
                   config.width);
  }
  for (int64_t i = 0; i < config.layer_count(); ++i) {
    const LayerDescription& layer = config.layers[static_cast<size_t>(i)];
    const int64_t query = layer.attention_width();
    const int64_t key = layer.kv_heads * layer.head_size;
    list.AddNorm(Slot::kAttentionNorm, i, config.width);
    list.AddLinear(Slot::kQkv, i, {query, key, key}, config.width, layer.qkv_bias);
    if (layer.inner_norms) {
      list.AddNorm(Slot::kAttentionInnerNorm, i, query);
    }
    list.AddLinear(Slot::kAttentionOutput, i, {config.width}, query, layer.attention_output_bias);
    if (layer.post_norms) {
      list.AddNorm(Slot::kAttentionPostNorm, i, config.width);
    }
    if (layer.residual != Residual::kParallelOneNorm) {
      list.AddNorm(Slot::kMlpNorm, i, config.width);
    }
    list.AddLinear(Slot::kUp, i,
                   layer.gated_mlp ? std::vector<int64_t>{layer.mlp_width, layer.mlp_width}
                                   : std::vector<int64_t>{layer.mlp_width},
                   config.width, layer.mlp_bias);
    if (layer.inner_norms) {
      list.AddNorm(Slot::kMlpInnerNorm, i, layer.mlp_width);
    }
    list.AddLinear(Slot::kDown, i, {config.width}, layer.mlp_width, layer.mlp_bias);
    if (layer.post_norms) {
      list.AddNorm(Slot::kMlpPostNorm, i, config.width);
    }
  }
  list.AddNorm(Slot::kFinalNorm, -1, config.width);
  if (!config.tied_embeddings) {
    list.AddLinear(Slot::kHead, -1, {config.vocabulary}, config.width, config.head_bias);
  }
  return list.Take();
}

bool TrainedWithLastLayers(const DecoderConfig& config, int64_t layers, const ModelTensor& tensor) {
  if (tensor.layer >= 0) {
    return tensor.layer >= config.layer_count() - layers;
  }
  return tensor.slot == Slot::kFinalNorm || tensor.slot == Slot::kHead;
}

std::vector<formats::TensorDescription> CheckpointTensors(const DecoderConfig& config,
                                                          formats::DataType type) {
  std::vector<formats::TensorDescription> tensors;
  for (const ModelTensor& tensor : ModelTensors(config)) {
    for (const FileTensor& file : tensor.files) {
      tensors.push_back({.name = file.name, .type = type, .shape = file.shape});
    }
  }
  return tensors;
}

}  // namespace wattle::models
