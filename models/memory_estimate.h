// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Peak memory of a runner process, computed from the tensors that the engine holds (not a fit), so
// that a job which does not fit is refused before it starts. The parts are those of worker/engine:
// an explicit backward pass that keeps every activation of every block (with checkpointing: of one
// block, and the inputs of the others), attention probabilities included, and logits of a few
// hundred rows at a time. Pages of a mapped weights file are not counted: the kernel takes them
// back when memory is short. Pure; thread-safe.
#ifndef WATTLE_MODELS_MEMORY_ESTIMATE_H_
#define WATTLE_MODELS_MEMORY_ESTIMATE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "models/decoder_config.h"
#include "wattle/v1/quantization.pb.h"

namespace wattle::models {

enum class MemoryTask {
  kFinetune,  // FP32, AdamW, every parameter, or adapters
  kGenerate,  // `batch` prompts at once: KV caches of full sequences, logits of one position each
  kEvaluate,  // forward over whole sequences
  kQuantize,  // FP32 weights read, one matrix after the other, the quantized ones kept
  kQuantizeCompensated,  // the same with calibration: one layer in FP32, statistics of its inputs
  kQuantizeAdaptive,     // the search for bits by matrix: the int8 and the int4 models at once
};

// What compensated rounding reads at once, and at most where a job does not say how much
// (worker/engine/quant/calibrate.h).
inline constexpr int64_t kCalibrationTokens = 16384;
inline constexpr int64_t kCalibrationWindowTokens = 512;

struct MemoryWorkload {
  MemoryTask task = MemoryTask::kFinetune;
  int64_t batch = 1;  // sequences at once (of one micro-batch)
  int64_t sequence_tokens =
      0;  // longest sequence; 0: the model's max_positions. Generation: prompt + new tokens
  int64_t calibration_tokens = 0;  // of kQuantizeCompensated; 0: kCalibrationTokens
  bool beside_reference = false;   // of kEvaluate: a second model, FP32 at most, of the same shape
  // kFinetune: more than 0: adapters of this rank are trained beside weights in the form of
  // `recipe`.
  int64_t adapter_rank = 0;
  std::vector<std::string> adapter_targets = {};  // models/adapters.h; empty: every linear layer
  bool activation_checkpointing = false;          // of kFinetune: a block keeps its input alone
  // Generate, evaluate, adapters: in which form the weights are held. Quantize: the form of the
  // result.
  v1::QuantizationRecipe recipe = {};
};

struct MemoryEstimate {
  int64_t runtime_bytes = 0;  // process with libtorch loaded, no model
  int64_t weights_bytes = 0;
  int64_t gradients_bytes = 0;
  int64_t optimizer_bytes = 0;    // both AdamW moments
  int64_t activations_bytes = 0;  // kept from forward to backward, or the KV cache
  int64_t logits_bytes = 0;       // and their gradient
  int64_t scratch_bytes =
      0;  // the largest temporary: loading, backward of a block, writing a result

  [[nodiscard]] int64_t total_bytes() const {
    return runtime_bytes + weights_bytes + gradients_bytes + optimizer_bytes + activations_bytes +
           logits_bytes + scratch_bytes;
  }
};

// Errors: kInvalidArgument for batch < 1 or a sequence longer than the model allows.
absl::StatusOr<MemoryEstimate> EstimateMemory(const DecoderConfig& config,
                                              const MemoryWorkload& workload);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_MEMORY_ESTIMATE_H_
