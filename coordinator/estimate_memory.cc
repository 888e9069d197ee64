// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/estimate_memory.h"

#include <algorithm>

#include "absl/status/statusor.h"

#include "formats/decoder_config.h"
#include "formats/memory_estimate.h"

namespace wattle {
namespace {

constexpr int64_t kBatchDefault = 8;       // finetune.batch_size, evaluate.batch_size
constexpr int64_t kEvaluateWindow = 1024;  // tokens of a window of a text file

// In a dry run on declared shapes, a batch or length that is left out is unknown (as in the
// published tables), not the default: the smallest one then tells only what can never fit.
int64_t OrUnknown(int64_t value, bool declared, int64_t otherwise) {
  return value > 0 ? value : declared ? 1 : otherwise;
}

formats::MemoryWorkload WorkloadOf(const v1::JobSpec& spec, int64_t max_positions) {
  formats::MemoryWorkload workload;
  switch (spec.kind_case()) {
    case v1::JobSpec::kFinetune: {
      const v1::FinetuneSpec& finetune = spec.finetune();
      const bool declared = finetune.has_model_shape();
      workload.task = formats::MemoryTask::kFinetune;
      workload.batch = OrUnknown(finetune.batch_size(), declared, kBatchDefault);
      workload.sequence_tokens = std::min<int64_t>(
          OrUnknown(finetune.sequence_length(), declared, max_positions), max_positions);
      break;
    }
    case v1::JobSpec::kEvaluate: {
      const v1::EvaluateSpec& evaluate = spec.evaluate();
      const bool declared = evaluate.has_model_shape();
      workload.task = formats::MemoryTask::kEvaluate;
      workload.batch = OrUnknown(evaluate.batch_size(), declared, kBatchDefault);
      workload.sequence_tokens = std::min<int64_t>(
          OrUnknown(evaluate.sequence_length(), declared, kEvaluateWindow), max_positions);
      workload.int8_weights = evaluate.quantization() == v1::QUANTIZATION_INT8;
      break;
    }
    case v1::JobSpec::kGenerate:
      workload.task = formats::MemoryTask::kGenerate;
      workload.int8_weights = spec.generate().quantization() == v1::QUANTIZATION_INT8;
      break;
    case v1::JobSpec::kQuantize:
    case v1::JobSpec::KIND_NOT_SET:
      workload.task = formats::MemoryTask::kQuantize;
      break;
  }
  return workload;
}

}  // namespace

int64_t EstimateJobMemory(const v1::JobSpec& spec, const v1::ModelShape& shape) {
  const absl::StatusOr<formats::DecoderConfig> config = formats::FromShape(shape);
  if (!config.ok()) {
    return 0;
  }
  const absl::StatusOr<formats::MemoryEstimate> estimate =
      formats::EstimateMemory(*config, WorkloadOf(spec, config->max_positions));
  return estimate.ok() ? estimate->total_bytes() : 0;
}

}  // namespace wattle
