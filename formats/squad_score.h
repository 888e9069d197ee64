// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// SQuAD's scores of answers, as the official script evaluate-v2.0.py (Rajpurkar et al., 2018) gives
// them: exact match and F1 over tokens of normalized text, the best over the given answers. An
// unanswerable question has the empty answer. Pure; thread-safe.
#ifndef WATTLE_FORMATS_SQUAD_SCORE_H_
#define WATTLE_FORMATS_SQUAD_SCORE_H_

#include <string>

#include "absl/strings/string_view.h"

#include "formats/squad.h"

namespace wattle::formats {

// Lower case, without ASCII punctuation, without the words a, an and the, one space between tokens.
// Bytes that are no UTF-8 are dropped.
[[nodiscard]] std::string NormalizeSquadAnswer(absl::string_view answer);

struct SquadScore {
  double exact_match = 0.0;  // 0 or 1
  double f1 = 0.0;           // 0 to 1
};

// Of one answer. answer: "" says that the question cannot be answered.
[[nodiscard]] SquadScore ScoreSquadAnswer(const SquadQuestion& question, absl::string_view answer);

// The answer in what a model generated after the prompt of formats/squad.h: the text up to the
// first line's end, trimmed; empty where it is "unanswerable".
[[nodiscard]] std::string SquadAnswerOf(absl::string_view generated);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_SQUAD_SCORE_H_
