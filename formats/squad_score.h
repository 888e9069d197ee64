// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// SQuAD's scores of answers, equal to those of the official script evaluate-v2.0.py (Rajpurkar et
// al., 2018): exact match, and F1 over the tokens of normalized text. If a question has several
// right answers, the best score counts. The right answer to an unanswerable question is "". Pure;
// thread-safe.
#ifndef WATTLE_FORMATS_SQUAD_SCORE_H_
#define WATTLE_FORMATS_SQUAD_SCORE_H_

#include <string>

#include "absl/strings/string_view.h"

#include "formats/squad.h"

namespace wattle::formats {

// Normalizes an answer: lower case, without ASCII punctuation, without the words a, an and the,
// with one space between tokens. Invalid UTF-8 is dropped.
[[nodiscard]] std::string NormalizeSquadAnswer(absl::string_view answer);

struct SquadScore {
  double exact_match = 0.0;  // 0 or 1
  double f1 = 0.0;           // 0 to 1
};

// Scores one answer. answer: "" claims that the question is unanswerable.
[[nodiscard]] SquadScore ScoreSquadAnswer(const SquadQuestion& question, absl::string_view answer);

// The answer in the text that a model generated after the prompt of formats/squad.h: the first
// line, trimmed; "" if that line is "unanswerable".
[[nodiscard]] std::string SquadAnswerOf(absl::string_view generated);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_SQUAD_SCORE_H_
