// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/prompts/prompt_check.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "coordinator/log/log.h"
#include "coordinator/prompts/prompt_count.h"
#include "coordinator/prompts/stored_files.h"
#include "formats/chat_examples.h"

namespace wattle::prompts {
namespace {

bool HasOnlyShortPrompts(const core::PromptQuestion& question) {
  return question.data_artifact.value().empty() && !question.chat &&
         question.conversations.empty() &&
         std::all_of(
             question.prompts.begin(), question.prompts.end(),
             [&](const std::string& text) { return MostTokens(text) < question.context_length; });
}

// "generate.prompts: ", or the field and the name of the data set.
std::string WhereOf(const core::PromptQuestion& question) {
  return question.data.empty() ? "generate.prompts: "
                               : absl::StrCat(question.field, ": ", question.data, ": ");
}

std::string Tell(const core::PromptQuestion& question, const std::vector<LongPrompt>& found) {
  const LongPrompt& first = found.front();
  const size_t others = found.size() - 1;
  return absl::StrCat(
      WhereOf(question), "prompt ", first.id, " has ", first.tokens,
      first.tokens == 1 ? " token" : " tokens", ", and the context of model ", question.model,
      " is ", question.context_length, " with at least one token to generate",
      others == 0
          ? ""
          : absl::StrCat(" (", others, others == 1 ? " other prompt is" : " other prompts are",
                         " too long too)"),
      "; shorten it to ", question.context_length - 1, " tokens");
}

std::string TellOfNoTemplate(const core::PromptQuestion& question) {
  return question.chat
             ? absl::StrCat(
                   "generate.chat: model ", question.model,
                   " has no chat template; leave chat out, so that the model continues the "
                   "prompts, or name an instruction-tuned model")
             : absl::StrCat(WhereOf(question), "has conversations, and model ", question.model,
                            " has no chat template; name an instruction-tuned model, or write "
                            "{\"prompt\": \"…\"} lines");
}

}  // namespace

PromptCheck::PromptCheck(artifacts::BlobStore& store, const Clock& clock, PromptCheckLimits limits)
    : store_(store), clock_(clock), limits_(limits), waiting_(limits.questions), thread_([this] {
        Run();
      }) {}

PromptCheck::~PromptCheck() {
  Stop();
}

void PromptCheck::Stop() {
  stopping_ = true;
  waiting_.Close();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void PromptCheck::Ask(core::PromptQuestion question, Answer answer) {
  if (HasOnlyShortPrompts(question)) {
    answer("");
    return;
  }
  Waiting waiting{std::move(question), std::move(answer), clock_.Boottime()};
  if (!waiting_.TryPush(waiting)) {
    waiting.answer("");
  }
}

void PromptCheck::Run() {
  std::vector<Waiting> taken;
  while (waiting_.PopAll(taken)) {
    for (const Waiting& waiting : taken) {
      const auto in_time = [&] {
        return !stopping_ && clock_.Boottime() - waiting.asked <= limits_.wait;
      };
      waiting.answer(in_time() ? Refusal(waiting.question, in_time) : "");
    }
  }
}

// As worker/engine counts: the tokens of the text with the begin token of the tokenizer.
std::string PromptCheck::RefusalOfText(const core::PromptQuestion& question) {
  const absl::StatusOr<std::string> text =
      ReadTextStart(store_, question.data_artifact, core::kTextOfOneTokenBytesMax);
  const absl::StatusOr<const formats::BytePairEncoding*> tokenizer =
      TokenizerOf(question.model_artifact);
  if (!text.ok() || !tokenizer.ok()) {
    LogWarning(absl::StrCat("text ", question.data, " is not counted: ",
                            (text.ok() ? tokenizer.status() : text.status()).message()));
    return "";
  }
  if ((*tokenizer)->EncodeDocument(*text).size() >= 2) {
    return "";
  }
  return absl::StrCat(question.field, ": ", question.data, ": is one token for model ",
                      question.model,
                      ", and a text wants two at least, one to predict the other; push a longer "
                      "text");
}

std::string PromptCheck::Refusal(const core::PromptQuestion& question,
                                 const std::function<bool()>& in_time) {
  if (question.is_text) {
    return RefusalOfText(question);
  }
  for (const core::ConversationData& data : question.conversations) {
    if (std::string refusal = RefusalOfConversations(question, data, in_time); !refusal.empty()) {
      return refusal;
    }
  }
  return RefusalOfPrompts(question, in_time);
}

// As worker/engine reads them: the template writes each conversation, or the job fails.
std::string PromptCheck::RefusalOfConversations(const core::PromptQuestion& question,
                                                const core::ConversationData& data,
                                                const std::function<bool()>& in_time) {
  const absl::StatusOr<formats::ChatTemplate> chat_template =
      ReadChatTemplate(store_, question.model_artifact);
  if (absl::IsNotFound(chat_template.status())) {
    return absl::StrCat(data.field, ": ", data.reference, ": has conversations, and model ",
                        question.model, " has no chat template; name an instruction-tuned model");
  }
  const absl::StatusOr<const formats::BytePairEncoding*> tokenizer =
      TokenizerOf(question.model_artifact);
  const absl::StatusOr<std::string> lines =
      ReadPromptLines(store_, data.artifact, limits_.text_bytes);
  for (const absl::Status& status : {chat_template.status(), tokenizer.status(), lines.status()}) {
    if (!status.ok()) {
      LogWarning(absl::StrCat("conversations of ", data.reference,
                              " are not looked at: ", status.message()));
      return "";
    }
  }
  const auto conversations = formats::ParseChat(*lines, data.reference);
  if (!conversations.ok()) {
    return "";  // The first one is longer than what is read here; the push has checked the file.
  }
  int64_t read = 0;
  for (const formats::Conversation& conversation : *conversations) {
    if (!in_time() || (data.limit_examples > 0 && read == data.limit_examples)) {
      break;
    }
    ++read;
    const absl::Status written =
        formats::EncodeChat(conversation.messages, *chat_template, **tokenizer).status();
    if (!written.ok()) {
      return absl::StrCat(data.field, ": ", data.reference, ": line ", conversation.line, ": ",
                          std::string(written.message()));
    }
  }
  return "";
}

std::string PromptCheck::RefusalOfPrompts(const core::PromptQuestion& question,
                                          const std::function<bool()>& in_time) {
  const absl::StatusOr<std::vector<formats::Prompt>> prompts = PromptsOf(question);
  if (!prompts.ok()) {
    LogWarning(absl::StrCat("prompts of ", question.data,
                            " are not counted: ", prompts.status().message()));
    return "";
  }
  const bool none_is_written_or_long =
      std::all_of(prompts->begin(), prompts->end(), [&](const formats::Prompt& prompt) {
        return prompt.messages.empty() && MostTokens(prompt.text) < question.context_length;
      });
  if (none_is_written_or_long) {
    return "";
  }
  const absl::StatusOr<const formats::BytePairEncoding*> tokenizer =
      TokenizerOf(question.model_artifact);
  if (!tokenizer.ok()) {
    LogWarning(absl::StrCat("prompts for ", question.model,
                            " are not counted: ", tokenizer.status().message()));
    return "";
  }
  std::optional<formats::ChatTemplate> chat_template;
  if (std::any_of(prompts->begin(), prompts->end(),
                  [](const formats::Prompt& prompt) { return !prompt.messages.empty(); })) {
    absl::StatusOr<formats::ChatTemplate> read = ReadChatTemplate(store_, question.model_artifact);
    if (absl::IsNotFound(read.status())) {
      return TellOfNoTemplate(question);
    }
    if (!read.ok()) {
      LogWarning(absl::StrCat("conversations for ", question.model,
                              " are not counted: ", read.status().message()));
      return "";
    }
    chat_template = *std::move(read);
  }
  const absl::StatusOr<std::vector<LongPrompt>> found = FindLongPrompts(
      *prompts, **tokenizer, chat_template.has_value() ? &*chat_template : nullptr,
      question.context_length, {.text_bytes = limits_.text_bytes, .go_on = in_time});
  if (!found.ok()) {
    return absl::StrCat(WhereOf(question), std::string(found.status().message()));
  }
  return found->empty() ? "" : Tell(question, *found);
}

absl::StatusOr<std::vector<formats::Prompt>> PromptCheck::PromptsOf(
    const core::PromptQuestion& question) {
  std::vector<formats::Prompt> prompts;
  if (!question.data_artifact.value().empty()) {
    WATTLE_ASSIGN_OR_RETURN(const std::string lines,
                            ReadPromptLines(store_, question.data_artifact, limits_.file_bytes));
    WATTLE_ASSIGN_OR_RETURN(prompts, formats::ParsePrompts(lines, question.data));
  }
  for (const std::string& text : question.prompts) {
    prompts.push_back({.id = absl::StrCat(prompts.size() + 1), .text = text});
  }
  if (question.chat) {
    formats::AsConversations(prompts);
  }
  return prompts;
}

// The pointer holds until the next call.
absl::StatusOr<const formats::BytePairEncoding*> PromptCheck::TokenizerOf(const ArtifactId& model) {
  const auto known = std::find_if(tokenizers_.begin(), tokenizers_.end(),
                                  [&](const auto& entry) { return entry.first == model; });
  if (known != tokenizers_.end()) {
    tokenizers_.splice(tokenizers_.begin(), tokenizers_, known);
    return &tokenizers_.front().second;
  }
  WATTLE_ASSIGN_OR_RETURN(formats::BytePairEncoding tokenizer, ReadTokenizer(store_, model));
  tokenizers_.emplace_front(model, std::move(tokenizer));
  if (tokenizers_.size() > limits_.tokenizers) {
    tokenizers_.pop_back();
  }
  return &tokenizers_.front().second;
}

}  // namespace wattle::prompts
