// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/chat_examples.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "formats/json.h"

namespace wattle::formats {
namespace {

// The byte offset in the text where each token ends. A space that the tokenizer put before the text
// is not counted. Nullopt if the tokens encode another (normalized) text.
std::optional<std::vector<size_t>> EndsInText(absl::string_view text,
                                              const std::vector<int64_t>& tokens,
                                              const BytePairEncoding& tokenizer) {
  std::vector<size_t> ends;
  size_t at = 0;
  for (const int64_t token : tokens) {
    for (const char byte : tokenizer.Decode(absl::MakeConstSpan(&token, 1))) {
      if (at < text.size() && text[at] == byte) {
        ++at;
      } else if (byte != ' ') {
        return std::nullopt;
      }
    }
    ends.push_back(at);
  }
  return at == text.size() ? std::optional(std::move(ends)) : std::nullopt;
}

// EndsInText for a tokenizer that normalizes text: the number of tokens of `whole` that the first
// `bytes` of the text already encode to.
size_t TokensBefore(const std::string& text, size_t bytes, const std::vector<int64_t>& whole,
                    const BytePairEncoding& tokenizer) {
  const std::vector<int64_t> part =
      tokenizer.Encode(text.substr(0, bytes), SpecialTokens::kRecognise);
  const size_t size = std::min(part.size(), whole.size());
  const auto end = whole.begin() + static_cast<std::ptrdiff_t>(size);
  return static_cast<size_t>(std::mismatch(whole.begin(), end, part.begin()).first - whole.begin());
}

absl::Status CheckNoSpecialToken(absl::Span<const ChatMessage> messages,
                                 const BytePairEncoding& tokenizer) {
  for (size_t i = 0; i < messages.size(); ++i) {
    if (const auto found = tokenizer.FindSpecialToken(messages[i].content); found.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("messages[", i, "].content: spells the special token ", Printable(*found),
                       ", which would end or begin a turn; write it in another way"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ChatTokens> EncodeChat(absl::Span<const ChatMessage> messages,
                                      const ChatTemplate& chat_template,
                                      const BytePairEncoding& tokenizer) {
  WATTLE_RETURN_IF_ERROR(CheckNoSpecialToken(messages, tokenizer));
  WATTLE_ASSIGN_OR_RETURN(const WrittenConversation written,
                          chat_template.WriteWithSpans(messages));
  ChatTokens chat;
  chat.tokens = tokenizer.Encode(written.text, SpecialTokens::kRecognise);
  chat.counts.assign(chat.tokens.size(), false);
  const auto ends = EndsInText(written.text, chat.tokens, tokenizer);
  for (const auto& [begin, end] : written.spans) {
    size_t first = 0;
    size_t last = 0;
    if (ends.has_value()) {
      first =
          static_cast<size_t>(std::upper_bound(ends->begin(), ends->end(), begin) - ends->begin());
      last =
          static_cast<size_t>(std::lower_bound(ends->begin(), ends->end(), end) - ends->begin()) +
          1;
    } else {
      first = TokensBefore(written.text, begin, chat.tokens, tokenizer);
      last = TokensBefore(written.text, end, chat.tokens, tokenizer);
    }
    last = std::min(last, chat.tokens.size());
    for (size_t i = last; i > first; --i) {
      if (tokenizer.IsSpecial(chat.tokens[i - 1])) {
        last = i;
        break;
      }
    }
    for (size_t i = first; i < last; ++i) {
      chat.counts[i] = true;
    }
  }
  return chat;
}

absl::StatusOr<std::string> WriteChatPrompt(absl::Span<const ChatMessage> messages,
                                            const ChatTemplate& chat_template,
                                            const BytePairEncoding& tokenizer) {
  WATTLE_RETURN_IF_ERROR(CheckNoSpecialToken(messages, tokenizer));
  WATTLE_ASSIGN_OR_RETURN(RenderedText written,
                          chat_template.Write(messages, /*add_generation_prompt=*/true));
  return std::move(written.text);
}

absl::StatusOr<v1::ChatTemplateTokens> MeasureChatTemplate(const ChatTemplate& chat_template,
                                                           const BytePairEncoding& tokenizer) {
  constexpr char kContent[] = "the panels on the roof";
  const std::vector<ChatMessage> two = {{kUserRole, kContent},
                                        {kAssistantRole, kContent},
                                        {kUserRole, kContent},
                                        {kAssistantRole, kContent}};
  const absl::Span<const ChatMessage> messages(two);
  WATTLE_ASSIGN_OR_RETURN(const ChatTokens of_one,
                          EncodeChat(messages.first(2), chat_template, tokenizer));
  WATTLE_ASSIGN_OR_RETURN(const ChatTokens of_two, EncodeChat(messages, chat_template, tokenizer));
  WATTLE_ASSIGN_OR_RETURN(const std::string prompt,
                          WriteChatPrompt(messages.first(1), chat_template, tokenizer));
  const auto count = [](const std::vector<int64_t>& tokens) {
    return static_cast<double>(tokens.size());
  };
  const double content = count(tokenizer.Encode(kContent));
  const double message = (count(of_two.tokens) - count(of_one.tokens)) / 2;  // with its content
  v1::ChatTemplateTokens tokens;
  tokens.set_per_message(message - content);
  tokens.set_per_conversation(count(of_one.tokens) - 2 * message);
  tokens.set_before_answer(count(tokenizer.Encode(prompt, SpecialTokens::kRecognise)) - message -
                           tokens.per_conversation());
  return tokens;
}

absl::StatusOr<PackedExamples> PackChat(absl::Span<const Conversation> conversations,
                                        const ChatTemplate& chat_template,
                                        const BytePairEncoding& tokenizer,
                                        const PackOptions& options) {
  PackedExamples packed;
  for (const Conversation& conversation : conversations) {
    absl::StatusOr<ChatTokens> chat = EncodeChat(conversation.messages, chat_template, tokenizer);
    if (!chat.ok()) {
      return absl::Status(chat.status().code(), absl::StrCat("line ", conversation.line, ": ",
                                                             std::string(chat.status().message())));
    }
    if (options.loss_on == LossOn::kAll) {
      chat->counts.assign(chat->counts.size(), true);
    }
    const bool cut = chat->tokens.size() > static_cast<size_t>(options.max_length_tokens);
    const size_t size =
        std::min(chat->tokens.size(), static_cast<size_t>(options.max_length_tokens));
    chat->tokens.resize(size);
    chat->counts.resize(size);
    // The first token has no prediction.
    if (size < 2 ||
        std::find(chat->counts.begin() + 1, chat->counts.end(), true) == chat->counts.end()) {
      ++packed.dropped;
      continue;
    }
    packed.truncated += cut ? 1 : 0;
    const size_t begin = packed.pool.AddTokens(chat->tokens);
    std::vector<TokenRange> ranges;
    for (size_t i = 0; i < size; ++i) {
      if (ranges.empty() || ranges.back().counts != chat->counts[i]) {
        ranges.push_back({.begin = begin + i, .size = 0, .counts = chat->counts[i]});
      }
      ++ranges.back().size;
    }
    packed.pool.AddExample(ranges);
  }
  if (packed.pool.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "no conversation has a turn of the assistant within ", options.max_length_tokens,
        " tokens; raise sequence_length or give shorter conversations"));
  }
  return packed;
}

}  // namespace wattle::formats
