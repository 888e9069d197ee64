// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How good a model is: loss and perplexity (exp of the mean negative log-likelihood per predicted
// token), the distance to a reference model, and the scores of answers (evaluate/answers.h). Not
// thread-safe on one sink.
#ifndef WATTLE_WORKER_ENGINE_EVALUATE_EVALUATE_H_
#define WATTLE_WORKER_ENGINE_EVALUATE_EVALUATE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "formats/example_pool.h"
#include "worker/engine/evaluate/answers.h"
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
  int64_t window_tokens = 0;        // of a text; 0: min(context, 1024)
  int64_t stride_tokens = 0;        // of a text; 0: half a window
  std::string reference_directory;  // a model to compare with, taken as its files are; empty: none
  bool score_answers = false;       // SQuAD files only
  int64_t max_answer_tokens = 32;
};

// Over the predicted tokens; q is the reference's distribution, p the model's.
struct ReferenceFigures {
  double loss = 0.0;            // of the reference
  double kl_divergence = 0.0;   // mean of KL(q, p) = Σ_t q_t ln(q_t / p_t), in nats
  double top1_agreement = 0.0;  // share of tokens at which both find the same one most likely
};

struct LossFigures {
  double loss = 0.0;  // mean negative log-likelihood in nats
  double perplexity = 0.0;
  int64_t predicted_tokens = 0;
  std::optional<ReferenceFigures> reference;
  WorkTotals work;
};

// Of a text that was scored from its beginning to its end.
struct TextFigures {
  int64_t window_tokens = 0;
  int64_t stride_tokens = 0;
  double bits_per_byte = 0.0;  // negative log-likelihood in bits over the text's UTF-8 bytes
  double word_perplexity =
      0.0;  // exp of the negative log-likelihood over words between white space
};

struct EvaluateResult {
  LossFigures figures;
  ModelFigures model;
  int64_t truncated_examples = 0;
  double bytes_per_token = 0.0;          // of a text; 0: not known
  std::optional<TextFigures> text;       // limit_examples leaves it out
  std::optional<AnswerFigures> answers;  // with score_answers
};

// Whole job: loads model and data. Errors: those of LoadModel, LoadExamples, LossOverExamples and
// ScoreAnswers; kFailedPrecondition for a reference with another vocabulary and for score_answers
// of another file than SQuAD; kCancelled where the sink says so.
absl::StatusOr<EvaluateResult> Evaluate(const EvaluateSettings& settings, ProgressSink& sink);

// Loss over examples, `batch_size` at a time in order of length, so that little is padding. Reports
// a step for each batch. Used by training for held-out loss. reference: null, or what the decoder
// is compared with. Errors: kAborted for a loss that is not finite; kInvalidArgument where no token
// counts; kCancelled where the sink says so. May throw libtorch's exceptions: call inside
// AtTorchBorder.
absl::StatusOr<LossFigures> LossOverExamples(const Decoder& decoder,
                                             const formats::ExamplePool& examples,
                                             int64_t batch_size, ProgressSink& sink,
                                             const Decoder* reference = nullptr);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_EVALUATE_EVALUATE_H_
