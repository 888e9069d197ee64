// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/certain_failure.h"

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "coordinator/core/inputs_internal.h"
#include "proto/kind_name.h"

namespace wattle::core {
namespace {

const v1::ArtifactInfo* ModelOf(const std::vector<scheduler::InputView>& inputs) {
  for (const scheduler::InputView& input : inputs) {
    if (input.field == "model") {
      return &input.artifact;
    }
  }
  return nullptr;
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
  const v1::ModelShape* declared = DeclaredShape(spec);
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
    return TooLong(spec, spec.finetune().sequence_length(), context_length);
  }
  if (spec.has_evaluate()) {
    return TooLong(spec, spec.evaluate().sequence_length(), context_length);
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
  if (!spec.has_generate() || model == nullptr || model->model_shape().context_length() <= 0) {
    return std::nullopt;
  }
  PromptQuestion question;
  question.prompts.assign(spec.generate().prompts().begin(), spec.generate().prompts().end());
  for (const scheduler::InputView& input : inputs) {
    if (input.field == "data") {
      question.data = spec.generate().data();
      question.data_artifact = ArtifactId(input.artifact.artifact_id());
    }
  }
  question.model = spec.generate().model();
  question.model_artifact = TokenizerOf(state, archived_sources, question.model);
  question.context_length = model->model_shape().context_length();
  if (question.model_artifact.value().empty() ||
      (question.prompts.empty() && question.data_artifact.value().empty())) {
    return std::nullopt;
  }
  return question;
}

}  // namespace wattle::core
