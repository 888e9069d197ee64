// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/planned_decode_step.h"

#include <algorithm>

#include "models/tensors.h"
#include "proto/quantization_recipe.h"

namespace wattle::models {
namespace {

// Smallest and largest head size: one register, and the operator's limit
// (worker/engine/kernels/isa).
constexpr int64_t kHeadSizeMultiple = 16;
constexpr int64_t kHeadSizeMax = 512;

constexpr int64_t kPromptTokens = 256;          // worker/engine/generate/decode_session.cc
constexpr int64_t kPanelPositions = 16;         // worker/engine/kernels/kv_cache.h
constexpr int64_t kScoreRows = 4;               // worker/engine/kernels/decode_step.cc
constexpr int64_t kScratchBytesOfColumn = 128;  // worker/engine/kernels/isa/kernel_table.h
// Codes of inputs (worker/engine/kernels/matmul.cc, formats_internal.h).
constexpr int64_t kTileRows = 32;
constexpr int64_t kColumnMultiple = 64;
constexpr int64_t kGroupOfWholeChannels = 128;

int64_t RoundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Codes of one row of inputs, the maximum over all matrices.
struct CodedRow {
  int64_t codes = 0;
  int64_t groups = 0;  // with one scale and one sum each
};

CodedRow WidestCodedRow(const PlannedPass& pass) {
  CodedRow row;
  for (const ModelTensor& tensor : ModelTensors(pass.config)) {
    if (!tensor.is_matrix() || !tensor.is_multiplied(pass.config)) {
      continue;
    }
    const bool is_head = tensor.slot == Slot::kTokens || tensor.slot == Slot::kHead;
    const v1::TensorFormat format = MatrixFormat(pass.pass.recipe, tensor.name, is_head);
    if (format.scheme() == v1::NUMBER_SCHEME_FLOAT || format.scheme() == v1::NUMBER_SCHEME_BFLOAT) {
      continue;
    }
    const int64_t columns = tensor.shape[1];
    const int64_t group = format.group_size() == 0 ? kGroupOfWholeChannels : format.group_size();
    row.codes = std::max(row.codes, RoundUp(columns, kColumnMultiple));
    row.groups = std::max(row.groups, RoundUp(columns, group) / group);
  }
  return row;
}

}  // namespace

bool DecodeOperatorServes(const DecoderConfig& config) {
  const auto plain = [](const LayerDescription& layer) {
    return layer.residual == Residual::kSequential && !layer.inner_norms && !layer.post_norms &&
           layer.attention_softcap == 0.0 && layer.query_pre_attention_scalar == 0.0 &&
           layer.activation != Activation::kGeluErf && layer.head_size % kHeadSizeMultiple == 0 &&
           layer.head_size <= kHeadSizeMax;
  };
  return config.norm != Norm::kRmsNormPlusOne && config.embedding_scale == 1.0 &&
         config.logit_softcap == 0.0 && !config.sinusoidal_offset.has_value() &&
         std::all_of(config.layers.begin(), config.layers.end(), plain);
}

int64_t KeyValueBytes(const DecoderConfig& config, const v1::QuantizationRecipe& recipe,
                      int64_t slots, int64_t capacity) {
  const bool serves = DecodeOperatorServes(config);
  const bool int8 = serves && KeysAndValuesAreInt8(recipe);
  const int64_t positions = serves ? RoundUp(capacity, kPanelPositions) : capacity;
  int64_t bytes = 0;
  for (const LayerDescription& layer : config.layers) {
    const int64_t head = int8 ? layer.head_size + kFloatBytes : layer.head_size * kFloatBytes;
    bytes += 2 * slots * positions * layer.kv_heads * head;
  }
  return bytes;
}

std::vector<Planned> PlanDecodeStep(const PlannedPass& pass, PlanRecorder& memory) {
  const DecoderConfig& config = pass.config;
  const int64_t slots = pass.pass.batch;
  const int64_t capacity = pass.pass.tokens;
  const int64_t threads = pass.pass.threads;
  const int64_t rows = std::max(slots, std::min(kPromptTokens, capacity));
  int64_t merged = 0;
  int64_t qkv_or_up = 0;
  int64_t widest = config.width;
  for (const LayerDescription& layer : config.layers) {
    merged = std::max(merged, layer.attention_width());
    qkv_or_up = std::max({qkv_or_up, layer.qkv_rows(), layer.up_rows()});
    widest = std::max({widest, merged, int64_t{layer.mlp_width}});
  }
  std::vector<Planned> held;
  const auto make = [&](const char* name, std::vector<int64_t> shape, int64_t element_bytes = 4) {
    held.push_back(memory.Make(name, std::move(shape), element_bytes));
  };
  make("keys and values", {KeyValueBytes(config, pass.pass.recipe, slots, capacity)}, 1);
  make("stream", {rows, config.width});
  make("normed, or heads side by side", {rows, std::max(config.width, merged)});
  make("qkv, or up", {rows, qkv_or_up});
  make("scores of threads", {threads, kScoreRows, RoundUp(capacity, kPanelPositions)});
  make("product scratch of threads", {threads, widest, kScratchBytesOfColumn}, 1);
  if (const CodedRow row = WidestCodedRow(pass); row.codes > 0) {
    make("codes of inputs", {rows + kTileRows, row.codes}, 1);
    make("scales of inputs", {rows, row.groups});
    make("sums of inputs", {rows, row.groups});
  }
  return held;
}

}  // namespace wattle::models
