// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Peak memory of a runner process: the sizes of what it holds (not a fit), so that a job which does
// not fit is refused before it starts. The tensors of a pass are those of its plan (tensor_plan.h);
// beside them stand the data's examples, weights, gradients, the optimizer's state and caches, and
// before them the reading of data and weights.
// On a board whose GPU shares the memory, tensors on the GPU take the same bytes; what CUDA itself
// takes there is added where the device is known (scheduler/place/memory_rule.cc). Pure;
// thread-safe.
#ifndef WATTLE_MODELS_MEMORY_ESTIMATE_H_
#define WATTLE_MODELS_MEMORY_ESTIMATE_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "models/decoder_config.h"
#include "wattle/v1/quantization.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::models {

enum class MemoryTask {
  kFinetune,  // FP32, every parameter, or adapters
  kGenerate,  // `batch` prompts at once: KV caches of full sequences, logits of one position each
  kEvaluate,  // forward over whole sequences; with `answers` one sequence decoded after that
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
  bool answers = false;            // of kEvaluate: answers are generated and scored
  // kFinetune: more than 0: adapters of this rank are trained beside weights in the form of
  // `recipe`.
  int64_t adapter_rank = 0;
  std::vector<std::string> adapter_targets = {};  // models/adapters.h; empty: every linear layer
  double adapter_dropout = 0.0;
  bool activation_checkpointing = false;  // of kFinetune: a block keeps its input alone
  bool rounded_factors = false;           // of kFinetune: products in BF16 or FP16
  bool bf16_matrices = false;             // of kFinetune: matrices that `recipe` leaves in FP32
  bool forward_only = false;              // of kFinetune: MeZO, which has no backward pass
  // kFinetune: more than 0: the last layers alone are trained, with the final norm and an untied
  // head.
  int64_t trained_layers = 0;
  v1::Optimizer optimizer = v1::OPTIMIZER_ADAMW;  // of kFinetune
  bool update_in_backward = false;                // of kFinetune without adapters
  int64_t heldout_tokens = 0;  // of kFinetune: longest held-out example; 0: no held-out data
  // Of kFinetune and kEvaluate (scheduler/predict/data_memory.h): the examples of all data, and the
  // most while they are read, before the weights.
  int64_t data_bytes = 0;
  int64_t reading_bytes = 0;
  // With `answers`: the questions, which are read once more beside weights and examples.
  int64_t questions_bytes = 0;
  int64_t reading_questions_bytes = 0;
  // Generate, evaluate, adapters: in which form the weights are held. Quantize: the form of the
  // result.
  v1::QuantizationRecipe recipe = {};
};

struct MemoryEstimate {
  int64_t runtime_bytes = 0;  // process with libtorch loaded, no model
  int64_t reading_bytes = 0;  // while the data are read, beside the process alone
  int64_t data_bytes = 0;     // their examples, beside all that follows
  int64_t weights_bytes = 0;  // and tables of positions
  int64_t gradients_bytes = 0;
  int64_t optimizer_bytes = 0;  // the optimizer's state (optimizer_state.h)
  int64_t perturbed_bytes = 0;  // of MeZO: the moved weights of one layer, or all moved adapters
  int64_t cache_bytes = 0;      // keys and values, or the stream of a calibration text
  // Two peaks beside all of these, one after the other: the arena of the largest pass with what
  // kernels take beside it, and the largest tensor that a checkpoint is read or a result is written
  // through.
  int64_t pass_bytes = 0;
  int64_t files_bytes = 0;
  // The peak while the model is read, weights included: before gradients, moments and passes.
  int64_t loading_bytes = 0;

  [[nodiscard]] int64_t total_bytes() const {
    const int64_t held = weights_bytes + gradients_bytes + optimizer_bytes + perturbed_bytes +
                         cache_bytes + std::max(pass_bytes, files_bytes);
    return runtime_bytes + std::max(reading_bytes, data_bytes + std::max(loading_bytes, held));
  }
};

// Errors: kInvalidArgument for batch < 1 or a sequence longer than the model allows.
absl::StatusOr<MemoryEstimate> EstimateMemory(const DecoderConfig& config,
                                              const MemoryWorkload& workload);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_MEMORY_ESTIMATE_H_
