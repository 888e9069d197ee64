// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/prompts/prompt_check.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "base/utf8.h"
#include "coordinator/log/log.h"
#include "coordinator/prompts/prompt_count.h"
#include "coordinator/prompts/stored_files.h"
#include "worker/box/isolation.h"

namespace wattle::prompts {
namespace {

// A sanitizer's own tables count as memory that a process may write, and are larger than any limit.
#if defined(__SANITIZE_ADDRESS__) || defined(_GLIBCXX_TSAN)
constexpr bool kLimitsMemory = false;
#else
constexpr bool kLimitsMemory = true;
#endif

bool HasOnlyShortPrompts(const core::PromptQuestion& question) {
  return question.data_artifact.value().empty() && !question.chat &&
         question.conversations.empty() &&
         std::all_of(
             question.prompts.begin(), question.prompts.end(),
             [&](const std::string& text) { return MostTokens(text) < question.context_length; });
}

// Whether the child's end is the fault of what it read, and not of this machine.
bool IsOfTheFiles(const absl::Status& end) {
  return absl::IsDeadlineExceeded(end) || absl::IsResourceExhausted(end) || absl::IsAborted(end) ||
         absl::IsPermissionDenied(end) || absl::IsDataLoss(end);
}

}  // namespace

PromptCheck::PromptCheck(artifacts::BlobStore& store, const Clock& clock, CounterProgram program,
                         PromptCheckLimits limits)
    : store_(store),
      clock_(clock),
      limits_(limits),
      program_(std::move(program)),
      waiting_(limits.questions),
      stop_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_([this] { Run(); }) {}

PromptCheck::~PromptCheck() {
  Stop();
}

void PromptCheck::Stop() {
  stopping_ = true;
  const uint64_t one = 1;
  (void)!write(stop_.get(), &one, sizeof(one));
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
  // A write to a child that has left answers EPIPE; the signal must not end this process.
  sigset_t pipe_signal;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_signal, nullptr);
  std::vector<Waiting> taken;
  while (waiting_.PopAll(taken)) {
    for (const Waiting& waiting : taken) {
      const absl::Duration left = limits_.wait - (clock_.Boottime() - waiting.asked);
      waiting.answer(!stopping_ && left >= absl::ZeroDuration() ? Refusal(waiting.question, left)
                                                                : "");
    }
  }
  children_.clear();  // A child ends with the thread that started it.
}

std::string PromptCheck::Refusal(const core::PromptQuestion& question, absl::Duration left) {
  absl::StatusOr<CounterChild*> child = ChildOf(question.model_artifact);
  absl::StatusOr<v1::PromptCountAnswer> answer =
      child.ok() ? (*child)->Ask(Written(question, left), limits_.patience, stop_.get())
                 : absl::StatusOr<v1::PromptCountAnswer>(child.status());
  if (answer.ok()) {
    if (!answer->not_counted().empty()) {
      LogWarning(OneLine(answer->not_counted()));
    }
    return OneLine(answer->refusal());
  }
  if (child.ok()) {
    children_.pop_front();  // It is of no more use.
  }
  if (child.ok() && IsOfTheFiles(answer.status())) {
    const std::string refusal = TellOfChild(question, answer.status());
    LogWarning(refusal);
    return refusal;
  }
  if (!absl::IsCancelled(answer.status())) {
    LogWarning(absl::StrCat("prompts for ", question.model,
                            " are not counted: ", std::string(answer.status().message())));
  }
  return "";
}

std::string PromptCheck::TellOfChild(const core::PromptQuestion& question,
                                     const absl::Status& end) const {
  const std::string where =
      question.conversations.empty()
          ? (question.data.empty() ? "generate.prompts"
                                   : absl::StrCat(question.field, ": ", question.data))
          : absl::StrCat(question.conversations.front().field, ": ",
                         question.conversations.front().reference);
  return absl::StrCat(where, ": the count of its tokens with model ", question.model, " ",
                      std::string(end.message()),
                      absl::IsDeadlineExceeded(end)
                          ? "; submit again if the coordinator's machine was busy, else do not "
                          : "; do not ",
                      "trust the model's tokenizer and chat template and the data, or "
                      "push the model with those of its maker");
}

v1::PromptCountQuestion PromptCheck::Written(const core::PromptQuestion& question,
                                             absl::Duration left) const {
  v1::PromptCountQuestion written;
  written.set_is_text(question.is_text);
  written.set_field(question.field);
  written.mutable_prompts()->Add(question.prompts.begin(), question.prompts.end());
  written.set_chat(question.chat);
  written.set_reference(question.data);
  if (question.is_text) {
    *written.mutable_data() =
        ReadTextStart(store_, question.data_artifact, core::kTextOfOneTokenBytesMax);
  } else if (!question.data_artifact.value().empty()) {
    *written.mutable_data() = ReadPromptLines(store_, question.data_artifact, limits_.file_bytes);
  }
  for (const core::ConversationData& data : question.conversations) {
    v1::PromptCountConversations& conversations = *written.add_conversations();
    conversations.set_field(data.field);
    conversations.set_reference(data.reference);
    *conversations.mutable_lines() = ReadPromptLines(store_, data.artifact, limits_.text_bytes);
    conversations.set_limit_examples(data.limit_examples);
  }
  written.set_model(question.model);
  written.set_context_length(question.context_length);
  written.set_text_bytes_max(limits_.text_bytes);
  written.set_seconds_max(absl::ToDoubleSeconds(left));
  return written;
}

// The pointer holds until the next call.
absl::StatusOr<CounterChild*> PromptCheck::ChildOf(const ArtifactId& model) {
  const auto known = std::find_if(children_.begin(), children_.end(),
                                  [&](const auto& entry) { return entry.first == model; });
  if (known != children_.end()) {
    children_.splice(children_.begin(), children_, known);
    return children_.front().second.get();
  }
  if (!level_.has_value()) {
    const box::Isolation isolation = box::DetectIsolation(program_.at_most);
    level_ = isolation.level;
    if (isolation.level < program_.at_most) {
      LogWarning(absl::StrCat("prompts are counted in a child at isolation ",
                              box::LevelName(isolation.level), ", not ",
                              box::LevelName(program_.at_most), ": ", isolation.missing,
                              "; see docs/operate/security.md"));
    }
  }
  WATTLE_ASSIGN_OR_RETURN(
      std::unique_ptr<CounterChild> child,
      CounterChild::Start({.program = program_.path,
                           .arguments = program_.arguments,
                           .level = *level_,
                           .memory_bytes = kLimitsMemory ? limits_.memory_bytes : 0},
                          ReadModelFiles(store_, model)));
  children_.emplace_front(model, std::move(child));
  if (children_.size() > limits_.tokenizers) {
    children_.pop_back();
  }
  return children_.front().second.get();
}

}  // namespace wattle::prompts
