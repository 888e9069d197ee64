// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/prompts/prompt_counter.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "coordinator/prompts/prompt_count.h"
#include "formats/chat_examples.h"
#include "formats/data_set.h"

namespace wattle::prompts {
namespace {

v1::PromptCountAnswer Nothing() {
  return {};
}

v1::PromptCountAnswer Refused(std::string refusal) {
  v1::PromptCountAnswer answer;
  answer.set_refusal(std::move(refusal));
  return answer;
}

v1::PromptCountAnswer NotCounted(const std::string& what, const absl::Status& why) {
  v1::PromptCountAnswer answer;
  answer.set_not_counted(absl::StrCat(what, " not counted: ", std::string(why.message())));
  return answer;
}

absl::Status Readable(const v1::PromptCountFile& file) {
  return file.unreadable().empty() ? absl::OkStatus() : absl::DataLossError(file.unreadable());
}

// "generate.prompts: ", or the field and the name of the data set.
std::string WhereOf(const v1::PromptCountQuestion& question) {
  return question.reference().empty()
             ? "generate.prompts: "
             : absl::StrCat(question.field(), ": ", question.reference(), ": ");
}

std::string Tell(const v1::PromptCountQuestion& question, const std::vector<LongPrompt>& found) {
  const LongPrompt& first = found.front();
  const size_t others = found.size() - 1;
  return absl::StrCat(
      WhereOf(question), "prompt ", first.id, " has ", first.tokens,
      first.tokens == 1 ? " token" : " tokens", ", and the context of model ", question.model(),
      " is ", question.context_length(), " with at least one token to generate",
      others == 0
          ? ""
          : absl::StrCat(" (", others, others == 1 ? " other prompt is" : " other prompts are",
                         " too long too)"),
      "; shorten it to ", question.context_length() - 1, " tokens");
}

std::string TellOfNoTemplate(const v1::PromptCountQuestion& question) {
  return question.chat()
             ? absl::StrCat(
                   "generate.chat: model ", question.model(),
                   " has no chat template; leave chat out, so that the model continues the "
                   "prompts, or name an instruction-tuned model")
             : absl::StrCat(WhereOf(question), "has conversations, and model ", question.model(),
                            " has no chat template; name an instruction-tuned model, or write "
                            "{\"prompt\": \"…\"} lines");
}

absl::StatusOr<std::vector<formats::Prompt>> PromptsOf(const v1::PromptCountQuestion& question) {
  std::vector<formats::Prompt> prompts;
  if (question.has_data()) {
    WATTLE_RETURN_IF_ERROR(Readable(question.data()));
    WATTLE_ASSIGN_OR_RETURN(prompts,
                            formats::ParsePrompts(question.data().content(), question.reference()));
  }
  for (const std::string& text : question.prompts()) {
    prompts.push_back({.id = absl::StrCat(prompts.size() + 1), .text = text});
  }
  if (question.chat()) {
    formats::AsConversations(prompts);
  }
  return prompts;
}

}  // namespace

v1::PromptCountAnswer PromptCounter::Answer(const v1::PromptCountQuestion& question,
                                            const std::function<bool()>& in_time) {
  if (question.is_text()) {
    return OfText(question);
  }
  for (const v1::PromptCountConversations& data : question.conversations()) {
    const v1::PromptCountAnswer answer = OfConversations(question, data, in_time);
    if (!answer.refusal().empty()) {
      return answer;
    }
  }
  return OfPrompts(question, in_time);
}

// As worker/engine counts: the tokens of the text with the begin token of the tokenizer.
v1::PromptCountAnswer PromptCounter::OfText(const v1::PromptCountQuestion& question) {
  const std::string what = absl::StrCat("text ", question.reference(), " is");
  if (const absl::Status readable = Readable(question.data()); !readable.ok()) {
    return NotCounted(what, readable);
  }
  const auto tokenizer = Tokenizer();
  if (!tokenizer.ok()) {
    return NotCounted(what, tokenizer.status());
  }
  if ((*tokenizer)->EncodeDocument(question.data().content()).size() >= 2) {
    return Nothing();
  }
  return Refused(absl::StrCat(
      question.field(), ": ", question.reference(), ": is one token for model ", question.model(),
      ", and a text wants two at least, one to predict the other; push a longer text"));
}

// As worker/engine reads them: the template writes each conversation, or the job fails.
v1::PromptCountAnswer PromptCounter::OfConversations(const v1::PromptCountQuestion& question,
                                                     const v1::PromptCountConversations& data,
                                                     const std::function<bool()>& in_time) {
  const absl::StatusOr<formats::ChatTemplate> chat_template = ChatTemplate();
  if (absl::IsNotFound(chat_template.status())) {
    return Refused(absl::StrCat(data.field(), ": ", data.reference(),
                                ": has conversations, and model ", question.model(),
                                " has no chat template; name an instruction-tuned model"));
  }
  const auto tokenizer = Tokenizer();
  for (const absl::Status& status :
       {chat_template.status(), tokenizer.status(), Readable(data.lines())}) {
    if (!status.ok()) {
      return NotCounted(absl::StrCat("conversations of ", data.reference(), " are"), status);
    }
  }
  const auto conversations = formats::ParseChat(data.lines().content(), data.reference());
  if (!conversations.ok()) {
    return Nothing();  // The first one is longer than what is read here; the push has checked it.
  }
  int64_t read = 0;
  for (const formats::Conversation& conversation : *conversations) {
    if (!in_time() || (data.limit_examples() > 0 && read == data.limit_examples())) {
      break;
    }
    ++read;
    const absl::Status written =
        formats::EncodeChat(conversation.messages, *chat_template, **tokenizer).status();
    if (!written.ok()) {
      return Refused(absl::StrCat(data.field(), ": ", data.reference(), ": line ",
                                  conversation.line, ": ", std::string(written.message())));
    }
  }
  return Nothing();
}

v1::PromptCountAnswer PromptCounter::OfPrompts(const v1::PromptCountQuestion& question,
                                               const std::function<bool()>& in_time) {
  const std::string what = absl::StrCat("prompts for ", question.model(), " are");
  const absl::StatusOr<std::vector<formats::Prompt>> prompts = PromptsOf(question);
  if (!prompts.ok()) {
    return NotCounted(what, prompts.status());
  }
  const bool none_is_written_or_long =
      std::all_of(prompts->begin(), prompts->end(), [&](const formats::Prompt& prompt) {
        return prompt.messages.empty() && MostTokens(prompt.text) < question.context_length();
      });
  if (none_is_written_or_long) {
    return Nothing();
  }
  const auto tokenizer = Tokenizer();
  if (!tokenizer.ok()) {
    return NotCounted(what, tokenizer.status());
  }
  std::optional<formats::ChatTemplate> chat_template;
  if (std::any_of(prompts->begin(), prompts->end(),
                  [](const formats::Prompt& prompt) { return !prompt.messages.empty(); })) {
    absl::StatusOr<formats::ChatTemplate> read = ChatTemplate();
    if (absl::IsNotFound(read.status())) {
      return Refused(TellOfNoTemplate(question));
    }
    if (!read.ok()) {
      return NotCounted(absl::StrCat("conversations for ", question.model(), " are"),
                        read.status());
    }
    chat_template = *std::move(read);
  }
  const absl::StatusOr<std::vector<LongPrompt>> found = FindLongPrompts(
      *prompts, **tokenizer, chat_template.has_value() ? &*chat_template : nullptr,
      question.context_length(), {.text_bytes = question.text_bytes_max(), .go_on = in_time});
  if (!found.ok()) {
    return Refused(absl::StrCat(WhereOf(question), std::string(found.status().message())));
  }
  return found->empty() ? Nothing() : Refused(Tell(question, *found));
}

absl::StatusOr<std::optional<std::string>> PromptCounter::ReadIfThere(
    absl::string_view name) const {
  for (const v1::PromptCountFile& file : model_.files()) {
    if (file.name() == name) {
      WATTLE_RETURN_IF_ERROR(Readable(file));
      return file.content();
    }
  }
  return std::nullopt;
}

absl::StatusOr<const formats::BytePairEncoding*> PromptCounter::Tokenizer() {
  if (!tokenizer_.has_value()) {
    WATTLE_ASSIGN_OR_RETURN(
        tokenizer_,
        formats::BytePairEncoding::LoadFiles(
            [this](absl::string_view name) { return ReadIfThere(name); }, model_.artifact_id()));
  }
  return &*tokenizer_;
}

absl::StatusOr<formats::ChatTemplate> PromptCounter::ChatTemplate() const {
  WATTLE_ASSIGN_OR_RETURN(const std::optional<std::string> config,
                          ReadIfThere("tokenizer_config.json"));
  WATTLE_ASSIGN_OR_RETURN(const std::optional<std::string> jinja,
                          ReadIfThere("chat_template.jinja"));
  return formats::ChatTemplate::Parse(config.value_or("{}"), jinja, model_.artifact_id());
}

}  // namespace wattle::prompts
