// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The memory demand of a job besides the model: the scheduler reads it from a spec
// (scheduler/predict/data_memory.h), and models/memory_estimate.h converts it to bytes. A plain
// value.
#ifndef WATTLE_PROTO_MEMORY_WORKLOAD_H_
#define WATTLE_PROTO_MEMORY_WORKLOAD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "wattle/v1/quantization.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle {

enum class MemoryTask {
  kFinetune,  // FP32, every parameter, or adapters
  kGenerate,  // `batch` prompts at once: KV caches of full sequences, logits of one position each
  kEvaluate,  // forward over whole sequences; with `answers` one sequence decoded after that
  kQuantize,  // FP32 weights read, one matrix after the other, the quantized ones kept
  kQuantizeCompensated,  // kQuantize with calibration: one layer in FP32, statistics of its inputs
  kQuantizeAdaptive,     // the search for bits by matrix: the int8 and the int4 models at once
};

struct MemoryWorkload {
  MemoryTask task = MemoryTask::kFinetune;
  int64_t batch = 1;  // sequences at once (of one micro-batch)
  int64_t sequence_tokens =
      0;  // longest sequence; 0: the model's max_positions. Generation: prompt + new tokens
  int64_t calibration_tokens = 0;  // for kQuantizeCompensated; 0: the default
  bool beside_reference = false;   // for kEvaluate: a second model of the same shape
  bool answers = false;            // for kEvaluate: answers are generated and scored
  // kFinetune: more than 0: adapters of this rank are trained beside weights in the form of
  // `recipe`.
  int64_t adapter_rank = 0;
  std::vector<std::string> adapter_targets = {};  // models/adapters.h; empty: every linear layer
  double adapter_dropout = 0.0;
  bool activation_checkpointing = false;  // for kFinetune: a block keeps only its input
  bool rounded_factors = false;           // for kFinetune: products in BF16 or FP16
  bool bf16_matrices = false;             // for kFinetune: BF16 for the matrices that `recipe`
                                          // leaves in FP32
  bool forward_only = false;              // for kFinetune: MeZO, which has no backward pass
  // kFinetune: if above 0, only this many last layers are trained, with the final norm and an
  // untied head.
  int64_t trained_layers = 0;
  v1::Optimizer optimizer = v1::OPTIMIZER_ADAMW;  // for kFinetune
  bool update_in_backward = false;                // for kFinetune without adapters
  int64_t heldout_tokens = 0;  // for kFinetune: longest held-out example; 0: no held-out data
  // For kFinetune and kEvaluate (scheduler/predict/data_memory.h): bytes of the examples of all
  // data, and the peak while they are read, before the weights.
  int64_t data_bytes = 0;
  int64_t reading_bytes = 0;
  // With `answers`: bytes of the questions, which are read again beside weights and examples.
  int64_t questions_bytes = 0;
  int64_t reading_questions_bytes = 0;
  // Generate, evaluate, adapters: the form of the weights in memory. Quantize: the form of the
  // result.
  v1::QuantizationRecipe recipe = {};
  // The form of the reference model, as in its files. Empty: FP32.
  v1::QuantizationRecipe reference_recipe = {};
};

}  // namespace wattle

#endif  // WATTLE_PROTO_MEMORY_WORKLOAD_H_
