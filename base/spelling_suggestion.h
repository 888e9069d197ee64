// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Suggests the intended word for a mistyped one: a field of a job file, a command, a flag. Pure;
// thread-safe.
#ifndef WATTLE_BASE_SPELLING_SUGGESTION_H_
#define WATTLE_BASE_SPELLING_SUGGESTION_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace wattle {

// The edit distance: how many characters must be inserted, deleted, replaced, or swapped with a
// neighbour.
size_t EditDistance(absl::string_view a, absl::string_view b);

// The candidate with the least edit distance, the first of several; "" if more than a third of the
// letters of `word` would be wrong, since `word` is then a different word. Words of more than 64
// characters have none.
std::string SpellingSuggestion(absl::string_view word, const std::vector<std::string>& candidates);

}  // namespace wattle

#endif  // WATTLE_BASE_SPELLING_SUGGESTION_H_
