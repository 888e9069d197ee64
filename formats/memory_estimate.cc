// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/memory_estimate.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace wattle::formats {
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

// Sizes of one forward pass.
struct Plan {
  const DecoderConfig& config;
  int64_t batch;
  int64_t tokens;  // of a sequence

  [[nodiscard]] int64_t rows() const { return batch * tokens; }
  [[nodiscard]] int64_t stream_bytes() const { return rows() * config.width * kFloatBytes; }
  [[nodiscard]] int64_t mlp_bytes() const { return rows() * config.mlp_width * kFloatBytes; }
  // Attention probabilities of one block: [batch, heads, tokens, tokens].
  [[nodiscard]] int64_t probabilities_bytes() const {
    return batch * config.heads * tokens * tokens * kFloatBytes;
  }
};

// Kept from forward to backward. Of each block: its input, both norms' outputs, query, key, value,
// the merged heads and the stream between attention and MLP (8 streams), the MLP before and after
// its activation, the probabilities, and mean and deviation of both norms. Beside the blocks: the
// embedding's output, the final norm's output and its gradient.
int64_t SavedBytes(const Plan& plan) {
  const int64_t block = 8 * plan.stream_bytes() + 2 * plan.mlp_bytes() +
                        plan.probabilities_bytes() + 4 * plan.rows() * kFloatBytes;
  return plan.config.layers * block + 3 * plan.stream_bytes();
}

// At its highest inside one block's backward: either in the MLP (gradients of both inner tensors,
// one temporary) or in attention (dropped probabilities, their gradient, that of the scores;
// gradients of query, key, value, fused and apart). The gradient of the stream, and a copy of it,
// are there all the time.
int64_t BackwardScratchBytes(const Plan& plan) {
  const int64_t mlp = 3 * plan.mlp_bytes();
  const int64_t attention = 3 * plan.probabilities_bytes() + 6 * plan.stream_bytes();
  return 2 * plan.stream_bytes() + std::max(mlp, attention);
}

// Inside one block's forward: the stream, a norm's output, and the larger of attention and MLP.
int64_t ForwardScratchBytes(const Plan& plan) {
  const int64_t mlp = 3 * plan.mlp_bytes();
  const int64_t attention = 2 * plan.probabilities_bytes() + 7 * plan.stream_bytes();
  return 3 * plan.stream_bytes() + std::max(mlp, attention);
}

int64_t LogitsBytes(const Plan& plan) {
  return kLossBuffers * std::min(plan.rows(), kLossRows) * plan.config.vocabulary * kFloatBytes;
}

// int8 codes and one FP32 scale per output channel for linear layers, FP32 for the rest.
int64_t Int8WeightsBytes(const DecoderConfig& config) {
  int64_t size = 0;
  for (const TensorDescription& tensor : CheckpointTensors(config)) {
    if (IsLinearWeight(config, tensor.name)) {
      size += tensor.element_count() + std::max(tensor.shape[0], tensor.shape[1]) * kFloatBytes;
    } else {
      size += tensor.element_count() * kFloatBytes;
    }
  }
  return size;
}

int64_t LargestTensorBytes(const DecoderConfig& config) {
  int64_t largest = 0;
  for (const TensorDescription& tensor : CheckpointTensors(config)) {
    largest = std::max(largest, tensor.size_bytes());
  }
  return largest;
}

int64_t WithAllocatorShare(int64_t bytes) {
  return bytes + static_cast<int64_t>(static_cast<double>(bytes) * kAllocatorShare);
}

// The keys and values of one sequence; generation goes through prompts one after the other.
int64_t CacheBytes(const Plan& plan) {
  return 2 * plan.config.layers * plan.tokens * plan.config.width * kFloatBytes;
}

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
  const Plan plan = {.config = config, .batch = workload.batch, .tokens = tokens};
  const int64_t float_weights = config.parameter_count() * kFloatBytes;
  MemoryEstimate estimate;
  estimate.runtime_bytes = kRuntimeBytes;
  estimate.weights_bytes = workload.int8_weights ? Int8WeightsBytes(config) : float_weights;
  // int8 weights are made from FP32 ones, which are there until all are made.
  const int64_t loading = workload.int8_weights ? float_weights : LargestTensorBytes(config);
  switch (workload.task) {
    case MemoryTask::kFinetune:
      estimate.weights_bytes = float_weights;
      estimate.gradients_bytes = float_weights;
      estimate.optimizer_bytes = 2 * float_weights;
      estimate.activations_bytes = WithAllocatorShare(SavedBytes(plan));
      estimate.logits_bytes = LogitsBytes(plan);
      estimate.scratch_bytes = WithAllocatorShare(BackwardScratchBytes(plan));
      break;
    case MemoryTask::kEvaluate:
      estimate.logits_bytes = LogitsBytes(plan);
      estimate.scratch_bytes = std::max(loading, WithAllocatorShare(ForwardScratchBytes(plan)));
      break;
    case MemoryTask::kGenerate:
      estimate.activations_bytes = CacheBytes(plan);
      estimate.logits_bytes = kLossBuffers * config.vocabulary * kFloatBytes;
      // The prompt goes through as one sequence.
      estimate.scratch_bytes = std::max(
          loading, WithAllocatorShare(
                       ForwardScratchBytes({.config = config, .batch = 1, .tokens = tokens})));
      break;
    case MemoryTask::kQuantize:
      estimate.weights_bytes = float_weights;
      estimate.scratch_bytes = Int8WeightsBytes(config) + LargestTensorBytes(config);
      break;
  }
  return estimate;
}

}  // namespace wattle::formats
