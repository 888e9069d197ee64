// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The scheduler's part of each kind of job (proto/job_kind.h): how much work a spec is, what a unit
// of it costs by each method, and what the runner holds in memory. No other file in scheduler/
// distinguishes kinds of jobs. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_JOB_KINDS_H_
#define WATTLE_SCHEDULER_PREDICT_JOB_KINDS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "proto/memory_workload.h"
#include "scheduler/predict/data_memory.h"
#include "scheduler/predict/example_tokens.h"
#include "scheduler/predict/work.h"
#include "scheduler/predict/workload_cost.h"
#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::scheduler {

// The form of the weights in the model's files, which inference keeps: the format of a quantized
// model, or FP16, BF16 or the codes of a GGUF file. Empty: unknown.
std::string StoredForm(const v1::ArtifactInfo* model);

// The costs of a method's work (workload_cost.h, pass_time.h).
struct MethodCost {
  v1::Method method = v1::METHOD_UNSPECIFIED;
  Currency currency = Currency::kFlops;
  double forward_passes = 0;         // Forward passes over each token; 0: training, with the
                                     // signature's passes.
  bool steps_cost = false;           // An optimizer step costs by itself, besides its tokens.
  double seconds_per_parameter = 0;  // For Currency::kParameters, on a board without a row.
  // Passes over the model: one for each unit of a batch, or one of each model for a batch of
  // examples; 0: the sizes explain the whole time.
  bool pass_per_unit = false;
  double models_per_batch = 0;
  bool passes_read_weights = false;  // A pass reads all weights for one token.
};

// The examples that the runner of a job holds, as tokens (data_memory.h).
struct HeldExamples {
  int64_t sequence_length = 0;  // Most tokens of one example; 0: the model's context.
  int64_t limit_examples = 0;   // Most examples of the file; 0: all.
  bool half_windows = false;    // A text is scored in windows that overlap by half.
  bool questions = false;       // The questions of the file stay beside the examples.
};

struct KindPart {
  v1::JobSpec::KindCase kind_case = v1::JobSpec::KIND_NOT_SET;
  // REQUIRES: the spec's numbers are within their bounds.
  absl::StatusOr<WorkAmount> (*work)(const v1::JobSpec& spec, const v1::ModelShape& shape,
                                     absl::Span<const InputView> inputs,
                                     const ProfileTable& table) = nullptr;
  // Excludes the bytes of the data, which MemoryWorkloadOf adds.
  MemoryWorkload (*memory)(const v1::JobSpec& spec, int64_t max_positions,
                           const DataMemory& data) = nullptr;
  absl::Span<const MethodCost> methods = {};               // Each method of the kind's row.
  HeldExamples (*examples)(const v1::JobSpec&) = nullptr;  // Null: the runner holds none.
  // Most tokens of any prompt of the job; 0: unknown. Null: the kind has no prompts. data: the
  // artifact of the field "data", or null.
  int64_t (*longest_prompt)(const v1::JobSpec& spec, const v1::ArtifactInfo* data,
                            const TokenRates& rates) = nullptr;
  // The options of wattle probe that measure the speed of such a job; null: those of a generation.
  std::string (*probe_options)(const v1::JobSpec&) = nullptr;
};

absl::Span<const KindPart> KindParts();

// Null: the spec has no kind, or the kind has no part.
const KindPart* KindPartOf(const v1::JobSpec& spec);

// A method that no part lists has the costs of training.
const MethodCost& MethodCostOf(v1::Method method);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_JOB_KINDS_H_
