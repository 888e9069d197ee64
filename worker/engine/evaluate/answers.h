// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A model's answers to the questions of a SQuAD file, and their scores: exact match and F1 as
// computed by the official script (formats/squad_score.h). Each answer is generated greedily after
// the prompt of formats/squad.h, up to the end token or the end of its line. Not thread-safe on one
// sink.
#ifndef WATTLE_WORKER_ENGINE_EVALUATE_ANSWERS_H_
#define WATTLE_WORKER_ENGINE_EVALUATE_ANSWERS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

#include "formats/byte_pair_encoding.h"
#include "worker/engine/progress.h"

namespace wattle::engine {

struct Decoder;

struct AnswerOptions {
  std::string data;             // a SQuAD file
  int64_t limit_questions = 0;  // only the first n; 0: all
  int64_t sequence_length = 0;  // prompt and answer together; 0: the model's context
  int64_t max_answer_tokens = 32;
};

struct AnswerFigures {
  std::vector<std::pair<std::string, std::string>> answers;  // question id, text; in file order
  double exact_match_percent = 0.0;
  double f1_percent = 0.0;
  int64_t prompt_tokens = 0;
  int64_t generated_tokens = 0;
};

// Errors: those of ReadSquad and PackSquadPrompt; kFailedPrecondition if answers leave no room for
// a prompt; kCancelled if the sink cancels. May throw libtorch's exceptions: call inside
// AtTorchBorder.
absl::StatusOr<AnswerFigures> ScoreAnswers(const AnswerOptions& options, const Decoder& decoder,
                                           const formats::BytePairEncoding& tokenizer,
                                           ProgressSink& sink);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_EVALUATE_ANSWERS_H_
