// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a job and its data sets take of the runner's memory, from the statistics of their bytes.
// Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_DATA_MEMORY_H_
#define WATTLE_SCHEDULER_PREDICT_DATA_MEMORY_H_

#include <cstdint>

#include "absl/types/span.h"

#include "proto/memory_workload.h"
#include "scheduler/predict/work.h"  // InputView
#include "wattle/v1/spec.pb.h"

namespace wattle::scheduler {

// All 0 where nothing is known of the data. A kind whose runner holds no examples has no bytes
// here.
struct DataMemory {
  // Tokens that no example of data, or of held-out data, exceeds; 0: not known. A text is cut into
  // windows, of which the longest may be all of it. Of a generation: tokens that no prompt exceeds.
  int64_t longest_tokens = 0;
  int64_t heldout_longest_tokens = 0;
  bool is_text = false;  // data is a text
  // The examples of both, as long as the runner has them (formats/example_pool.h).
  int64_t held_bytes = 0;
  // At most while they are read, before the weights; held_bytes of what was read before included.
  int64_t reading_bytes = 0;
  // Of an evaluation with score_answers: the questions beside the examples, and the most while they
  // are read.
  int64_t questions_bytes = 0;
  int64_t reading_questions_bytes = 0;
  // Of an evaluation beside a reference model: the form of that model's files. Empty: FP32.
  v1::QuantizationRecipe reference_recipe = {};
};

// bytes_per_token: of the model's tokenizer, BytesPerToken (work.h).
DataMemory DataMemoryOf(const v1::JobSpec& spec, absl::Span<const InputView> inputs,
                        double bytes_per_token);

// What a job on these data asks of the runner's memory. max_positions: of its model.
MemoryWorkload MemoryWorkloadOf(const v1::JobSpec& spec, int64_t max_positions,
                                const DataMemory& data);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_DATA_MEMORY_H_
