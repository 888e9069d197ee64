// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The chat template of a model: how a conversation is written as one text. The template is in
// chat_template.jinja, or in tokenizer_config.json as chat_template (a text, or a list of named
// texts of which "default" is used). Variables are those of transformers' apply_chat_template:
// messages, add_generation_prompt, the special tokens by name, tools and documents (none).
// Immutable; thread-safe.
#ifndef WATTLE_FORMATS_CHAT_TEMPLATE_H_
#define WATTLE_FORMATS_CHAT_TEMPLATE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "nlohmann/json_fwd.hpp"

#include "formats/chat.h"
#include "formats/jinja.h"

namespace wattle::formats {

// A conversation as the model reads it. spans: [begin, end) in bytes of the assistant's text.
struct WrittenConversation {
  std::string text;
  std::vector<std::pair<size_t, size_t>> spans;
};

// The text of the template: `jinja`, else the one in tokenizer_config.json; nullopt for a base
// model. Errors: kInvalidArgument for a field of another type.
absl::StatusOr<std::optional<std::string>> ChatTemplateText(const nlohmann::json& tokenizer_config,
                                                            const std::optional<std::string>& jinja,
                                                            absl::string_view file);

class ChatTemplate {
 public:
  // Errors: kNotFound for a model without a chat template (a base model); kInvalidArgument and
  // kUnimplemented with file and line, those of JinjaTemplate.
  static absl::StatusOr<ChatTemplate> LoadDirectory(const std::string& directory);
  // tokenizer_config: the text of tokenizer_config.json; jinja: the text of chat_template.jinja, if
  // the model has one. file: the name of tokenizer_config.json in messages.
  static absl::StatusOr<ChatTemplate> Parse(absl::string_view tokenizer_config,
                                            const std::optional<std::string>& jinja,
                                            absl::string_view file);

  // add_generation_prompt: the text ends where the assistant begins to answer.
  [[nodiscard]] absl::StatusOr<RenderedText> Write(absl::Span<const ChatMessage> messages,
                                                   bool add_generation_prompt) const;
  // The whole conversation with the spans of the assistant's text: the template's generation
  // blocks, or else, for each of the assistant's turns, the text after the prompt for that turn.
  // Errors: those of the template; kInvalidArgument for a template that writes earlier turns
  // differently once later turns follow, because the assistant's text then cannot be located.
  [[nodiscard]] absl::StatusOr<WrittenConversation> WriteWithSpans(
      absl::Span<const ChatMessage> messages) const;

 private:
  explicit ChatTemplate(JinjaTemplate jinja) : template_(std::move(jinja)) {}

  JinjaTemplate template_;
  std::vector<std::pair<std::string, std::string>> special_tokens_;  // name and text
};

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_CHAT_TEMPLATE_H_
