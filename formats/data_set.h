// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The data files that jobs read, told apart by their name's ending: SQuAD JSON (.json), one prompt
// a line (.jsonl), plain text (.txt); and the statistics that a plan needs before any tokenizer has
// seen the file. Thread-safe.
#ifndef WATTLE_FORMATS_DATA_SET_H_
#define WATTLE_FORMATS_DATA_SET_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "formats/squad.h"
#include "wattle/v1/artifact.pb.h"

namespace wattle::formats {

enum class DataSetKind { kSquad, kPrompts, kText };

// By the ending alone. Errors: kInvalidArgument, naming the endings there are.
absl::StatusOr<DataSetKind> DataSetKindOf(absl::string_view path);
[[nodiscard]] absl::string_view DataSetKindName(DataSetKind kind);  // "squad", "prompts", "text"

// Reads and checks the file; the quantiles are minimum, every 1/32, maximum of an example's UTF-8
// bytes as the model sees it (SQuAD: the whole template; prompts: the prompt; text: a non-empty
// line). Errors: those of its reader; kInvalidArgument for an empty data set.
absl::StatusOr<v1::DatasetStatistics> DescribeDataSet(const std::string& path);
[[nodiscard]] v1::DatasetStatistics DescribeSquad(const SquadDataSet& data);

struct Prompt {
  std::string id;  // "id" if given, else the line number from 1
  std::string text;
};

// JSON lines: {"prompt": "…"}, optionally "id" (string or whole number). Blank lines are skipped.
// Errors: kInvalidArgument with file:line, the field, and what was wanted; an unknown field is one.
absl::StatusOr<std::vector<Prompt>> ParsePrompts(absl::string_view text, absl::string_view file);
absl::StatusOr<std::vector<Prompt>> ReadPrompts(const std::string& path);

// Text for perplexity. Errors: kInvalidArgument for an empty file or one that is not UTF-8 (with
// the byte offset).
absl::StatusOr<std::string> ReadText(const std::string& path);

// One forward pass of a perplexity evaluation. The prediction of tokens[i] counts for first_scored
// ≤ i.
struct TextWindow {
  absl::Span<const int64_t> tokens;
  size_t first_scored = 1;
};

// Windows of at most `window_tokens` ≥ 2, each `stride_tokens` (1 to window_tokens) after the one
// before; together they score every token once, but for the first of the text, and, where the
// stride is a whole window, the first of each window. A rest that would score nothing gives no
// window. The spans point into `tokens`.
[[nodiscard]] std::vector<TextWindow> TextWindows(absl::Span<const int64_t> tokens,
                                                  int64_t window_tokens, int64_t stride_tokens);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_DATA_SET_H_
