// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/memory_estimate.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "models/adapters.h"
#include "models/tensors.h"
#include "proto/quantization_recipe.h"

namespace wattle::models {
namespace {

// libtorch 1.13, tokenizer, and a SQuAD file parsed and packed (Debian 12, x86-64): what is left of
// the runner's measured peak when the tensors below are taken off. Without a data set about 60 MiB
// are enough.
constexpr int64_t kRuntimeBytes = 170LL << 20;
constexpr int64_t kFloatBytes = 4;
// Rows of logits that the loss holds at once, and how many such buffers: logits, their gradient,
// one temporary.
constexpr int64_t kLossRows = 256;
constexpr int64_t kLossBuffers = 3;
// What malloc keeps beyond what is in use, as a share of the tensors that come and go in a step.
constexpr double kAllocatorShare = 0.05;

// Sizes of one forward pass through one layer.
struct Plan {
  const DecoderConfig& config;
  const LayerDescription& layer;
  int64_t batch;
  int64_t tokens;  // of a sequence

  [[nodiscard]] int64_t rows() const { return batch * tokens; }
  [[nodiscard]] int64_t stream_bytes() const { return rows() * config.width * kFloatBytes; }
  [[nodiscard]] int64_t heads_bytes() const {
    return rows() * layer.attention_width() * kFloatBytes;
  }
  [[nodiscard]] int64_t qkv_bytes() const { return rows() * layer.qkv_rows() * kFloatBytes; }
  // The MLP before and after its activation.
  [[nodiscard]] int64_t up_bytes() const { return rows() * layer.up_rows() * kFloatBytes; }
  [[nodiscard]] int64_t activated_bytes() const { return rows() * layer.mlp_width * kFloatBytes; }
  // Attention probabilities: [batch, heads, tokens, tokens].
  [[nodiscard]] int64_t probabilities_bytes() const {
    return batch * layer.heads * tokens * tokens * kFloatBytes;
  }
};

// Kept of one layer from forward to backward: its input, both norms' outputs, the stream between
// attention and MLP, query, key, value, the merged heads, the MLP before and after its activation,
// the probabilities, and mean and deviation of both norms; of inner and post norms their inputs.
int64_t SavedBytes(const Plan& plan) {
  const int64_t inner_norms =
      plan.layer.inner_norms ? plan.heads_bytes() + plan.activated_bytes() : 0;
  const int64_t post_norms = plan.layer.post_norms ? 2 * plan.stream_bytes() : 0;
  // Where one norm serves both there is no second one, and nothing between attention and MLP.
  const int64_t streams = plan.layer.residual == Residual::kParallelOneNorm ? 2
                          : plan.layer.residual == Residual::kParallel      ? 3
                                                                            : 4;
  return streams * plan.stream_bytes() + plan.qkv_bytes() + plan.heads_bytes() + plan.up_bytes() +
         plan.activated_bytes() + plan.probabilities_bytes() + 4 * plan.rows() * kFloatBytes +
         inner_norms + post_norms;
}

// At its highest inside one layer's backward: either in the MLP (gradients of both inner tensors,
// one temporary) or in attention (dropped probabilities, their gradient, that of the scores;
// gradients of query, key, value, fused and apart). The gradient of the stream, and a copy of it,
// are there all the time.
int64_t BackwardScratchBytes(const Plan& plan) {
  const int64_t mlp = 2 * plan.up_bytes() + plan.activated_bytes();
  const int64_t scores =
      plan.layer.attention_softcap > 0.0 ? 2 : 0;  // computed again, and a tangent
  const int64_t attention = (3 + scores) * plan.probabilities_bytes() + 2 * plan.qkv_bytes();
  return 2 * plan.stream_bytes() + std::max(mlp, attention);
}

// Inside one layer's forward: the stream, a norm's output, and the larger of attention and MLP.
int64_t ForwardScratchBytes(const Plan& plan) {
  const int64_t mlp = plan.up_bytes() + 2 * plan.activated_bytes();
  const int64_t attention =
      2 * plan.probabilities_bytes() + 2 * plan.qkv_bytes() + plan.heads_bytes();
  return 3 * plan.stream_bytes() + std::max(mlp, attention);
}

int64_t LogitsBytes(const DecoderConfig& config, int64_t rows) {
  return kLossBuffers * std::min(rows, kLossRows) * config.vocabulary * kFloatBytes;
}

// The format of a tensor under a recipe; FP32 for what recipes do not speak of.
v1::TensorFormat FormatIn(const v1::QuantizationRecipe& recipe, const DecoderConfig& config,
                          const ModelTensor& tensor) {
  const bool is_tokens = tensor.slot == Slot::kTokens;
  if (tensor.is_multiplied(config)) {
    return MatrixFormat(recipe, tensor.name, is_tokens || tensor.slot == Slot::kHead);
  }
  return is_tokens ? EmbeddingFormat(recipe) : EmbeddingFormat({});
}

// Every tensor in the form that the recipe gives it.
int64_t StoredWeightsBytes(const DecoderConfig& config, const v1::QuantizationRecipe& recipe) {
  double size = 0.0;
  for (const ModelTensor& tensor : ModelTensors(config)) {
    size += tensor.is_matrix() ? StoredBytes(FormatIn(recipe, config, tensor),
                                             static_cast<double>(tensor.shape[0]),
                                             static_cast<double>(tensor.shape[1]))
                               : static_cast<double>(tensor.element_count() * kFloatBytes);
  }
  return static_cast<int64_t>(size);
}

// The matrices that the recipe quantizes, in FP32 (worker/engine/train/rounded_weights.h).
int64_t RoundedMatricesBytes(const DecoderConfig& config, const v1::QuantizationRecipe& recipe) {
  int64_t size = 0;
  for (const ModelTensor& tensor : ModelTensors(config)) {
    const bool is_float =
        !tensor.is_matrix() || FormatName(FormatIn(recipe, config, tensor)) == "fp32";
    size += is_float ? 0 : tensor.element_count() * kFloatBytes;
  }
  return size;
}

int64_t LargestTensorBytes(const DecoderConfig& config) {
  int64_t largest = 0;
  for (const ModelTensor& tensor : ModelTensors(config)) {
    largest = std::max(largest, tensor.element_count() * kFloatBytes);
  }
  return largest;
}

// The token embedding in FP32.
int64_t TokenTableBytes(const DecoderConfig& config) {
  return config.vocabulary * config.width * kFloatBytes;
}

// The matrices of the largest layer in FP32.
int64_t LayerBytes(const DecoderConfig& config) {
  int64_t largest = 0;
  for (const LayerDescription& layer : config.layers) {
    const int64_t elements = config.width * (layer.qkv_rows() + layer.attention_width() +
                                             layer.up_rows() + layer.mlp_width);
    largest = std::max(largest, elements * kFloatBytes);
  }
  return largest;
}

// Sums of products of the inputs of a layer's four matrices (doubles), and the factors of the
// largest of them: three squares of doubles and one of floats (kernels/gptq.cc).
int64_t StatisticsBytes(const DecoderConfig& config) {
  constexpr int64_t kDoubleBytes = 8;
  int64_t largest = 0;
  for (const LayerDescription& layer : config.layers) {
    const int64_t widest =
        std::max({config.width, layer.attention_width(), int64_t{layer.mlp_width}});
    const int64_t sums = 2 * config.width * config.width +
                         layer.attention_width() * layer.attention_width() +
                         layer.mlp_width * layer.mlp_width;
    largest =
        std::max(largest, sums * kDoubleBytes + widest * widest * (2 * kDoubleBytes + kFloatBytes));
  }
  return largest;
}

int64_t WithAllocatorShare(int64_t bytes) {
  return bytes + static_cast<int64_t>(static_cast<double>(bytes) * kAllocatorShare);
}

// The largest of what each layer takes.
template <typename Bytes>
int64_t LargestOfLayers(const DecoderConfig& config, int64_t batch, int64_t tokens, Bytes bytes) {
  int64_t largest = 0;
  for (const LayerDescription& layer : config.layers) {
    largest = std::max(largest,
                       bytes({.config = config, .layer = layer, .batch = batch, .tokens = tokens}));
  }
  return largest;
}

// Of every layer together; beside the layers the embedding's output, the final norm's output and
// its gradient.
int64_t AllSavedBytes(const DecoderConfig& config, int64_t batch, int64_t tokens) {
  int64_t saved = 3 * batch * tokens * config.width * kFloatBytes;
  for (const LayerDescription& layer : config.layers) {
    saved += SavedBytes({.config = config, .layer = layer, .batch = batch, .tokens = tokens});
  }
  return saved;
}

// With checkpointing: the input of every block, and all of the largest block, which is computed
// again while its gradient is.
int64_t CheckpointedBytes(const DecoderConfig& config, int64_t batch, int64_t tokens) {
  return (3 + config.layer_count()) * batch * tokens * config.width * kFloatBytes +
         LargestOfLayers(config, batch, tokens, SavedBytes);
}

// The keys and values of one sequence. In int8 each position of a head has an FP32 scale.
int64_t CacheBytes(const DecoderConfig& config, const v1::QuantizationRecipe& recipe,
                   int64_t tokens) {
  const bool int8 = KeysAndValuesAreInt8(recipe);
  int64_t size = 0;
  for (const LayerDescription& layer : config.layers) {
    const int64_t position = int8 ? layer.head_size + kFloatBytes : layer.head_size * kFloatBytes;
    size += 2 * tokens * layer.kv_heads * position;
  }
  return size;
}

// What fine-tuning holds of weights.
struct TrainedBytes {
  int64_t frozen_bytes = 0;  // no gradient, no moments
  int64_t trained_bytes = 0;
};

}  // namespace

// Against VmHWM of the runner, one thread: full fine-tuning of gpt2-30m with batch 4 x 256 +6 %, 2
// x 512 +9 %, 8 x 512 +2 %; of GPT-2 Small with 1 x 128 and 2 x 256 -0.5 %; evaluation of gpt2-30m
// with 8 x 512 +8 %. Generation and quantization need clearly less than said.
absl::StatusOr<MemoryEstimate> EstimateMemory(const DecoderConfig& config,
                                              const MemoryWorkload& workload) {
  const int64_t tokens =
      workload.sequence_tokens == 0 ? config.max_positions : workload.sequence_tokens;
  if (workload.batch < 1 || workload.batch > (1 << 20)) {
    return absl::InvalidArgumentError(
        absl::StrCat("batch_size: ", workload.batch, " is not between 1 and ", 1 << 20));
  }
  if (tokens < 1 || tokens > config.max_positions) {
    return absl::InvalidArgumentError(absl::StrCat("sequence_length: ", tokens,
                                                   " is not between 1 and the model's context of ",
                                                   config.max_positions, " tokens"));
  }
  const int64_t rows = workload.batch * tokens;
  const int64_t float_weights = config.parameter_count() * kFloatBytes;
  const int64_t stored_weights = StoredWeightsBytes(config, workload.recipe);
  // Tensors are read, and quantized, one after the other.
  const int64_t loading = LargestTensorBytes(config);
  TrainedBytes trained{.trained_bytes = float_weights};
  if (workload.adapter_rank > 0) {
    WATTLE_ASSIGN_OR_RETURN(
        const std::vector<AdapterModule> modules,
        AdapterModules(config, workload.adapter_targets, workload.adapter_rank));
    trained = {.frozen_bytes = stored_weights,
               .trained_bytes = AdapterParameterCount(modules) * kFloatBytes};
  }
  MemoryEstimate estimate;
  estimate.runtime_bytes = kRuntimeBytes;
  switch (workload.task) {
    case MemoryTask::kFinetune:
      estimate.weights_bytes =
          trained.frozen_bytes + trained.trained_bytes +
          (workload.adapter_rank > 0 ? 0 : RoundedMatricesBytes(config, workload.recipe));
      estimate.gradients_bytes = trained.trained_bytes;
      estimate.optimizer_bytes = 2 * trained.trained_bytes;
      estimate.activations_bytes = WithAllocatorShare(
          workload.activation_checkpointing ? CheckpointedBytes(config, workload.batch, tokens)
                                            : AllSavedBytes(config, workload.batch, tokens));
      estimate.logits_bytes = LogitsBytes(config, rows);
      estimate.scratch_bytes =
          WithAllocatorShare(LargestOfLayers(config, workload.batch, tokens, BackwardScratchBytes));
      break;
    case MemoryTask::kEvaluate:
      estimate.weights_bytes = stored_weights + (workload.beside_reference ? float_weights : 0);
      estimate.logits_bytes = (workload.beside_reference ? 2 : 1) * LogitsBytes(config, rows);
      estimate.scratch_bytes = std::max(
          loading,
          WithAllocatorShare(LargestOfLayers(config, workload.batch, tokens, ForwardScratchBytes)));
      break;
    case MemoryTask::kGenerate:
      estimate.weights_bytes = stored_weights;
      estimate.activations_bytes = workload.batch * CacheBytes(config, workload.recipe, tokens);
      estimate.logits_bytes = kLossBuffers * workload.batch * config.vocabulary * kFloatBytes;
      // The prompt goes through as one sequence.
      estimate.scratch_bytes = std::max(
          loading, WithAllocatorShare(LargestOfLayers(config, 1, tokens, ForwardScratchBytes)));
      break;
    case MemoryTask::kQuantize:
      estimate.weights_bytes = stored_weights;
      estimate.scratch_bytes = 2 * loading;
      break;
    case MemoryTask::kQuantizeAdaptive:
    case MemoryTask::kQuantizeCompensated: {
      const int64_t calibration =
          workload.calibration_tokens == 0 ? kCalibrationTokens : workload.calibration_tokens;
      const int64_t window = std::min(config.max_positions, kCalibrationWindowTokens);
      estimate.weights_bytes = stored_weights + TokenTableBytes(config);
      if (workload.task == MemoryTask::kQuantizeAdaptive) {
        // The recipe is not known yet: beside the int8 model stand those in int4, and pieces of the
        // logits of parent and model.
        estimate.weights_bytes = StoredWeightsBytes(config, *RecipeOfIdentity(kInt8Quantization)) +
                                 StoredWeightsBytes(config, *RecipeOfIdentity("int4-g64")) +
                                 StoredWeightsBytes(config, *RecipeOfIdentity("int4-g32")) +
                                 TokenTableBytes(config);
        estimate.logits_bytes = 2 * LogitsBytes(config, window);
      }
      // The stream of every calibration token, and one window's way through a layer.
      estimate.activations_bytes = calibration * config.width * kFloatBytes;
      estimate.scratch_bytes =
          std::max(LayerBytes(config) + StatisticsBytes(config) +
                       WithAllocatorShare(LargestOfLayers(config, 1, window, SavedBytes)),
                   2 * loading);
      break;
    }
  }
  return estimate;
}

}  // namespace wattle::models
