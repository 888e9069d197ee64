// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The memory that a job and its data sets need in the runner, from the statistics of their bytes.
// Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_DATA_MEMORY_H_
#define WATTLE_SCHEDULER_PREDICT_DATA_MEMORY_H_

#include <cstdint>

#include "absl/types/span.h"

#include "proto/memory_workload.h"
#include "scheduler/predict/work.h"  // InputView
#include "wattle/v1/spec.pb.h"

namespace wattle::scheduler {

// All fields are 0 if the data are unknown. A kind whose runner holds no examples has no bytes
// here.
struct DataMemory {
  // Most tokens of any example of the data and the held-out data; 0: unknown. A text is cut into
  // windows, the longest of which may be the whole text. For a generation: most tokens of any
  // prompt.
  int64_t longest_tokens = 0;
  int64_t heldout_longest_tokens = 0;
  bool is_text = false;  // data is a text
  // Bytes of both sets' examples while the runner holds them (formats/example_pool.h).
  int64_t held_bytes = 0;
  // Peak while the examples are read, before the weights are loaded; includes held_bytes of the
  // data read before.
  int64_t reading_bytes = 0;
  // For an evaluation with score_answers: bytes of the questions beside the examples, and the peak
  // while they are read.
  int64_t questions_bytes = 0;
  int64_t reading_questions_bytes = 0;
  // For an evaluation with a reference model: the form of that model's files. Empty: FP32.
  v1::QuantizationRecipe reference_recipe = {};
};

// bytes_per_token: for the model's tokenizer, from BytesPerToken (work.h).
DataMemory DataMemoryOf(const v1::JobSpec& spec, absl::Span<const InputView> inputs,
                        double bytes_per_token);

// The memory demand of a job on these data. max_positions: the model's.
MemoryWorkload MemoryWorkloadOf(const v1::JobSpec& spec, int64_t max_positions,
                                const DataMemory& data);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_DATA_MEMORY_H_
