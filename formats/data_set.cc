// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/data_set.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

#include "base/check.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "formats/json.h"
#include "formats/json_lines_internal.h"

namespace wattle::formats {
namespace {

constexpr int64_t kDataBytesMax = 1LL << 30;
// The quantiles at 0, 1/32, … 1, from which a predictor can integrate step times over the lengths
// of a data set within one percent.
constexpr size_t kQuantileSteps = 32;

// The values at 0, 1/32, … 1 of a sorted non-empty list.
void AddQuantiles(const std::vector<int64_t>& sorted,
                  google::protobuf::RepeatedField<double>* quantiles) {
  for (size_t i = 0; i <= kQuantileSteps; ++i) {
    const size_t index = ((sorted.size() - 1) * i + kQuantileSteps / 2) / kQuantileSteps;
    quantiles->Add(static_cast<double>(sorted[index]));
  }
}

v1::DatasetStatistics Describe(DataSetKind kind, std::vector<int64_t> lengths_bytes,
                               std::vector<int64_t> message_counts = {}) {
  v1::DatasetStatistics statistics;
  statistics.set_format(std::string(DataSetKindName(kind)));
  statistics.set_examples(static_cast<int64_t>(lengths_bytes.size()));
  if (lengths_bytes.empty()) {
    return statistics;
  }
  std::sort(lengths_bytes.begin(), lengths_bytes.end());
  double sum = 0.0;
  for (const int64_t length : lengths_bytes) {
    sum += static_cast<double>(length);
  }
  statistics.set_mean_byte_length(sum / static_cast<double>(lengths_bytes.size()));
  AddQuantiles(lengths_bytes, statistics.mutable_byte_length_quantiles());
  if (!message_counts.empty()) {
    std::sort(message_counts.begin(), message_counts.end());
    AddQuantiles(message_counts, statistics.mutable_message_count_quantiles());
  }
  return statistics;
}

int64_t BytesOf(const std::vector<ChatMessage>& messages) {
  size_t bytes = 0;
  for (const ChatMessage& message : messages) {
    bytes += message.content.size();
  }
  return static_cast<int64_t>(bytes);
}

absl::StatusOr<std::vector<ChatMessage>> ParseUnanswered(const Json& json,
                                                         absl::string_view where) {
  WATTLE_ASSIGN_OR_RETURN(std::vector<ChatMessage> messages, ParseMessages(json, where));
  if (messages.back().role == kAssistantRole) {
    return absl::InvalidArgumentError(absl::StrCat(
        where,
        ": messages: the last turn is the assistant's, and a prompt ends before the answer; take "
        "that turn away, or let the first line of a file to learn from end with such a turn"));
  }
  return messages;
}

absl::StatusOr<Prompt> ParsePrompt(const Json& json, absl::string_view where, int64_t line) {
  if (!json.is_object()) {
    return WrongKind(where, "the line", "an object {\"prompt\": \"…\"}", json);
  }
  Prompt prompt = {.id = absl::StrCat(line), .text = ""};
  bool found = false;
  for (const auto& [key, value] : json.items()) {
    if (key == "prompt") {
      if (!value.is_string()) {
        return WrongKind(where, "prompt", "text", value);
      }
      prompt.text = value.get<std::string>();
      found = true;
    } else if (key == "messages") {
      WATTLE_ASSIGN_OR_RETURN(prompt.messages, ParseUnanswered(value, where));
    } else if (key == "id") {
      const std::optional<int64_t> number = WholeNumber(value);
      if (!value.is_string() && !number.has_value()) {
        return WrongKind(where, "id", "text or a whole number", value);
      }
      prompt.id = value.is_string() ? value.get<std::string>() : absl::StrCat(*number);
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ": ", Printable(key),
                       ": unknown field; a line has \"prompt\" or \"messages\" and may have "
                       "\"id\""));
    }
  }
  if (!prompt.messages.empty()) {
    if (found) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ": prompt: stands beside messages; write one of the two"));
    }
    prompt.text = prompt.messages.back().content;
    return prompt;
  }
  if (!found || prompt.text.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": prompt: ", found ? "empty" : "missing",
                                                   "; write {\"prompt\": \"…\"}"));
  }
  return prompt;
}

}  // namespace

absl::StatusOr<DataSetKind> DataSetKindOf(const std::string& path) {
  if (absl::EndsWith(path, ".json")) {
    return DataSetKind::kSquad;
  }
  if (absl::EndsWith(path, ".jsonl")) {
    std::ifstream file(path, std::ios::binary);
    std::string line;
    while (absl::StripAsciiWhitespace(line).empty() && std::getline(file, line)) {
    }
    return LooksLikeChat(line) ? DataSetKind::kChat : DataSetKind::kPrompts;
  }
  if (absl::EndsWith(path, ".txt")) {
    return DataSetKind::kText;
  }
  return absl::InvalidArgumentError(
      absl::StrCat(path,
                   ": not a data set by its name; wants .json (SQuAD 2.0), .jsonl (prompts or "
                   "conversations) or .txt (text)"));
}

absl::string_view DataSetKindName(DataSetKind kind) {
  switch (kind) {
    case DataSetKind::kSquad:
      return "squad";
    case DataSetKind::kPrompts:
      return "prompts";
    case DataSetKind::kText:
      return "text";
    case DataSetKind::kChat:
      return "chat";
  }
  return "";
}

v1::DatasetStatistics DescribeSquad(const SquadDataSet& data) {
  std::vector<int64_t> lengths;
  lengths.reserve(data.questions.size());
  int64_t answerable = 0;
  int64_t contexts = 0;
  double context_bytes = 0.0;
  size_t context = data.contexts.size();
  for (const SquadQuestion& question : data.questions) {
    contexts += question.paragraph == context ? 0 : 1;  // the questions of a paragraph are adjacent
    context = question.paragraph;
    context_bytes += static_cast<double>(data.contexts[context].size());
    lengths.push_back(static_cast<int64_t>(SquadPrompt(data, question).size() +
                                           SquadAnswerText(question).size()));
    answerable += question.is_impossible ? 0 : 1;
  }
  v1::DatasetStatistics statistics = Describe(DataSetKind::kSquad, std::move(lengths));
  statistics.set_answerable(answerable);
  statistics.set_contexts(contexts);
  statistics.set_mean_context_byte_length(context_bytes /
                                          static_cast<double>(data.questions.size()));
  return statistics;
}

absl::StatusOr<v1::DatasetStatistics> DescribeDataSet(const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(const DataSetKind kind, DataSetKindOf(path));
  std::vector<int64_t> lengths;
  std::vector<int64_t> message_counts;
  switch (kind) {
    case DataSetKind::kSquad: {
      WATTLE_ASSIGN_OR_RETURN(const SquadDataSet data, ReadSquad(path));
      return DescribeSquad(data);
    }
    case DataSetKind::kPrompts: {
      WATTLE_ASSIGN_OR_RETURN(const std::vector<Prompt> prompts, ReadPrompts(path));
      for (const Prompt& prompt : prompts) {
        lengths.push_back(prompt.messages.empty() ? static_cast<int64_t>(prompt.text.size())
                                                  : BytesOf(prompt.messages));
        message_counts.push_back(static_cast<int64_t>(prompt.messages.size()));
      }
      break;
    }
    case DataSetKind::kChat: {
      WATTLE_ASSIGN_OR_RETURN(const std::vector<Conversation> chat, ReadChat(path));
      for (const Conversation& conversation : chat) {
        lengths.push_back(BytesOf(conversation.messages));
        message_counts.push_back(static_cast<int64_t>(conversation.messages.size()));
      }
      break;
    }
    case DataSetKind::kText: {
      WATTLE_ASSIGN_OR_RETURN(const std::string text, ReadText(path));
      for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipWhitespace())) {
        lengths.push_back(static_cast<int64_t>(line.size()) + 1);
      }
      break;
    }
  }
  return Describe(kind, std::move(lengths), std::move(message_counts));
}

absl::StatusOr<std::vector<Prompt>> ParsePrompts(absl::string_view text, absl::string_view file) {
  std::vector<Prompt> prompts;
  for (const auto& [number, line] : LinesOf(text)) {
    const std::string where = absl::StrCat(file, ":", number);
    const absl::StatusOr<Json> json = ParseJson(line, where);
    if (!json.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ": not a JSON object; write one {\"prompt\": \"…\"} a line"));
    }
    WATTLE_ASSIGN_OR_RETURN(Prompt prompt, ParsePrompt(*json, where, number));
    prompts.push_back(std::move(prompt));
  }
  if (prompts.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": has no prompt; write one {\"prompt\": \"…\"} a line"));
  }
  return prompts;
}

absl::StatusOr<std::vector<Prompt>> ReadPrompts(const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(path, kDataBytesMax));
  return ParsePrompts(text, path);
}

void AsConversations(std::vector<Prompt>& prompts) {
  for (Prompt& prompt : prompts) {
    if (prompt.messages.empty()) {
      prompt.messages = {{.role = kUserRole, .content = prompt.text}};
    }
  }
}

absl::StatusOr<std::string> ReadText(const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(std::string text, ReadWholeFile(path, kDataBytesMax));
  if (absl::StripAsciiWhitespace(text).empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is empty; give a file with text"));
  }
  if (text.size() < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat(path,
                     ": one character; a text wants two tokens at least, one to predict the "
                     "other from"));
  }
  if (const size_t valid = ValidUtf8Prefix(text); valid != text.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": not UTF-8 at byte ", valid, "; convert the file to UTF-8"));
  }
  return text;
}

std::vector<TextWindow> TextWindows(absl::Span<const int64_t> tokens, int64_t window_tokens,
                                    int64_t stride_tokens) {
  WATTLE_CHECK(window_tokens >= 2 && stride_tokens >= 1 && stride_tokens <= window_tokens,
               "the caller chose window and stride");
  const auto window = static_cast<size_t>(window_tokens);
  const auto stride = static_cast<size_t>(stride_tokens);
  std::vector<TextWindow> windows;
  size_t scored_end = 1;  // all tokens before it are scored, or have no prediction
  for (size_t begin = 0; scored_end < tokens.size(); begin += stride) {
    const size_t end = std::min(begin + window, tokens.size());
    const size_t first = std::max(scored_end, begin + 1);
    if (first < end) {
      windows.push_back(
          {.tokens = tokens.subspan(begin, end - begin), .first_scored = first - begin});
    }
    scored_end = end;
  }
  return windows;
}

}  // namespace wattle::formats
