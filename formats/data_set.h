// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The data files of jobs: SQuAD JSON (.json), JSON lines with one training conversation or one
// prompt each (.jsonl), plain text (.txt). The file name's extension selects the format, and for
// .jsonl the first line. Also computes the statistics of a file that a plan needs, without a
// tokenizer. Thread-safe.
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

#include "formats/chat.h"
#include "formats/squad.h"
#include "wattle/v1/artifact.pb.h"

namespace wattle::formats {

enum class DataSetKind { kSquad, kPrompts, kText, kChat };

// Selects by the extension of the name, and for .jsonl by the first line of the file
// (formats/chat.h). Errors: kInvalidArgument, which lists the extensions.
absl::StatusOr<DataSetKind> DataSetKindOf(const std::string& path);
// "squad", "prompts", "text", "chat"
[[nodiscard]] absl::string_view DataSetKindName(DataSetKind kind);

// Reads and checks the file. Quantiles of the examples' sizes in UTF-8 bytes are taken at 0, 1/32,
// … 1. An example is the text that the model reads: the whole template (SQuAD), the prompt
// (prompts), a non-empty line (text), or the contents of a conversation (chat, prompts). Messages
// are counted separately, because the text that a chat template writes around them depends on the
// model. Errors: those of the file's reader; kInvalidArgument for an empty data set.
absl::StatusOr<v1::DatasetStatistics> DescribeDataSet(const std::string& path);
[[nodiscard]] v1::DatasetStatistics DescribeSquad(const SquadDataSet& data);

struct Prompt {
  std::string id;    // "id" if given, else the line number from 1
  std::string text;  // the text that the model continues; for a conversation, its last turn
  // The conversation to answer, formatted by the model's chat template; empty: use only `text`.
  std::vector<ChatMessage> messages = {};
};

// JSON lines: {"prompt": "…"} or {"messages": [{"role": "…", "content": "…"}]}, optionally "id"
// (string or whole number). Blank lines are skipped. Errors: kInvalidArgument with file:line, the
// field, and the expected value; also for an unknown field and for a conversation that the
// assistant has answered.
absl::StatusOr<std::vector<Prompt>> ParsePrompts(absl::string_view text, absl::string_view file);
absl::StatusOr<std::vector<Prompt>> ReadPrompts(const std::string& path);
// Turns each plain-text prompt into a conversation whose only turn is the user's.
void AsConversations(std::vector<Prompt>& prompts);

// Text for perplexity. Errors: kInvalidArgument for a file that is empty or not UTF-8 (with the
// byte offset).
absl::StatusOr<std::string> ReadText(const std::string& path);

// One forward pass of a perplexity evaluation. The prediction of tokens[i] counts for i ≥
// first_scored.
struct TextWindow {
  absl::Span<const int64_t> tokens;
  size_t first_scored = 1;
};

// Cuts `tokens` into windows of at most `window_tokens` (2 or more). Each window begins
// `stride_tokens` (1 to window_tokens) after the window before it. Together the windows score every
// token once, except for the first token of the text and, if the stride is a whole window, the
// first token of each window. Windows that would score nothing are omitted. The spans point into
// `tokens`.
[[nodiscard]] std::vector<TextWindow> TextWindows(absl::Span<const int64_t> tokens,
                                                  int64_t window_tokens, int64_t stride_tokens);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_DATA_SET_H_
