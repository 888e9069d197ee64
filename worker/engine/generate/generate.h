// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Batch generation: several prompts of any lengths at the same time, each in a slot of one KV
// cache; when a prompt ends, its slot serves the next one. No libtorch in this header.
#ifndef WATTLE_WORKER_ENGINE_GENERATE_GENERATE_H_
#define WATTLE_WORKER_ENGINE_GENERATE_GENERATE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "formats/data_set.h"
#include "worker/engine/generate/sampler.h"
#include "worker/engine/model_job.h"
#include "worker/engine/progress.h"

namespace wattle::engine {

struct Decoder;

struct GenerateSettings {
  ModelJob model;
  std::vector<formats::Prompt> prompts;
  int64_t max_new_tokens = 32;
  SamplingSettings sampling;
  std::vector<std::string> stops = {};  // texts that end a generation
  int64_t batch_size = 1;               // prompts at the same time
};

enum class FinishReason { kEndOfText, kStop, kLength, kContext };
[[nodiscard]] absl::string_view FinishReasonName(FinishReason reason);  // "end_of_text", …

struct Generation {
  std::string id;
  std::string prompt;  // the prompt's text
  std::string text;    // without the prompt, the end token, and the part cut off by a stop text
  int64_t prompt_tokens = 0;
  int64_t generated_tokens = 0;
  FinishReason finish = FinishReason::kLength;
};

struct GenerateResult {
  std::vector<Generation> generations;  // in the order of the prompts
  ModelFigures model;
  int64_t prompt_tokens = 0;
  int64_t generated_tokens = 0;
  WorkTotals work;
};

// Whole job. The model's chat template formats a prompt with messages; a model without a template
// is an error (kNotFound). Reports a step for each token, with the text that it adds. A prompt that
// leaves no room in the model's context is an error before anything is generated (kInvalidArgument,
// with the prompt). Draws depend only on (seed, index of the prompt, index of the token), not on
// the batch. Steps report the texts in the order of the prompts, with an empty line between them.
absl::StatusOr<GenerateResult> Generate(const GenerateSettings& settings, ProgressSink& sink);

// The tokens after `prompt`, including an end token. May throw libtorch's exceptions. prompt_index:
// counter of the draws.
std::vector<int64_t> GenerateTokens(const Decoder& decoder, const std::vector<int64_t>& prompt,
                                    int64_t max_new_tokens, const SamplingSettings& sampling,
                                    uint64_t prompt_index);
// GenerateTokens for several prompts at the same time, with consecutive counters from 0. Tokens are
// not reported before all are generated. If the model has no end token, the device feeds its chosen
// tokens back itself, and the host waits only once for the tokens of up to 16 steps.
std::vector<std::vector<int64_t>> GenerateTokens(const Decoder& decoder,
                                                 const std::vector<std::vector<int64_t>>& prompts,
                                                 int64_t max_new_tokens,
                                                 const SamplingSettings& sampling);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_GENERATE_GENERATE_H_
