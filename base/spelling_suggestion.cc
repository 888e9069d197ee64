// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/spelling_suggestion.h"

#include <algorithm>
#include <utility>

namespace wattle {

size_t EditDistance(absl::string_view a, absl::string_view b) {
  // Three rows of the table of edit distances; swaps need the oldest of them.
  std::vector<size_t> before(b.size() + 1);
  std::vector<size_t> last(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) {
    last[j] = j;
  }
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replace = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({replace, last[j] + 1, row[j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

std::string SpellingSuggestion(absl::string_view word, const std::vector<std::string>& candidates) {
  constexpr size_t kLongestWord = 64;  // Longer words are not treated as typing errors.
  if (word.size() > kLongestWord || candidates.empty()) {
    return "";
  }
  const std::string& nearest = *std::min_element(
      candidates.begin(), candidates.end(), [&](const std::string& a, const std::string& b) {
        return EditDistance(word, a) < EditDistance(word, b);
      });
  return EditDistance(word, nearest) <= std::max<size_t>(1, word.size() / 3) ? nearest : "";
}

}  // namespace wattle
