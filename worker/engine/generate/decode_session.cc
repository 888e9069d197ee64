// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/generate/decode_session.h"

#include <algorithm>
#include <utility>

#include <ATen/core/Tensor.h>

#include "base/check.h"
#include "models/planned_decode_step.h"
#include "models/tensor_plan.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/device/device.h"
#include "worker/engine/kernels/decode_step.h"
#include "worker/engine/kernels/kv_cache.h"
#include "worker/engine/models/layers.h"
#include "worker/engine/threads.h"

namespace wattle::engine {
namespace {

// Tokens of a prompt that one step takes: enough for products of many rows, few enough that the
// buffers stay small.
constexpr int64_t kPromptTokens = 256;

const float* FloatsOf(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.data_ptr<float>() : nullptr;
}

kernels::WeightMatrix MatrixOf(const MatrixWeights& weights, const at::Tensor& bias) {
  kernels::WeightMatrix matrix = weights.matrix;
  if (weights.is_float()) {
    matrix.packed = static_cast<const std::byte*>(weights.value.data_ptr());
    matrix.rows = weights.value.size(0);
    matrix.columns = weights.value.size(1);
  }
  matrix.bias = FloatsOf(bias);
  return matrix;
}

kernels::Norm NormOf(const models::DecoderConfig& config, const NormWeights& norm) {
  return {.gain = FloatsOf(norm.weight),
          .bias = FloatsOf(norm.bias),
          .subtract_mean = config.norm == models::Norm::kLayerNorm,
          .epsilon = static_cast<float>(config.norm_epsilon),
          .width = config.width};
}

kernels::DecodeLayer LayerOf(const Decoder& decoder, size_t index) {
  const models::LayerDescription& description = decoder.config.layers[index];
  const BlockWeights& block = decoder.weights.blocks[index];
  kernels::DecodeLayer layer;
  layer.attention_norm = NormOf(decoder.config, block.attention_norm);
  layer.qkv = MatrixOf(block.qkv.matrix, block.qkv.bias);
  layer.heads = description.heads;
  layer.kv_heads = description.kv_heads;
  layer.head_size = description.head_size;
  layer.window = description.window;
  if (description.rotary.has_value()) {
    layer.rotary = {.dimensions = description.rotary->dimensions,
                    .cosines = FloatsOf(decoder.rotary[index].cosines),
                    .sines = FloatsOf(decoder.rotary[index].sines)};
  }
  layer.attention_output = MatrixOf(block.attention_output.matrix, block.attention_output.bias);
  layer.mlp_norm = NormOf(decoder.config, block.mlp_norm);
  layer.up = MatrixOf(block.up.matrix, block.up.bias);
  layer.gated = description.gated_mlp;
  layer.activation = NonlinearityOf(description.activation);
  layer.down = MatrixOf(block.down.matrix, block.down.bias);
  return layer;
}

kernels::DecodeModel ModelOf(const Decoder& decoder) {
  kernels::DecodeModel model;
  model.width = decoder.config.width;
  model.max_positions = decoder.config.max_positions;
  model.tokens = MatrixOf(decoder.weights.tokens, at::Tensor());
  if (const float* table = FloatsOf(decoder.weights.positions); table != nullptr) {
    model.positions = table + decoder.config.learned_offset * decoder.config.width;
  }
  for (size_t i = 0; i < decoder.config.layers.size(); ++i) {
    model.layers.push_back(LayerOf(decoder, i));
  }
  model.final_norm = NormOf(decoder.config, decoder.weights.final_norm);
  model.head = MatrixOf(decoder.weights.head, decoder.weights.head_bias);
  return model;
}

// What the session's tensors take at most: of all formats the one with the smallest groups has the
// largest buffers, and scalars that libtorch makes on the way are in no plan. Address space alone,
// so that too much of it costs nothing.
int64_t RoomOfSession(const Decoder& decoder, int64_t capacity_tokens, int64_t slots) {
  constexpr int64_t kScalarsBytes = 4096;
  const auto recipe =
      RecipeOfIdentity(decoder.int8_keys_and_values ? "int4-g32+kv=int8" : "int4-g32");
  WATTLE_CHECK(recipe.ok(), "the identity of a recipe");
  return models::PlanPass(decoder.config, {.kind = models::PassKind::kDecode,
                                           .batch = slots,
                                           .tokens = capacity_tokens,
                                           .recipe = *recipe,
                                           .threads = KernelThreads().threads()})
             .arena_bytes +
         kScalarsBytes;
}

}  // namespace

struct DecodeSession::Operator {
  Operator(kernels::DecodeModel decode_model, kernels::KvFormat kv_format, int64_t slots,
           int64_t capacity_tokens, std::pmr::memory_resource& memory)
      : model(std::move(decode_model)),
        cache(kv_format, kernels::KvShapesOf(model), slots, capacity_tokens, memory),
        step(model, cache, KernelThreads(),
             std::max(slots, std::min(kPromptTokens, capacity_tokens)), kernels::BestKernels(),
             memory) {}

  kernels::DecodeModel model;
  kernels::KvCache cache;
  kernels::DecodeStep step;
};

DecodeSession::DecodeSession(const Decoder& decoder, int64_t capacity_tokens, DecodeForm form,
                             int64_t slots, std::vector<ArenaTensor>* record)
    : decoder_(decoder),
      arena_(RoomOfSession(decoder, capacity_tokens, slots)),
      lengths_(static_cast<size_t>(slots)) {
  arena_.Record(record);
  arena_.PreferHugePages();
  logits_ = kernels::AlignedBuffer(
      slots * decoder.config.vocabulary * static_cast<int64_t>(sizeof(float)), arena_);
  if (form == DecodeForm::kFastest && OperationsOn(decoder.device).in_host_memory() &&
      models::DecodeOperatorServes(decoder.config)) {
    kernels::DecodeModel model = ModelOf(decoder);
    if (kernels::CheckDecodeModel(model).ok()) {
      operator_ = std::make_unique<Operator>(
          std::move(model),
          decoder.int8_keys_and_values ? kernels::KvFormat::kInt8 : kernels::KvFormat::kFloat32,
          slots, capacity_tokens, arena_);
      return;
    }
  }
  const PassArena::Scope scope(arena_);
  cache_ = std::make_unique<KeyValueCache>(decoder.config, slots, capacity_tokens, decoder.device);
}

DecodeSession::~DecodeSession() = default;

absl::Span<const float> DecodeSession::Feed(absl::Span<const int64_t> tokens, int64_t slot) {
  const auto vocabulary = static_cast<size_t>(decoder_.config.vocabulary);
  lengths_[static_cast<size_t>(slot)] += static_cast<int64_t>(tokens.size());
  auto* out = logits_.as<float>();
  if (operator_ == nullptr) {
    FeedPlain({.slot = slot, .tokens = tokens}, out);
    return {out, vocabulary};
  }
  while (!tokens.empty()) {
    const auto piece = tokens.subspan(0, static_cast<size_t>(kPromptTokens));
    const kernels::SequenceTokens sequence{.slot = slot, .tokens = piece};
    operator_->step.Run(absl::MakeConstSpan(&sequence, 1), out);
    tokens.remove_prefix(piece.size());
  }
  return {out, vocabulary};
}

absl::Span<const float> DecodeSession::Step(absl::Span<const kernels::SequenceTokens> sequences) {
  const auto vocabulary = static_cast<size_t>(decoder_.config.vocabulary);
  auto* out = logits_.as<float>();
  for (const kernels::SequenceTokens& sequence : sequences) {
    lengths_[static_cast<size_t>(sequence.slot)] += static_cast<int64_t>(sequence.tokens.size());
    if (operator_ == nullptr) {
      FeedPlain(sequence, out);
      out += vocabulary;
    }
  }
  if (operator_ != nullptr) {
    operator_->step.Run(sequences, out);
  }
  return {logits_.as<float>(), sequences.size() * vocabulary};
}

void DecodeSession::FeedPlain(const kernels::SequenceTokens& sequence, float* out) {
  const PassArena::Scope scope(arena_);
  const at::Tensor logits =
      DecodeLogits(decoder_, sequence.tokens, *cache_, sequence.slot).cpu().contiguous();
  std::copy_n(logits.data_ptr<float>(), logits.numel(), out);
}

bool DecodeSession::chooses_on_device() const {
  return !OperationsOn(decoder_.device).in_host_memory();
}

int64_t DecodeSession::FeedGreedily(absl::Span<const int64_t> tokens, int64_t slot) {
  WATTLE_CHECK(chooses_on_device(), "the device chooses");
  lengths_[static_cast<size_t>(slot)] += static_cast<int64_t>(tokens.size());
  const PassArena::Scope scope(arena_);
  return DecodeLogits(decoder_, tokens, *cache_, slot).argmax().item<int64_t>();
}

std::vector<int64_t> DecodeSession::StepGreedily(
    absl::Span<const kernels::SequenceTokens> sequences) {
  std::vector<int64_t> tokens;
  for (const kernels::SequenceTokens& sequence : sequences) {
    tokens.push_back(FeedGreedily(sequence.tokens, sequence.slot));
  }
  return tokens;
}

void DecodeSession::Clear(int64_t slot) {
  lengths_[static_cast<size_t>(slot)] = 0;
  if (operator_ != nullptr) {
    operator_->cache.set_length(slot, 0);
  } else {
    cache_->Clear(slot);
  }
}

}  // namespace wattle::engine
