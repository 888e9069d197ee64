// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Quality of a model: loss and perplexity (exp of the mean negative log-likelihood per predicted
// token), the distance from a reference model, and the scores of answers (evaluate/answers.h). Not
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
  ExampleOptions examples;  // for a SQuAD file
  int64_t batch_size = 8;
  int64_t window_tokens = 0;        // for a text; 0: min(context, 1024)
  int64_t stride_tokens = 0;        // for a text; 0: half a window
  std::string reference_directory;  // a model to compare with; empty: none
  bool score_answers = false;       // SQuAD files only
  int64_t max_answer_tokens = 32;
};

// Over the predicted tokens; q is the distribution of the reference, p that of the model.
struct ReferenceFigures {
  double loss = 0.0;            // of the reference
  double kl_divergence = 0.0;   // mean of KL(q, p) = Σ_t q_t ln(q_t / p_t), in nats
  double top1_agreement = 0.0;  // share of tokens with the same most likely token in both
};

struct LossFigures {
  double loss = 0.0;  // mean negative log-likelihood in nats
  double perplexity = 0.0;
  int64_t predicted_tokens = 0;
  std::optional<ReferenceFigures> reference;
  WorkTotals work;
};

// Only for a text that was scored from beginning to end.
struct TextFigures {
  int64_t window_tokens = 0;
  int64_t stride_tokens = 0;
  double bits_per_byte = 0.0;  // negative log-likelihood in bits per UTF-8 byte of the text
  double word_perplexity =
      0.0;  // exp of the negative log-likelihood per word (separated by white space)
};

struct EvaluateResult {
  LossFigures figures;
  ModelFigures model;
  int64_t truncated_examples = 0;
  double bytes_per_token = 0.0;          // of a text; 0: unknown
  std::optional<TextFigures> text;       // excluded by limit_examples
  std::optional<AnswerFigures> answers;  // with score_answers
};

// Whole job: loads model and data. Errors: those of LoadModel, LoadExamples, LossOverExamples and
// ScoreAnswers; kFailedPrecondition for a reference with another vocabulary, and for score_answers
// with a file other than SQuAD; kCancelled if the sink cancels.
absl::StatusOr<EvaluateResult> Evaluate(const EvaluateSettings& settings, ProgressSink& sink);

// Loss over examples, `batch_size` at a time in order of length, so that little is padding. Reports
// a step for each batch. Used by training for held-out loss. reference: null, or the model to
// compare the decoder with. Errors: kAborted for a non-finite loss; kInvalidArgument if no token
// counts; kCancelled if the sink cancels. May throw libtorch's exceptions: call inside
// AtTorchBorder.
absl::StatusOr<LossFigures> LossOverExamples(const Decoder& decoder,
                                             const formats::ExamplePool& examples,
                                             int64_t batch_size, ProgressSink& sink,
                                             const Decoder* reference = nullptr);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_EVALUATE_EVALUATE_H_
