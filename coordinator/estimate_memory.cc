// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/estimate_memory.h"

#include <algorithm>

#include "absl/status/statusor.h"

#include "models/decoder_config.h"
#include "models/memory_estimate.h"
#include "proto/quantization_recipe.h"
#include "proto/spec_defaults.h"

namespace wattle {
namespace {

// In a dry run on declared shapes (as in the published tables) an omitted batch or length is
// unknown, so the smallest value is assumed: a job that does not fit with it never fits. Otherwise
// the default applies.
int64_t OrUnknown(int64_t value, bool declared, int64_t otherwise) {
  return value > 0 ? value : declared ? 1 : otherwise;
}

// The quantization recipe that the spec asks for; `otherwise` if it asks for none.
template <typename Spec>
v1::QuantizationRecipe RecipeOf(const Spec& spec, const char* otherwise) {
  if (spec.has_recipe()) {
    return spec.recipe();
  }
  const auto wanted = WantedQuantization(spec.quantization(), nullptr);
  const auto named = RecipeOfIdentity(wanted.ok() && !wanted->empty() ? *wanted : otherwise);
  return named.ok() ? *named : v1::QuantizationRecipe();
}

// The smaller one, where the data's longest example is known.
int64_t AtMost(int64_t tokens, int64_t longest) {
  return longest > 0 ? std::min(tokens, longest) : tokens;
}

models::MemoryWorkload FinetuneWorkload(const v1::FinetuneSpec& finetune, int64_t max_positions,
                                        const scheduler::DataMemory& data) {
  models::MemoryWorkload workload;
  const bool declared = finetune.has_model_shape();
  workload.task = models::MemoryTask::kFinetune;
  workload.batch = OrUnknown(finetune.batch_size(), declared, kBatchSizeDefault);
  const int64_t length = std::min<int64_t>(
      OrUnknown(finetune.sequence_length(), declared, max_positions), max_positions);
  workload.sequence_tokens = AtMost(length, data.longest_tokens);
  if (!finetune.heldout_data().empty()) {
    workload.heldout_tokens = AtMost(length, data.heldout_longest_tokens);
  }
  workload.activation_checkpointing = finetune.activation_checkpointing();
  workload.rounded_factors = finetune.precision() > v1::PRECISION_FP32;
  workload.bf16_matrices = finetune.weights_precision() == v1::WEIGHTS_PRECISION_BF16;
  workload.trained_layers = finetune.last_layers();
  workload.forward_only = finetune.optimizer() == v1::OPTIMIZER_MEZO;
  workload.optimizer = finetune.optimizer();
  workload.update_in_backward = finetune.update_in_backward();
  if (finetune.has_lora()) {
    workload.adapter_rank = AdapterRankOf(finetune.lora());
    workload.adapter_dropout = finetune.lora().dropout();
    workload.adapter_targets.assign(finetune.lora().targets().begin(),
                                    finetune.lora().targets().end());
  }
  // With adapters: the form of the frozen weights; FP32, the largest, where the spec names none.
  // Without adapters: the form that training rounds to.
  workload.recipe = RecipeOf(finetune, kNoQuantization);
  return workload;
}

models::MemoryWorkload EvaluateWorkload(const v1::EvaluateSpec& evaluate, int64_t max_positions,
                                        const scheduler::DataMemory& data) {
  models::MemoryWorkload workload;
  const bool declared = evaluate.has_model_shape();
  workload.task = models::MemoryTask::kEvaluate;
  workload.batch = OrUnknown(evaluate.batch_size(), declared, kBatchSizeDefault);
  const int64_t asked = data.is_text ? 0 : evaluate.sequence_length();
  const bool known = data.longest_tokens > 0 && !data.is_text;
  workload.sequence_tokens = std::min<int64_t>(
      OrUnknown(asked, declared, known ? max_positions : kTextWindowTokensMax), max_positions);
  // Without quantization the model's recipe is unknown; FP32, the largest form, is assumed.
  workload.recipe = RecipeOf(evaluate, kNoQuantization);
  workload.beside_reference = !evaluate.reference_model().empty();
  workload.answers = evaluate.score_answers();
  workload.questions_bytes = data.questions_bytes;
  workload.reading_questions_bytes = data.reading_questions_bytes;
  if (!workload.answers) {  // An answer adds tokens behind an example's prompt.
    workload.sequence_tokens = AtMost(workload.sequence_tokens, data.longest_tokens);
  }
  return workload;
}

models::MemoryWorkload WorkloadOf(const v1::JobSpec& spec, int64_t max_positions,
                                  const scheduler::DataMemory& data) {
  models::MemoryWorkload workload;
  switch (spec.kind_case()) {
    case v1::JobSpec::kFinetune:
      workload = FinetuneWorkload(spec.finetune(), max_positions, data);
      break;
    case v1::JobSpec::kEvaluate:
      workload = EvaluateWorkload(spec.evaluate(), max_positions, data);
      break;
    case v1::JobSpec::kGenerate:
      workload.task = models::MemoryTask::kGenerate;
      workload.batch = std::max(1, spec.generate().batch_size());
      workload.recipe = RecipeOf(spec.generate(), kNoQuantization);
      break;
    case v1::JobSpec::kQuantize:
      workload.task = spec.quantize().quantization() == v1::QUANTIZATION_ADAPTIVE
                          ? models::MemoryTask::kQuantizeAdaptive
                      : spec.quantize().rounding() == v1::ROUNDING_COMPENSATED
                          ? models::MemoryTask::kQuantizeCompensated
                          : models::MemoryTask::kQuantize;
      workload.calibration_tokens = spec.quantize().calibration_tokens();
      workload.recipe = RecipeOf(spec.quantize(), kInt8Quantization);
      break;
    case v1::JobSpec::KIND_NOT_SET:
      workload.task = models::MemoryTask::kQuantize;
      break;
  }
  workload.data_bytes = data.held_bytes;
  workload.reading_bytes = data.reading_bytes;
  return workload;
}

}  // namespace

int64_t EstimateJobMemory(const v1::JobSpec& spec, const v1::ModelShape& shape,
                          const scheduler::DataMemory& data) {
  const absl::StatusOr<models::DecoderConfig> config = models::FromShape(shape);
  if (!config.ok()) {
    return 0;
  }
  const absl::StatusOr<models::MemoryEstimate> estimate =
      models::EstimateMemory(*config, WorkloadOf(spec, config->max_positions, data));
  return estimate.ok() ? estimate->total_bytes() : 0;
}

}  // namespace wattle
