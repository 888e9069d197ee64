// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Loss and perplexity: exp of the mean negative log-likelihood per predicted token. Not thread-safe
// on one sink.
#ifndef WATTLE_WORKER_ENGINE_EVALUATE_EVALUATE_H_
#define WATTLE_WORKER_ENGINE_EVALUATE_EVALUATE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "formats/example_pool.h"
#include "worker/engine/model_job.h"
#include "worker/engine/progress.h"
#include "worker/engine/train/examples.h"

namespace wattle::engine {

struct Decoder;

struct EvaluateSettings {
  ModelJob model;
  std::string data;
  ExampleOptions examples;  // of a SQuAD file
  int64_t batch_size = 8;
  int64_t window_tokens = 0;  // of a text; 0: min(context, 1024)
  int64_t stride_tokens = 0;  // of a text; 0: half a window
};

struct LossFigures {
  double loss = 0.0;  // mean negative log-likelihood in nats
  double perplexity = 0.0;
  int64_t predicted_tokens = 0;
  WorkTotals work;
};

struct EvaluateResult {
  LossFigures figures;
  ModelFigures model;
  int64_t truncated_examples = 0;
  double bytes_per_token = 0.0;  // of a text; 0: not known
};

// Whole job: loads model and data. Errors: those of LoadModel and LoadExamples; kCancelled where
// the sink says so.
absl::StatusOr<EvaluateResult> Evaluate(const EvaluateSettings& settings, ProgressSink& sink);

// Loss over examples, `batch_size` at a time in order of length, so that little is padding. Reports
// a step for each batch. Used by training for held-out loss. May throw libtorch's exceptions: call
// inside AtTorchBorder.
absl::StatusOr<LossFigures> LossOverExamples(const Decoder& decoder,
                                             const formats::ExamplePool& examples,
                                             int64_t batch_size, ProgressSink& sink);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_EVALUATE_EVALUATE_H_
