// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/chat_template.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

#include "base/file.h"
#include "base/status_macros.h"
#include "formats/json.h"

namespace wattle::formats {
namespace {

constexpr int64_t kFileBytesMax = 64 << 20;

absl::Status NoTemplate(absl::string_view file) {
  return absl::NotFoundError(absl::StrCat(
      file,
      ": chat_template: missing, so that conversations cannot be written for this model; use the "
      "instruction-tuned model, or put a chat_template.jinja beside it"));
}

size_t CommonPrefix(absl::string_view a, absl::string_view b) {
  const size_t size = std::min(a.size(), b.size());
  return static_cast<size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(size), b.begin()).first -
      a.begin());
}

}  // namespace

absl::StatusOr<std::optional<std::string>> ChatTemplateText(const Json& tokenizer_config,
                                                            const std::optional<std::string>& jinja,
                                                            absl::string_view file) {
  if (!tokenizer_config.is_object()) {
    return WrongKind(file, "the file", "an object", tokenizer_config);
  }
  if (jinja.has_value()) {
    return jinja;
  }
  const Json found = tokenizer_config.value("chat_template", Json());
  if (found.is_null()) {
    return std::nullopt;
  }
  if (found.is_string()) {
    return found.get<std::string>();
  }
  if (found.is_array()) {
    for (const Json& each : found) {
      if (each.is_object() && each.value("name", Json()) == Json("default") &&
          each.value("template", Json()).is_string()) {
        return each["template"].get<std::string>();
      }
    }
  }
  return WrongKind(file, "chat_template", "text, or a list with one named \"default\"", found);
}

absl::StatusOr<ChatTemplate> ChatTemplate::Parse(absl::string_view tokenizer_config,
                                                 const std::optional<std::string>& jinja,
                                                 absl::string_view file) {
  WATTLE_ASSIGN_OR_RETURN(const Json config, ParseJson(tokenizer_config, file));
  WATTLE_ASSIGN_OR_RETURN(const std::optional<std::string> text,
                          ChatTemplateText(config, jinja, file));
  if (!text.has_value()) {
    return NoTemplate(file);
  }
  WATTLE_ASSIGN_OR_RETURN(JinjaTemplate parsed,
                          JinjaTemplate::Parse(*text, absl::StrCat(file, ": chat_template")));
  ChatTemplate result(std::move(parsed));
  for (const char* name : {"bos_token", "eos_token", "pad_token", "unk_token"}) {
    Json token = config.value(name, Json());
    if (token.is_object()) {
      token = token.value("content", Json());
    }
    if (token.is_string()) {
      result.special_tokens_.emplace_back(name, token.get<std::string>());
    }
  }
  return result;
}

absl::StatusOr<ChatTemplate> ChatTemplate::LoadDirectory(const std::string& directory) {
  const std::string file = directory + "/tokenizer_config.json";
  absl::StatusOr<std::string> config = ReadWholeFile(file, kFileBytesMax);
  absl::StatusOr<std::string> jinja =
      ReadWholeFile(directory + "/chat_template.jinja", kFileBytesMax);
  if (absl::IsNotFound(config.status())) {
    if (absl::IsNotFound(jinja.status())) {
      return NoTemplate(file);
    }
    config = "{}";
  }
  WATTLE_RETURN_IF_ERROR(config.status());
  if (absl::IsNotFound(jinja.status())) {
    return Parse(*config, std::nullopt, file);
  }
  WATTLE_RETURN_IF_ERROR(jinja.status());
  return Parse(*config, *std::move(jinja), file);
}

absl::StatusOr<RenderedText> ChatTemplate::Write(absl::Span<const ChatMessage> messages,
                                                 bool add_generation_prompt) const {
  nlohmann::ordered_json variables;
  for (const auto& [name, text] : special_tokens_) {
    variables[name] = text;
  }
  nlohmann::ordered_json& list = variables["messages"] = nlohmann::ordered_json::array();
  for (const ChatMessage& message : messages) {
    list.push_back({{"role", message.role}, {"content", message.content}});
  }
  variables["add_generation_prompt"] = add_generation_prompt;
  variables["tools"] = nullptr;
  variables["documents"] = nullptr;
  return template_.Render(variables);
}

absl::StatusOr<WrittenConversation> ChatTemplate::WriteWithSpans(
    absl::Span<const ChatMessage> messages) const {
  WATTLE_ASSIGN_OR_RETURN(RenderedText whole, Write(messages, /*add_generation_prompt=*/false));
  WrittenConversation written{.text = std::move(whole.text), .spans = {}};
  if (template_.marks_generation()) {
    written.spans = std::move(whole.generation);
    return written;
  }
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role != kAssistantRole) {
      continue;
    }
    RenderedText before;
    if (i > 0) {
      WATTLE_ASSIGN_OR_RETURN(before, Write(messages.subspan(0, i), true));
    }
    RenderedText until{.text = written.text, .generation = {}};
    if (i + 1 < messages.size()) {
      WATTLE_ASSIGN_OR_RETURN(until, Write(messages.subspan(0, i + 1), false));
    }
    const size_t end = CommonPrefix(written.text, until.text);
    if (!absl::StartsWith(written.text, before.text) || end <= before.text.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("messages[", i,
                       "]: the chat template writes this turn otherwise where others follow; "
                       "give a conversation with this turn as its last one, or a template that "
                       "marks the assistant's text with {% generation %}"));
    }
    written.spans.emplace_back(before.text.size(), end);
  }
  return written;
}

}  // namespace wattle::formats
