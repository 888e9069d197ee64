// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Conversations, as JSON lines:
//   {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]} The
//   roles are those of the model's chat template. A training file has turns of "assistant", which
//   are the targets. Conversations that end before the assistant answers are prompts (data_set.h).
//   Plain values and functions; thread-safe.
#ifndef WATTLE_FORMATS_CHAT_H_
#define WATTLE_FORMATS_CHAT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace wattle::formats {

inline constexpr char kAssistantRole[] = "assistant";
inline constexpr char kUserRole[] = "user";

struct ChatMessage {
  std::string role;
  std::string content;
};

struct Conversation {
  int64_t line = 0;                   // in the file, from 1
  std::vector<ChatMessage> messages;  // at least one is the assistant's
};

// Whether the first non-blank line is a conversation whose last turn is the assistant's. Such a
// .jsonl file is chat for training; any other has prompts to answer.
[[nodiscard]] bool LooksLikeChat(absl::string_view text);

// Blank lines are skipped. Errors: kInvalidArgument with file:line, the field and the expected
// value, for a line without a turn of the assistant, for an unknown field, and for a file without a
// conversation.
absl::StatusOr<std::vector<Conversation>> ParseChat(absl::string_view text, absl::string_view file);
absl::StatusOr<std::vector<Conversation>> ReadChat(const std::string& path);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_CHAT_H_
