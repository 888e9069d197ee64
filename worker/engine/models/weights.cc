// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/weights.h"

#include <map>

#include "absl/strings/str_cat.h"
#include <ATen/ATen.h>

#include "base/check.h"

namespace wattle::engine {

FlatLayout MakeFlatLayout(const formats::DecoderConfig& config) {
  FlatLayout layout;
  for (formats::TensorDescription& tensor : formats::CheckpointTensors(config)) {
    FlatEntry entry;
    entry.offset = layout.elements;
    entry.decays = tensor.shape.size() > 1;
    const int64_t count = tensor.element_count();
    entry.tensor = std::move(tensor);
    layout.elements += (count + kFlatAlignment - 1) / kFlatAlignment * kFlatAlignment;
    layout.entries.push_back(std::move(entry));
  }
  return layout;
}

at::Tensor FlatView(const at::Tensor& flat, const FlatEntry& entry) {
  return flat.narrow(0, entry.offset, entry.tensor.element_count()).view(entry.tensor.shape);
}

void VisitWeights(const formats::DecoderConfig& config, DecoderWeights& weights,
                  const WeightsVisitor& visitor) {
  const auto norm = [&](const std::string& name, NormWeights& target) {
    visitor.tensor(name + ".weight", target.weight);
    visitor.tensor(name + ".bias", target.bias);
  };
  weights.blocks.resize(static_cast<size_t>(config.layers));
  visitor.table("wte.weight", weights.tokens);
  visitor.tensor("wpe.weight", weights.positions);
  for (size_t i = 0; i < weights.blocks.size(); ++i) {
    BlockWeights& block = weights.blocks[i];
    const std::string name = absl::StrCat("h.", i, ".");
    norm(name + "ln_1", block.attention_norm);
    visitor.linear(name + "attn.c_attn", block.qkv);
    visitor.linear(name + "attn.c_proj", block.attention_output);
    norm(name + "ln_2", block.mlp_norm);
    visitor.linear(name + "mlp.c_fc", block.up);
    visitor.linear(name + "mlp.c_proj", block.down);
  }
  norm("ln_f", weights.final_norm);
  if (config.tied_embeddings) {
    weights.head = weights.tokens;
  } else {
    visitor.table("lm_head.weight", weights.head);
  }
}

DecoderWeights WeightsOver(const formats::DecoderConfig& config, const FlatLayout& layout,
                           const at::Tensor& flat) {
  std::map<std::string, const FlatEntry*> entries;
  for (const FlatEntry& entry : layout.entries) {
    entries[entry.tensor.name] = &entry;
  }
  const auto view = [&](const std::string& name) {
    const auto found = entries.find(name);
    WATTLE_CHECK(found != entries.end(), "weights and checkpoint tensors have the same names");
    return FlatView(flat, *found->second);
  };
  DecoderWeights weights;
  VisitWeights(
      config, weights,
      {.linear =
           [&](const std::string& name, LinearWeights& linear) {
             linear.weight = view(name + ".weight");
             linear.bias = view(name + ".bias");
           },
       .table = [&](const std::string& name, TableWeights& table) { table.weight = view(name); },
       .tensor = [&](const std::string& name, at::Tensor& tensor) { tensor = view(name); }});
  return weights;
}

}  // namespace wattle::engine
