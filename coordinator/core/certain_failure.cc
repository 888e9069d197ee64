// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/certain_failure.h"

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "coordinator/core/inputs_internal.h"
#include "proto/job_kind.h"
#include "proto/kind_name.h"

namespace wattle::core {
namespace {

const v1::ArtifactInfo* InputOf(const std::vector<scheduler::InputView>& inputs,
                                absl::string_view field) {
  for (const scheduler::InputView& input : inputs) {
    if (input.field == field) {
      return &input.artifact;
    }
  }
  return nullptr;
}

const v1::ArtifactInfo* ModelOf(const std::vector<scheduler::InputView>& inputs) {
  return InputOf(inputs, "model");
}

// The model as people name it: by its reference in the spec, else as the declared model.
std::string NameOf(const v1::JobSpec& spec) {
  for (const InputReference& input : InputsOf(spec)) {
    if (input.field == "model") {
      return absl::StrCat("model ", input.reference);
    }
  }
  return "the declared model";
}

std::string TooLong(const v1::JobSpec& spec, int64_t sequence_length, int64_t context_length) {
  if (sequence_length <= context_length || context_length <= 0) {
    return "";
  }
  return absl::StrCat(KindName(spec), ".sequence_length: ", sequence_length,
                      " tokens are more than the context of ", NameOf(spec), ", ", context_length,
                      "; write at most ", context_length, " or leave it out");
}

constexpr int kAnswerTokensDefault = 32;  // spec.proto

// An answer is generated behind its question, in one sequence.
std::string AnswersTooLong(const v1::EvaluateSpec& spec, int64_t context_length) {
  const int64_t length = spec.sequence_length() > 0 ? spec.sequence_length() : context_length;
  const int answer = spec.max_answer_tokens() > 0 ? spec.max_answer_tokens() : kAnswerTokensDefault;
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

constexpr int kChainMax = 16;

// The artifact with the tokenizer of the model that `reference` stands for. A job's output that is
// still to be made gets the tokenizer of the model that the job reads. Empty: not known.
ArtifactId TokenizerOf(const State& state, const std::vector<v1::Job>& archived,
                       std::string reference) {
  for (int depth = 0; depth < kChainMax; ++depth) {
    if (const absl::StatusOr<ArtifactId> id = ResolveArtifact(state, reference); id.ok()) {
      return *id;
    }
    const v1::Job* source = FindSource(state, archived, ReferencedJob(reference));
    if (source == nullptr) {
      return ArtifactId();
    }
    if (!source->output_artifact_id().empty()) {
      return ArtifactId(source->output_artifact_id());
    }
    reference.clear();
    for (const v1::ResolvedInput& input : source->inputs()) {
      if (input.field() == "model") {
        reference = input.artifact_id().empty() ? input.reference() : input.artifact_id();
      }
    }
  }
  return ArtifactId();
}

}  // namespace

std::string CertainFailure(const v1::JobSpec& spec,
                           const std::vector<scheduler::InputView>& inputs) {
  const v1::ArtifactInfo* model = ModelOf(inputs);
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
    return ReferenceDoesNotFit(spec.evaluate(), model, InputOf(inputs, "reference_model"));
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
  const v1::ArtifactInfo* model = ModelOf(inputs);
  const v1::ArtifactInfo* data = InputOf(inputs, "data");
  const bool reads_text = (spec.has_evaluate() || spec.has_finetune()) && data != nullptr &&
                          data->dataset().format() == "text" &&
                          data->size_bytes() <= kTextOfOneTokenBytesMax;
  if ((!spec.has_generate() && !reads_text) || model == nullptr ||
      model->model_shape().context_length() <= 0) {
    return std::nullopt;
  }
  PromptQuestion question;
  question.is_text = reads_text;
  question.prompts.assign(spec.generate().prompts().begin(), spec.generate().prompts().end());
  for (const InputReference& input : InputsOf(spec)) {
    if (input.field == "data" && data != nullptr) {
      question.field = absl::StrCat(KindName(spec), ".data");
      question.data = input.reference;
      question.data_artifact = ArtifactId(data->artifact_id());
    }
    if (input.field == "model") {
      question.model = input.reference;
    }
  }
  question.model_artifact = TokenizerOf(state, archived_sources, question.model);
  question.context_length = model->model_shape().context_length();
  if (question.model_artifact.value().empty() ||
      (question.prompts.empty() && question.data_artifact.value().empty())) {
    return std::nullopt;
  }
  return question;
}

}  // namespace wattle::core
