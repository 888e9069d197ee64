// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/chat.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "base/file.h"
#include "base/status_macros.h"
#include "formats/json.h"
#include "formats/json_lines_internal.h"

namespace wattle::formats {
namespace {

constexpr int64_t kChatBytesMax = 1LL << 30;

absl::StatusOr<ChatMessage> ParseMessage(const Json& json, absl::string_view where,
                                         absl::string_view place) {
  if (!json.is_object()) {
    return WrongKind(where, place, R"(an object {"role": "…", "content": "…"})", json);
  }
  ChatMessage message;
  for (const auto& [key, value] : json.items()) {
    const std::string field = absl::StrCat(place, ".", Printable(key));
    if (key != "role" && key != "content") {
      return absl::InvalidArgumentError(absl::StrCat(
          where, ": ", field, ": unknown field; a message has \"role\" and \"content\""));
    }
    if (!value.is_string()) {
      return WrongKind(where, field, "text", value);
    }
    (key == "role" ? message.role : message.content) = value.get<std::string>();
  }
  if (message.role.empty() || !json.contains("content")) {
    return absl::InvalidArgumentError(absl::StrCat(
        where, ": ", place, ": wants \"role\" and \"content\", for example \"user\" and a text"));
  }
  return message;
}

absl::StatusOr<Conversation> ParseConversation(absl::string_view text, absl::string_view where,
                                               int64_t line) {
  WATTLE_ASSIGN_OR_RETURN(const Json json, ParseJson(text, where));
  if (!json.is_object()) {
    return WrongKind(where, "the line", R"(an object {"messages": […]})", json);
  }
  for (const auto& [key, unused] : json.items()) {
    if (key != "messages" && key != "id") {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ": ", Printable(key),
                       ": unknown field; a line has \"messages\" and may have \"id\""));
    }
  }
  Conversation conversation{.line = line, .messages = {}};
  WATTLE_ASSIGN_OR_RETURN(conversation.messages,
                          ParseMessages(json.value("messages", Json()), where));
  if (std::none_of(conversation.messages.begin(), conversation.messages.end(),
                   [](const ChatMessage& message) { return message.role == kAssistantRole; })) {
    return absl::InvalidArgumentError(absl::StrCat(
        where, ": messages: no turn of the assistant, so that there is nothing to learn"));
  }
  return conversation;
}

}  // namespace

absl::StatusOr<std::vector<ChatMessage>> ParseMessages(const Json& json, absl::string_view where) {
  if (!json.is_array() || json.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, R"(: messages: wants a list of {"role": "…", "content": "…"})"));
  }
  std::vector<ChatMessage> messages;
  for (const Json& message : json) {
    WATTLE_ASSIGN_OR_RETURN(
        ChatMessage parsed,
        ParseMessage(message, where, absl::StrCat("messages[", messages.size(), "]")));
    messages.push_back(std::move(parsed));
  }
  return messages;
}

bool LooksLikeChat(absl::string_view text) {
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::StripAsciiWhitespace(line).empty()) {
      const absl::StatusOr<Json> json = ParseJson(line, "");
      if (!json.ok() || !json->is_object() || !json->contains("messages")) {
        return false;
      }
      const auto messages = ParseMessages((*json)["messages"], "");
      return !messages.ok() || messages->back().role == kAssistantRole;
    }
  }
  return false;
}

absl::StatusOr<std::vector<Conversation>> ParseChat(absl::string_view text,
                                                    absl::string_view file) {
  std::vector<Conversation> conversations;
  for (const auto& [number, line] : LinesOf(text)) {
    const std::string where = absl::StrCat(file, ":", number);
    WATTLE_ASSIGN_OR_RETURN(Conversation conversation, ParseConversation(line, where, number));
    conversations.push_back(std::move(conversation));
  }
  if (conversations.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, R"(: has no conversation; write one {"messages": […]} a line)"));
  }
  return conversations;
}

absl::StatusOr<std::vector<Conversation>> ReadChat(const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(path, kChatBytesMax));
  return ParseChat(text, path);
}

}  // namespace wattle::formats
