// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Finds jobs that would fail on every device, before a device spends joules on them. Pure.
#ifndef WATTLE_COORDINATOR_CORE_CERTAIN_FAILURE_H_
#define WATTLE_COORDINATOR_CORE_CERTAIN_FAILURE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/core/state.h"
#include "scheduler/place/snapshot.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::core {

// Why the job would fail on every device, with the remedy; empty if nothing is known against the
// job. CertainFailure reads the spec and the records of its inputs. It finds a sequence longer than
// the model's context, and a quantized model that is to be trained or quantized again.
std::string CertainFailure(const v1::JobSpec& spec,
                           const std::vector<scheduler::InputView>& inputs);

// A text above this size has more than one token.
inline constexpr int64_t kTextOfOneTokenBytesMax = 256;

// Conversations that are data of a job.
struct ConversationData {
  std::string field;      // "finetune.heldout_data"
  std::string reference;  // What the spec calls the artifact.
  ArtifactId artifact;
  int64_t limit_examples = 0;  // The first that are read; 0: all.
};

// What has to be looked at with the model's tokenizer and chat template before a job is accepted,
// for whoever has them; the core has neither. Of a generate job the prompts: one that fills the
// model's context is refused by every device, and so are conversations for a model without a chat
// template. Of an evaluation or a fine-tune its conversations, which the template must be able to
// write, and its short text: a text of one token has nothing to predict.
struct PromptQuestion {
  bool is_text = false;              // `data` is a text, and there are no prompts.
  std::string field;                 // "generate.data"
  std::vector<std::string> prompts;  // That the spec has itself.
  bool chat = false;                 // Prompts are written by the model's chat template.
  std::string data;                  // What the spec calls the artifact; empty: none.
  ArtifactId data_artifact;
  std::vector<ConversationData> conversations;
  std::string model;           // What the spec calls the model.
  ArtifactId model_artifact;   // Has the model's tokenizer: the model, or what it is made from.
  int64_t context_length = 0;  // Tokens.
};

// inputs: of ForeseeInputs. archived_sources: as in SubmitJob. Nothing where there is nothing to
// look at: another kind, a long text, a declared model, a model whose context is not known.
std::optional<PromptQuestion> QuestionOfPrompts(const State& state, const v1::JobSpec& spec,
                                                const std::vector<scheduler::InputView>& inputs,
                                                const std::vector<v1::Job>& archived_sources);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_CERTAIN_FAILURE_H_
