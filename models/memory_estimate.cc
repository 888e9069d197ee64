// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/memory_estimate.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "models/adapters.h"
#include "models/caching_allocator.h"
#include "models/loss_rows.h"
#include "models/model_part.h"
#include "models/optimizer_state.h"
#include "models/planned_decode_step.h"
#include "models/stored_weights.h"
#include "models/tensor_plan.h"
#include "models/tensors.h"
#include "proto/quantization_recipe.h"

namespace wattle::models {
namespace {

// libtorch 1.13 and the runner with a small model (Debian 12, x86-64), including pages of
// libraries.
constexpr int64_t kRuntimeBytes = 173LL << 20;

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

// OpenBLAS's copy for the largest product of a training step: a product with k terms copies the
// whole second operand, k rows at a time, into a buffer that stays allocated. The gradient of a
// matrix is such a product, with a column for each output and a term for each token. Processors
// with AMX take less, because our kernels multiply there.
int64_t PackedOperandBytes(const DecoderConfig& config, const MemoryWorkload& workload,
                           int64_t tokens) {
  constexpr int64_t kTerms = 384;  // approximately SGEMM_DEFAULT_Q of most processors
  const int64_t rows = workload.batch * tokens;
  const int64_t loss_rows =
      std::min(rows, LossRowsOfBackward(config.vocabulary, workload.activation_checkpointing));
  int64_t outputs = 0;
  for (const LayerDescription& layer : config.layers) {
    outputs = std::max({outputs, layer.qkv_rows(), layer.up_rows()});
  }
  return std::max(std::min(kTerms, rows) * outputs,
                  std::min(kTerms, loss_rows) * config.vocabulary) *
         kFloatBytes;
}

// The largest matrix, rounded to two bytes for its product.
int64_t LargestRoundedMatrixBytes(const DecoderConfig& config) {
  constexpr int64_t kRoundedBytes = 2;
  int64_t largest = 0;
  for (const ModelTensor& tensor : ModelTensors(config)) {
    largest = std::max(largest, tensor.is_matrix() ? tensor.element_count() * kRoundedBytes : 0);
  }
  return largest;
}

// Packing buffers of products with rounded factors (worker/engine/kernels/float_matmul.h) on four
// threads: for each a block of 3 MiB and strips of 768 KiB, in whole huge pages.
constexpr int64_t kRoundedFactorsBytes = 19LL << 20;

// Tables of positions that are not in the files; layers with equal angles share a table.
int64_t PositionTableBytes(const DecoderConfig& config) {
  int64_t size =
      config.sinusoidal_offset.has_value() ? config.max_positions * config.width * kFloatBytes : 0;
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const std::optional<Rotary>& rotary = config.layers[i].rotary;
    const bool same = i > 0 && config.layers[i - 1].rotary == rotary;
    if (rotary.has_value() && !same) {
      size += config.max_positions * rotary->dimensions * kFloatBytes;
    }
  }
  return size;
}

// Products with quantized weights round their inputs to one byte per number, and two floats per
// group, of 32 columns if the weights have no groups (worker/engine/kernels/matmul.h).
int64_t RoundedInputBytes(const DecoderConfig& config, const v1::QuantizationRecipe& recipe,
                          int64_t rows) {
  bool is_quantized = false;
  int64_t group = 32;
  for (const ModelTensor& tensor : ModelTensors(config)) {
    const v1::TensorFormat format = FormatIn(recipe, config, tensor);
    if (tensor.is_multiplied(config) && FormatName(format) != "fp32") {
      is_quantized = true;
      group = format.group_size() > 0 ? std::min<int64_t>(group, format.group_size()) : group;
    }
  }
  int64_t widest = config.width;
  for (const LayerDescription& layer : config.layers) {
    widest = std::max({widest, layer.attention_width(), layer.mlp_width});
  }
  return is_quantized ? rows * (widest + widest / group * 2 * kFloatBytes) : 0;
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
// largest of the four: three squares of doubles and one of floats (kernels/gptq.cc).
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

// The trained tensors: adapters, the last layers, or every weight.
std::vector<ModelTensor> TrainedTensors(const DecoderConfig& config, const PassDescription& pass) {
  std::vector<ModelTensor> trained;
  if (pass.adapters.empty()) {
    for (ModelTensor& tensor : ModelTensors(config)) {
      if (pass.trained_layers == 0 || TrainedWithLastLayers(config, pass.trained_layers, tensor)) {
        trained.push_back(std::move(tensor));
      }
    }
  }
  for (const AdapterModule& adapter : pass.adapters) {
    trained.push_back(adapter.a);
    trained.push_back(adapter.b);
  }
  return trained;
}

// Bytes of the values, or of the gradients.
int64_t FloatBytes(const std::vector<ModelTensor>& tensors) {
  int64_t elements = 0;
  for (const ModelTensor& tensor : tensors) {
    elements += tensor.element_count();
  }
  return elements * kFloatBytes;
}

// The moved weights that training by forward passes holds at the same time: those of the largest
// layer, and all outside the layers except token table and head
// (worker/engine/models/perturbed_weights.h).
int64_t PerturbedBytes(const DecoderConfig& config, int64_t trained_layers) {
  std::vector<int64_t> of_layers(config.layers.size(), 0);
  int64_t outside = 0;
  for (const ModelTensor& tensor : ModelTensors(config)) {
    const bool in_pieces = tensor.slot == Slot::kTokens ||
                           (tensor.slot == Slot::kHead && tensor.part == Part::kWeight);
    const bool moves = trained_layers == 0 || TrainedWithLastLayers(config, trained_layers, tensor);
    if (in_pieces || !moves) {
      continue;
    }
    (tensor.layer < 0 ? outside : of_layers[static_cast<size_t>(tensor.layer)]) +=
        tensor.element_count() * kFloatBytes;
  }
  return outside + *std::max_element(of_layers.begin(), of_layers.end());
}

// The workload with its sizes resolved and checked.
struct Sized {
  const DecoderConfig& config;
  const MemoryWorkload& workload;
  int64_t tokens = 0;
};

// Memory of a pass, or of a decoding session: the plan's region, and the peak of its small tensors.
// On a GPU the region excludes the small tensors.
struct PassMemory {
  int64_t arena_bytes = 0;
  int64_t small_bytes = 0;
};

PassMemory MemoryOf(const TensorPlan& plan) {
  return {.arena_bytes = plan.arena_bytes, .small_bytes = SmallTensorsPeakBytes(plan)};
}

PassMemory LargerOf(const PassMemory& a, const PassMemory& b) {
  return {.arena_bytes = std::max(a.arena_bytes, b.arena_bytes),
          .small_bytes = std::max(a.small_bytes, b.small_bytes)};
}

// Parts of the estimate that only a job on a GPU needs.
struct GpuParts {
  std::vector<int64_t> weights = {};  // blocks of the GPU's memory
  PassMemory pass = {};
  int64_t rounded_bytes = 0;  // on the GPU: copies of a product's factors
  // In the host's memory: while the model is read, while a result is written, and the questions.
  int64_t staging_bytes = 0;
  int64_t files_bytes = 0;
  int64_t questions_bytes = 0;
};

PassMemory MemoryOfPass(const Sized& sized, PassDescription pass) {
  pass.batch = sized.workload.batch;
  pass.tokens = sized.tokens;
  pass.recipe = sized.workload.recipe;
  return MemoryOf(PlanPass(sized.config, pass));
}

// The larger of a training pass and a pass over held-out data. The latter keeps nothing for a
// backward pass, but may have longer examples, FP32 factors and two sets of logits.
PassMemory LargestPass(const Sized& sized, const PassDescription& pass) {
  const PassMemory largest = MemoryOfPass(sized, pass);
  if (sized.workload.heldout_tokens <= 0) {
    return largest;
  }
  PassDescription loss = pass;
  loss.kind = PassKind::kEvaluate;
  loss.rounded_factors = false;
  return LargerOf(
      largest, MemoryOfPass({sized.config, sized.workload, sized.workload.heldout_tokens}, loss));
}

// A decoding session: keys and values, and apart from them the tensor plan and the rounded inputs
// of products.
struct DecodeMemory {
  int64_t cache_bytes = 0;
  int64_t other_bytes = 0;
  int64_t small_bytes = 0;  // PassMemory::small_bytes
};

DecodeMemory DecodeBytes(const Sized& sized, int64_t slots) {
  constexpr int kThreads = 4;  // each needs scratch memory
  const auto& [config, workload, tokens] = sized;
  const PassMemory session = MemoryOf(PlanPass(config, {.kind = PassKind::kDecode,
                                                        .batch = slots,
                                                        .tokens = tokens,
                                                        .recipe = workload.recipe,
                                                        .threads = kThreads}));
  const int64_t cache = KeyValueBytes(config, workload.recipe, slots, tokens);
  const int64_t rounded =
      DecodeOperatorServes(config) ? 0 : RoundedInputBytes(config, workload.recipe, tokens);
  return {.cache_bytes = cache,
          .other_bytes = session.arena_bytes - cache + rounded,
          .small_bytes = session.small_bytes};
}

// Memory in addition to the weights, from the first step on.
void EstimateTrained(const Sized& sized, const std::vector<ModelTensor>& trained,
                     MemoryEstimate& estimate) {
  const auto& [config, workload, tokens] = sized;
  if (workload.forward_only) {
    estimate.perturbed_bytes = workload.adapter_rank > 0
                                   ? FloatBytes(trained)
                                   : PerturbedBytes(config, workload.trained_layers);
    return;
  }
  estimate.gradients_bytes =
      workload.update_in_backward
          ? SharedGradientElements(trained, config.tied_embeddings) * kFloatBytes
          : FloatBytes(trained);
  for (const ModelTensor& tensor : trained) {
    estimate.optimizer_bytes += OptimizerBytes(workload.optimizer, tensor.shape);
  }
}

absl::Status EstimateFinetune(const Sized& sized, MemoryEstimate& estimate, GpuParts& gpu) {
  const auto& [config, workload, tokens] = sized;
  PassDescription pass{.kind = workload.forward_only ? PassKind::kEvaluate : PassKind::kTrain,
                       .activation_checkpointing = workload.activation_checkpointing,
                       .adapter_dropout = workload.adapter_dropout,
                       .trained_layers = workload.trained_layers,
                       .bf16_matrices = workload.bf16_matrices,
                       .rounded_factors = workload.rounded_factors};
  if (workload.trained_layers > config.layer_count()) {
    return absl::InvalidArgumentError(absl::StrCat("last_layers: ", workload.trained_layers,
                                                   " is more than the model's ",
                                                   config.layer_count(), " layers"));
  }
  const v1::QuantizationRecipe float_recipe = *RecipeOfIdentity(kNoQuantization);
  if (workload.adapter_rank > 0) {
    WATTLE_ASSIGN_OR_RETURN(
        pass.adapters, AdapterModules(config, workload.adapter_targets, workload.adapter_rank));
  }
  const int64_t rounded_factors = workload.rounded_factors ? kRoundedFactorsBytes : 0;
  const std::vector<ModelTensor> trained = TrainedTensors(config, pass);
  EstimateTrained(sized, trained, estimate);
  const v1::QuantizationRecipe& loaded = workload.adapter_rank > 0 ? workload.recipe : float_recipe;
  const int64_t saved = StoredWeightsBytes(config, loaded) -
                        StoredWeightsBytes(config, loaded, workload.bf16_matrices);
  estimate.weights_bytes -= saved;
  gpu.weights = WeightBlocks(config, loaded, workload.bf16_matrices);
  gpu.rounded_bytes = workload.rounded_factors ? LargestRoundedMatrixBytes(config) : 0;
  if (workload.adapter_rank > 0) {
    estimate.weights_bytes += StoredWeightsBytes(config, loaded) + FloatBytes(trained);
    estimate.loading_bytes = LoadingBytes(config, loaded, /*double_quantized=*/true) - saved;
    gpu.pass = LargestPass(sized, pass);
    estimate.pass_bytes = gpu.pass.arena_bytes + rounded_factors;
    estimate.files_bytes = FloatBytes(trained);
    gpu.weights.push_back(FloatBytes(trained));
    gpu.staging_bytes = StagingBytes(config, loaded, /*double_quantized=*/true);
    gpu.files_bytes = 2 * FloatBytes(trained);
    return absl::OkStatus();
  }
  estimate.weights_bytes +=
      config.parameter_count() * kFloatBytes + RoundedMatricesBytes(config, workload.recipe);
  estimate.loading_bytes = LoadingBytes(config, loaded) - saved;
  MemoryWorkload in_floats = workload;
  in_floats.recipe = float_recipe;  // for the pass: rounded weights are floats
  gpu.pass = LargestPass({config, in_floats, tokens}, pass);
  estimate.pass_bytes = gpu.pass.arena_bytes +
                        (workload.forward_only ? 0 : PackedOperandBytes(config, workload, tokens)) +
                        rounded_factors;
  estimate.files_bytes = std::max(WritingBytes(config), LargestPartBytes(trained));
  gpu.weights.push_back(RoundedMatricesBytes(config, workload.recipe));
  gpu.staging_bytes = StagingBytes(config, loaded);
  // A result has all tensors; each is copied to the host as a whole.
  gpu.files_bytes = LargestPartBytes(ModelTensors(config)) + estimate.files_bytes;
  return absl::OkStatus();
}

void EstimateEvaluate(const Sized& sized, MemoryEstimate& estimate, GpuParts& gpu) {
  const auto& [config, workload, tokens] = sized;
  estimate.weights_bytes += StoredWeightsBytes(config, workload.recipe);
  estimate.loading_bytes = LoadingBytes(config, workload.recipe);
  gpu.weights = WeightBlocks(config, workload.recipe);
  gpu.staging_bytes = StagingBytes(config, workload.recipe);
  gpu.pass = MemoryOfPass(
      sized, {.kind = workload.beside_reference ? PassKind::kCompare : PassKind::kEvaluate});
  estimate.pass_bytes =
      gpu.pass.arena_bytes +
      std::max(RoundedInputBytes(config, workload.recipe, workload.batch * tokens),
               RoundedInputBytes(config, workload.reference_recipe, workload.batch * tokens));
  if (workload.answers) {
    const DecodeMemory decode = DecodeBytes(sized, 1);
    const int64_t session = decode.cache_bytes + decode.other_bytes;
    estimate.pass_bytes = std::max({estimate.pass_bytes, workload.reading_questions_bytes,
                                    workload.questions_bytes + session});
    gpu.pass = LargerOf(gpu.pass, {.arena_bytes = session, .small_bytes = decode.small_bytes});
    gpu.questions_bytes = std::max(workload.reading_questions_bytes, workload.questions_bytes);
  }
  if (workload.beside_reference) {
    // The reference is read while the model is in memory.
    estimate.loading_bytes =
        std::max(estimate.loading_bytes,
                 estimate.weights_bytes + LoadingBytes(config, workload.reference_recipe));
    estimate.weights_bytes += StoredWeightsBytes(config, workload.reference_recipe);
    const std::vector<int64_t> reference = WeightBlocks(config, workload.reference_recipe);
    gpu.weights.insert(gpu.weights.end(), reference.begin(), reference.end());
    gpu.staging_bytes =
        std::max(gpu.staging_bytes, StagingBytes(config, workload.reference_recipe));
  }
}

void EstimateCalibration(const Sized& sized, MemoryEstimate& estimate) {
  const auto& [config, workload, tokens] = sized;
  const int64_t calibration =
      workload.calibration_tokens == 0 ? kCalibrationTokens : workload.calibration_tokens;
  const int64_t window = std::min(config.max_positions, kCalibrationWindowTokens);
  int64_t logits = 0;
  estimate.weights_bytes += StoredWeightsBytes(config, workload.recipe) + TokenTableBytes(config);
  if (workload.task == MemoryTask::kQuantizeAdaptive) {
    // The recipe is not decided yet: besides the int8 model, estimate those in int4, and pieces of
    // the logits of parent and model.
    estimate.weights_bytes = StoredWeightsBytes(config, *RecipeOfIdentity(kInt8Quantization)) +
                             StoredWeightsBytes(config, *RecipeOfIdentity("int4-g128")) +
                             StoredWeightsBytes(config, *RecipeOfIdentity("int4-g64")) +
                             StoredWeightsBytes(config, *RecipeOfIdentity("int4-g32")) +
                             TokenTableBytes(config);
    constexpr int64_t kLogits = 6;  // logits, their logarithms and a difference, for both models
    logits = kLogits * std::min(window, kLossRows) * config.vocabulary * kFloatBytes;
  }
  // The stream of every calibration token, and one window's pass through a layer.
  estimate.cache_bytes = calibration * config.width * kFloatBytes;
  const int64_t block =
      PlanPass(config, {.kind = PassKind::kCalibrate, .batch = 1, .tokens = window}).arena_bytes;
  estimate.pass_bytes = logits + std::max(LayerBytes(config) + StatisticsBytes(config) + block,
                                          2 * LargestPartBytes(ModelTensors(config)));
}

// Tensors as on the cores. The extra memory of the cores' kernels is not needed on a GPU, and that
// of libtorch's kernels there is measured (scheduler/place/rules/memory_rule.cc).
void EstimateOnGpu(GpuParts gpu, MemoryEstimate& estimate) {
  std::vector<int64_t> blocks = std::move(gpu.weights);
  // The pass's room is allocated as one block (worker/engine/device/device.h, MakeRoom).
  blocks.insert(blocks.end(),
                {estimate.gradients_bytes, estimate.optimizer_bytes, estimate.perturbed_bytes,
                 estimate.cache_bytes, gpu.pass.arena_bytes, gpu.rounded_bytes});
  for (int64_t left = gpu.pass.small_bytes; left > 0; left -= kSmallBlockBytes) {
    blocks.push_back(std::min(left, kSmallBlockBytes));
  }
  estimate.gpu_bytes = CachingAllocatorBytes(blocks);
  estimate.beside_gpu_bytes =
      estimate.runtime_bytes +
      std::max(estimate.reading_bytes,
               estimate.data_bytes +
                   std::max({gpu.staging_bytes, gpu.files_bytes, gpu.questions_bytes}));
}

}  // namespace

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
  if (workload.heldout_tokens > config.max_positions) {
    return absl::InvalidArgumentError(
        absl::StrCat("heldout_data: ", workload.heldout_tokens,
                     " tokens of an example exceed the model's context of ", config.max_positions));
  }
  const Sized sized{config, workload, tokens};
  MemoryEstimate estimate;
  GpuParts gpu;
  estimate.runtime_bytes = kRuntimeBytes;
  estimate.data_bytes = workload.data_bytes;
  estimate.reading_bytes = workload.reading_bytes;
  estimate.weights_bytes = PositionTableBytes(config);
  switch (workload.task) {
    case MemoryTask::kFinetune:
      WATTLE_RETURN_IF_ERROR(EstimateFinetune(sized, estimate, gpu));
      break;
    case MemoryTask::kEvaluate:
      EstimateEvaluate(sized, estimate, gpu);
      break;
    case MemoryTask::kGenerate: {
      estimate.weights_bytes += StoredWeightsBytes(config, workload.recipe);
      estimate.loading_bytes = LoadingBytes(config, workload.recipe);
      const DecodeMemory decode = DecodeBytes(sized, workload.batch);
      estimate.cache_bytes = decode.cache_bytes;
      estimate.pass_bytes = decode.other_bytes;
      gpu.weights = WeightBlocks(config, workload.recipe);
      gpu.staging_bytes = StagingBytes(config, workload.recipe);
      gpu.pass = {.arena_bytes = decode.other_bytes, .small_bytes = decode.small_bytes};
      break;
    }
    case MemoryTask::kQuantize:
      estimate.weights_bytes += StoredWeightsBytes(config, workload.recipe);
      estimate.loading_bytes = LoadingBytes(config, workload.recipe);
      gpu.weights = WeightBlocks(config, workload.recipe);
      gpu.staging_bytes = StagingBytes(config, workload.recipe);
      gpu.files_bytes = StoredWeightsBytes(config, workload.recipe);  // the host gets all at once
      break;
    case MemoryTask::kQuantizeAdaptive:
    case MemoryTask::kQuantizeCompensated:
      EstimateCalibration(sized, estimate);
      // Calibration runs on the cores even in a job on the GPU (worker/engine/quant/quantize.cc).
      estimate.beside_gpu_bytes = estimate.total_bytes();
      return estimate;
  }
  gpu.weights.push_back(PositionTableBytes(config));
  EstimateOnGpu(std::move(gpu), estimate);
  return estimate;
}

}  // namespace wattle::models
