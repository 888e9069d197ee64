// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/certain_failure.h"

#include "absl/strings/str_cat.h"

#include "coordinator/core/inputs_internal.h"
#include "coordinator/core/job_kinds_internal.h"
#include "proto/job_kind.h"
#include "proto/kind_name.h"

namespace wattle::core {
namespace {

// The inputs that are conversations.
std::vector<ConversationData> ConversationsOf(const v1::JobSpec& spec,
                                              const std::vector<scheduler::InputView>& inputs) {
  std::vector<ConversationData> found;
  for (const scheduler::InputView& input : inputs) {
    if (input.artifact.dataset().format() == "chat") {
      found.push_back(
          {.field = absl::StrCat(KindName(spec), ".", input.field),
           .reference = ReferenceIn(spec, input.field),
           .artifact = ArtifactId(input.artifact.artifact_id()),
           .limit_examples = input.field == "data" ? IntegerIn(spec, "limit_examples") : 0});
    }
  }
  return found;
}

}  // namespace

std::string CertainFailure(const v1::JobSpec& spec,
                           const std::vector<scheduler::InputView>& inputs) {
  const KindPart* const part = KindPartOf(spec);
  if (part == nullptr || part->certain_failure == nullptr) {
    return "";
  }
  const v1::ArtifactInfo* model = scheduler::FindInput(inputs, kModelInput);
  const v1::ModelShape* declared = DeclaredModel(spec);
  const v1::ModelShape& shape = declared != nullptr ? *declared
                                : model != nullptr  ? model->model_shape()
                                                    : v1::ModelShape::default_instance();
  return part->certain_failure(spec, {model, shape}, inputs);
}

std::optional<PromptQuestion> QuestionOfPrompts(const State& state, const v1::JobSpec& spec,
                                                const std::vector<scheduler::InputView>& inputs,
                                                const std::vector<v1::Job>& archived_sources) {
  const v1::ArtifactInfo* model = scheduler::FindInput(inputs, kModelInput);
  const v1::ArtifactInfo* data = scheduler::FindInput(inputs, "data");
  const KindPart* const part = KindPartOf(spec);
  if (part == nullptr || model == nullptr || model->model_shape().context_length() <= 0) {
    return std::nullopt;
  }
  PromptQuestion question;
  if (part->scores_data) {
    question.is_text = data != nullptr && data->dataset().format() == "text" &&
                       data->size_bytes() <= kTextOfOneTokenBytesMax;
    question.conversations = ConversationsOf(spec, inputs);
  }
  if (part->ask_prompts != nullptr) {
    part->ask_prompts(spec, question);
  } else if (!question.is_text && question.conversations.empty()) {
    return std::nullopt;
  }
  if (data != nullptr && data->dataset().format() != "chat") {
    question.field = absl::StrCat(KindName(spec), ".data");
    question.data = ReferenceIn(spec, "data");
    question.data_artifact = ArtifactId(data->artifact_id());
  }
  question.model = ReferenceIn(spec, kModelInput);
  // A job's output that is still to be made has the tokenizer of the model that it is made from.
  if (const auto chain = ChainOf(state, archived_sources, question.model); chain.ok()) {
    question.model_artifact = chain->stored;
  }
  question.context_length = model->model_shape().context_length();
  const bool has_something = !question.prompts.empty() || !question.conversations.empty() ||
                             !question.data_artifact.value().empty();
  if (question.model_artifact.value().empty() || !has_something) {
    return std::nullopt;
  }
  return question;
}

}  // namespace wattle::core
