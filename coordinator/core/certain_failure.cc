// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/certain_failure.h"

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "coordinator/core/inputs_internal.h"
#include "proto/job_kind.h"
#include "proto/kind_name.h"
#include "proto/spec_defaults.h"

namespace wattle::core {
namespace {

// The model as people name it: by its reference in the spec, else as the declared model.
std::string NameOf(const v1::JobSpec& spec) {
  const std::string& model = ReferenceIn(spec, kModelInput);
  return model.empty() ? "the declared model" : absl::StrCat("model ", model);
}

std::string TooLong(const v1::JobSpec& spec, int64_t sequence_length, int64_t context_length) {
  if (sequence_length <= context_length || context_length <= 0) {
    return "";
  }
  return absl::StrCat(KindName(spec), ".sequence_length: ", sequence_length,
                      " tokens are more than the context of ", NameOf(spec), ", ", context_length,
                      "; write at most ", context_length, " or leave it out");
}

std::string TooManyLayers(const v1::JobSpec& spec, int last_layers, int layers) {
  if (last_layers <= layers || layers <= 0) {
    return "";
  }
  return absl::StrCat("finetune.last_layers: ", last_layers, ": ", NameOf(spec), " has ", layers,
                      " layers; write at most ", layers, ", or leave it out to train every weight");
}

// An answer is generated behind its question, in one sequence.
std::string AnswersTooLong(const v1::EvaluateSpec& spec, int64_t context_length) {
  const int64_t length = spec.sequence_length() > 0 ? spec.sequence_length() : context_length;
  const int answer = spec.max_answer_tokens() > 0 ? spec.max_answer_tokens() : kNewTokensDefault;
  if (!spec.score_answers() || length <= 0 || answer < length) {
    return "";
  }
  return absl::StrCat("evaluate.max_answer_tokens: ", answer,
                      " tokens of answer leave no room for a question in a sequence of ", length,
                      length > 1 ? absl::StrCat("; write at most ", length - 1) : "",
                      spec.sequence_length() > 0 ? "; or raise sequence_length" : "");
}

// The engine compares the two models token by token (worker/engine/evaluate).
std::string ReferenceDoesNotFit(const v1::EvaluateSpec& spec, const v1::ArtifactInfo* model,
                                const v1::ArtifactInfo* reference) {
  if (model == nullptr || reference == nullptr || !model->has_model_shape() ||
      !reference->has_model_shape()) {
    return "";
  }
  const v1::ModelShape& own = model->model_shape();
  const v1::ModelShape& other = reference->model_shape();
  if (own.vocabulary_size() == other.vocabulary_size() &&
      own.context_length() <= other.context_length()) {
    return "";
  }
  return absl::StrCat("evaluate.reference_model: ", spec.reference_model(), " has a vocabulary of ",
                      other.vocabulary_size(), " tokens and a context of ", other.context_length(),
                      ", and model ", spec.model(), " has ", own.vocabulary_size(), " and ",
                      own.context_length(), "; name the model that it was made from");
}

// The inputs of a fine-tune or an evaluation that are conversations.
std::vector<ConversationData> ConversationsOf(const v1::JobSpec& spec,
                                              const std::vector<scheduler::InputView>& inputs) {
  std::vector<ConversationData> found;
  if (!spec.has_finetune() && !spec.has_evaluate()) {
    return found;
  }
  for (const scheduler::InputView& input : inputs) {
    if (input.artifact.dataset().format() == "chat") {
      const bool is_limited = input.field == "data";
      found.push_back({.field = absl::StrCat(KindName(spec), ".", input.field),
                       .reference = ReferenceIn(spec, input.field),
                       .artifact = ArtifactId(input.artifact.artifact_id()),
                       .limit_examples = !is_limited           ? 0
                                         : spec.has_finetune() ? spec.finetune().limit_examples()
                                                               : spec.evaluate().limit_examples()});
    }
  }
  return found;
}

}  // namespace

std::string CertainFailure(const v1::JobSpec& spec,
                           const std::vector<scheduler::InputView>& inputs) {
  const v1::ArtifactInfo* model = scheduler::FindInput(inputs, kModelInput);
  const v1::ModelShape* declared = DeclaredModel(spec);
  const int64_t context_length = declared != nullptr ? declared->context_length()
                                 : model != nullptr  ? model->model_shape().context_length()
                                                     : 0;
  if (spec.has_finetune()) {
    // Adapters stand beside weights of any form.
    if (model != nullptr && IsQuantized(*model) && !spec.finetune().has_lora()) {
      return absl::StrCat("finetune.model: ", NameOf(spec), " is ", model->quantization(),
                          ", and training wants its FP32 weights; name the model that it was "
                          "quantized from");
    }
    if (model != nullptr && IsQuantized(*model) && spec.finetune().lora().merge()) {
      return absl::StrCat("finetune.lora.merge: ", NameOf(spec), " is ", model->quantization(),
                          " and cannot take the adapters in; leave merge out, or name the model "
                          "that it was quantized from");
    }
    const int layers = declared != nullptr ? declared->layers()
                       : model != nullptr  ? model->model_shape().layers()
                                           : 0;
    if (std::string sentence = TooManyLayers(spec, spec.finetune().last_layers(), layers);
        !sentence.empty()) {
      return sentence;
    }
    return TooLong(spec, spec.finetune().sequence_length(), context_length);
  }
  if (spec.has_evaluate()) {
    if (std::string sentence = TooLong(spec, spec.evaluate().sequence_length(), context_length);
        !sentence.empty()) {
      return sentence;
    }
    if (std::string sentence = AnswersTooLong(spec.evaluate(), context_length); !sentence.empty()) {
      return sentence;
    }
    return ReferenceDoesNotFit(spec.evaluate(), model,
                               scheduler::FindInput(inputs, "reference_model"));
  }
  if (spec.has_quantize() && model != nullptr && IsQuantized(*model)) {
    return absl::StrCat("quantize.model: ", NameOf(spec), " is ", model->quantization(),
                        " already; name the model that it was quantized from");
  }
  return "";
}

std::optional<PromptQuestion> QuestionOfPrompts(const State& state, const v1::JobSpec& spec,
                                                const std::vector<scheduler::InputView>& inputs,
                                                const std::vector<v1::Job>& archived_sources) {
  const v1::ArtifactInfo* model = scheduler::FindInput(inputs, kModelInput);
  const v1::ArtifactInfo* data = scheduler::FindInput(inputs, "data");
  PromptQuestion question;
  question.is_text = (spec.has_evaluate() || spec.has_finetune()) && data != nullptr &&
                     data->dataset().format() == "text" &&
                     data->size_bytes() <= kTextOfOneTokenBytesMax;
  question.conversations = ConversationsOf(spec, inputs);
  if ((!spec.has_generate() && !question.is_text && question.conversations.empty()) ||
      model == nullptr || model->model_shape().context_length() <= 0) {
    return std::nullopt;
  }
  question.prompts.assign(spec.generate().prompts().begin(), spec.generate().prompts().end());
  question.chat = spec.generate().chat();
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
