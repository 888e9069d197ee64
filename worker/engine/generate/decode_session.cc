// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/generate/decode_session.h"

#include <algorithm>
#include <utility>

#include <ATen/core/Tensor.h>

#include "base/check.h"
#include "base/status_macros.h"
#include "models/planned_decode_step.h"
#include "models/tensor_plan.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/device/decode_operator.h"
#include "worker/engine/device/device.h"
#include "worker/engine/kernels/decode_step.h"
#include "worker/engine/models/layers.h"
#include "worker/engine/threads.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

// Same maximum as in a GPU's operator.
constexpr int64_t kPlainStepsAhead = 16;

const float* FloatsOf(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.data_ptr<float>() : nullptr;
}

kernels::WeightMatrix MatrixOf(const MatrixWeights& weights, const at::Tensor& bias) {
  kernels::WeightMatrix matrix = weights.matrix;
  if (matrix.packed == nullptr && weights.packed.defined()) {  // on a device other than the host
    matrix.packed = static_cast<const std::byte*>(weights.packed.data_ptr());
    matrix.scales = weights.scales.defined()
                        ? static_cast<const std::byte*>(weights.scales.data_ptr())
                        : nullptr;
  }
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

absl::StatusOr<kernels::DecodeModel> ServedModelOf(const Decoder& decoder) {
  if (!models::DecodeOperatorServes(decoder.config)) {
    return absl::UnimplementedError("no operator has a whole step of this family");
  }
  kernels::DecodeModel model = ModelOf(decoder);
  WATTLE_RETURN_IF_ERROR(kernels::CheckDecodeModel(model));
  return model;
}

// Every matrix refers to the same tables; one is enough to find them.
const float* Nf4TablesOf(const DecoderWeights& weights) {
  std::vector<const MatrixWeights*> matrices = {&weights.tokens, &weights.head};
  for (const BlockWeights& block : weights.blocks) {
    matrices.insert(matrices.end(), {&block.qkv.matrix, &block.attention_output.matrix,
                                     &block.up.matrix, &block.down.matrix});
  }
  const auto found =
      std::find_if(matrices.begin(), matrices.end(), [](const MatrixWeights* matrix) {
        return matrix->matrix.format.scheme == kernels::WeightScheme::kNf4DoubleQuantized &&
               matrix->tables.defined();
      });
  return found == matrices.end() ? nullptr : (*found)->tables.data_ptr<float>();
}

// Upper bound of the session's tensors: the format with the smallest groups has the largest
// buffers, and temporary scalars of libtorch are in no plan. Only address space, so too much of it
// costs nothing.
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

DecodeSession::DecodeSession(const Decoder& decoder, int64_t capacity_tokens, DecodeForm form,
                             int64_t slots, std::vector<ArenaTensor>* record)
    : decoder_(decoder),
      arena_(RoomOfSession(decoder, capacity_tokens, slots)),
      lengths_(static_cast<size_t>(slots)) {
  arena_.Record(record);
  arena_.PreferHugePages();
  logits_ = kernels::AlignedBuffer(
      slots * decoder.config.vocabulary * static_cast<int64_t>(sizeof(float)), arena_);
  if (form == DecodeForm::kFastest) {
    operator_ = OperationsOn(decoder.device)
                    .MakeDecode({.model = ServedModelOf(decoder),
                                 .int8_keys_and_values = decoder.int8_keys_and_values,
                                 .slots = slots,
                                 .capacity_tokens = capacity_tokens,
                                 .device = decoder.device,
                                 .nf4_tables = Nf4TablesOf(decoder.weights),
                                 .memory = arena_});
  }
  if (operator_ != nullptr) {
    return;
  }
  const PassArena::Scope scope(arena_);
  cache_ = std::make_unique<KeyValueCache>(decoder.config, slots, capacity_tokens, decoder.device);
}

DecodeSession::~DecodeSession() = default;

void DecodeSession::Grow(absl::Span<const kernels::SequenceTokens> sequences) {
  for (const kernels::SequenceTokens& sequence : sequences) {
    lengths_[static_cast<size_t>(sequence.slot)] += static_cast<int64_t>(sequence.tokens.size());
  }
}

absl::Span<const float> DecodeSession::Feed(absl::Span<const int64_t> tokens, int64_t slot) {
  const kernels::SequenceTokens sequence{.slot = slot, .tokens = tokens};
  return Step(absl::MakeConstSpan(&sequence, 1));
}

absl::Span<const float> DecodeSession::Step(absl::Span<const kernels::SequenceTokens> sequences) {
  const auto vocabulary = static_cast<size_t>(decoder_.config.vocabulary);
  Grow(sequences);
  auto* out = logits_.as<float>();
  if (operator_ != nullptr) {
    operator_->Run(sequences, out);
  } else {
    for (const kernels::SequenceTokens& sequence : sequences) {
      FeedPlain(sequence, out);
      out += vocabulary;
    }
  }
  return {logits_.as<float>(), sequences.size() * vocabulary};
}

void DecodeSession::FeedPlain(const kernels::SequenceTokens& sequence, float* out) {
  const PassArena::Scope scope(arena_);
  const at::Tensor logits =
      DecodeLogits(decoder_, sequence.tokens, *cache_, sequence.slot).cpu().contiguous();
  std::copy_n(logits.data_ptr<float>(), logits.numel(), out);
}

bool DecodeSession::chooses_on_device(const SamplingSettings& sampling) const {
  if (operator_ != nullptr) {
    return operator_->chooses() && !PenalizesRepetition(sampling);
  }
  return !OperationsOn(decoder_.device).in_host_memory() && IsGreedy(sampling);
}

int64_t DecodeSession::steps_ahead() const {
  return operator_ != nullptr ? operator_->steps_ahead() : kPlainStepsAhead;
}

std::vector<int64_t> DecodeSession::StepAndChoose(
    absl::Span<const kernels::SequenceTokens> sequences, const SamplingSettings& sampling,
    absl::Span<const float> units, int64_t steps) {
  WATTLE_CHECK(chooses_on_device(sampling) && steps >= 1 && steps <= steps_ahead(),
               "the device chooses, and not more than there is room for");
  Grow(sequences);
  for (const kernels::SequenceTokens& sequence : sequences) {
    lengths_[static_cast<size_t>(sequence.slot)] += steps - 1;
  }
  std::vector<int64_t> tokens(sequences.size() * static_cast<size_t>(steps));
  if (operator_ != nullptr) {
    operator_->RunAndChoose(sequences, sampling, units, absl::MakeSpan(tokens));
  } else {
    ChoosePlain(sequences, absl::MakeSpan(tokens));
  }
  return tokens;
}

void DecodeSession::ChoosePlain(absl::Span<const kernels::SequenceTokens> sequences,
                                absl::Span<int64_t> chosen) {
  const PassArena::Scope scope(arena_);
  std::vector<at::Tensor> tokens;  // int64 [1] each, on the decoder's device
  for (size_t i = 0; i < chosen.size(); ++i) {
    const kernels::SequenceTokens& sequence = sequences[i % sequences.size()];
    const at::Tensor logits =
        i < sequences.size()
            ? DecodeLogits(decoder_, sequence.tokens, *cache_, sequence.slot)
            : DecodeLogits(decoder_, tokens[i - sequences.size()], *cache_, sequence.slot);
    tokens.push_back(logits.argmax().view({1}));
  }
  const at::Tensor read = (tokens.size() == 1 ? tokens.front() : at::cat(tokens)).cpu();
  std::copy_n(read.data_ptr<int64_t>(), read.numel(), chosen.data());
}

int64_t DecodeSession::FeedGreedily(absl::Span<const int64_t> tokens, int64_t slot) {
  if (!chooses_on_device({})) {
    return GreedyToken(Feed(tokens, slot));
  }
  const kernels::SequenceTokens sequence{.slot = slot, .tokens = tokens};
  return StepAndChoose(absl::MakeConstSpan(&sequence, 1), {}, {}).front();
}

void DecodeSession::Clear(int64_t slot) {
  lengths_[static_cast<size_t>(slot)] = 0;
  if (operator_ != nullptr) {
    operator_->Clear(slot);
  } else {
    cache_->Clear(slot);
  }
}

}  // namespace wattle::engine
