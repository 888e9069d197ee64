// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Question-answering data in SQuAD 2.0's JSON format, and how an example becomes a sequence for a
// causal language model:
//   <context>\nQuestion: <question>\nAnswer: <answer, or "unanswerable"><end of text> The prompt
//   ends with "Answer:"; the answer begins with the space. Plain values and functions; thread-safe.
#ifndef WATTLE_FORMATS_SQUAD_H_
#define WATTLE_FORMATS_SQUAD_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "formats/byte_pair_encoding.h"
#include "formats/example_pool.h"

namespace wattle::formats {

struct SquadAnswer {
  std::string text;
  int64_t start_code_points = 0;  // in the context, in Unicode code points, SQuAD's unit
  int64_t start_bytes = 0;        // the same place, in bytes
};

struct SquadQuestion {
  std::string id;
  std::string question;
  std::vector<SquadAnswer> answers = {};  // empty if is_impossible; training uses the first answer
  bool is_impossible = false;
  size_t paragraph = 0;  // index into SquadDataSet::contexts
};

struct SquadDataSet {
  std::vector<std::string> contexts;
  std::vector<SquadQuestion> questions;  // in file order
};

// Parses SQuAD 1.1 or 2.0 JSON. file: name for messages.
// Errors: kInvalidArgument, one line with file, JSON path
// ("data[0].paragraphs[2].qas[1].answers[0].answer_start") and the expected value; also for a file
// without a question, and for an answer that is not in the context at answer_start, because
// training on wrong offsets teaches nonsense.
absl::StatusOr<SquadDataSet> ParseSquad(absl::string_view json, absl::string_view file);
absl::StatusOr<SquadDataSet> ReadSquad(const std::string& path);

// The text of one question that the model reads, and the expected answer.
[[nodiscard]] std::string SquadPrompt(const SquadDataSet& data,
                                      const SquadQuestion& question);      // … "Answer:"
[[nodiscard]] std::string SquadAnswerText(const SquadQuestion& question);  // " answer"

enum class LossOn {
  kAnswer,  // the answer's tokens and the end of text
  kAll,     // every token but the first
};

struct PackedExamples {
  ExamplePool pool;       // an example for each question: prompt, answer, end of text
  int64_t truncated = 0;  // examples whose context was cut
  int64_t dropped = 0;    // questions left out: too long even without a context
};

struct PackOptions {
  int64_t max_length_tokens = 0;  // ≥ 2, including the end of text
  LossOn loss_on = LossOn::kAnswer;
  int64_t eos_token_id = 0;
};

// Tokenizes every question. Question and answer are never cut. A context that does not fit is cut
// to a window of its tokens that holds the whole answer, as near to the middle as possible; without
// an answer, the window is the beginning of the context. Errors: kInvalidArgument if no example is
// left.
absl::StatusOr<PackedExamples> PackSquad(const SquadDataSet& data,
                                         const BytePairEncoding& tokenizer,
                                         const PackOptions& options);

// The tokens of the prompt, without the answer, for generation: at most max_length_tokens. A
// context that does not fit is cut at its end. The answer does not affect the result. Errors:
// kInvalidArgument if the question by itself does not fit.
absl::StatusOr<std::vector<int64_t>> PackSquadPrompt(const SquadDataSet& data,
                                                     const SquadQuestion& question,
                                                     const BytePairEncoding& tokenizer,
                                                     int64_t max_length_tokens);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_SQUAD_H_
