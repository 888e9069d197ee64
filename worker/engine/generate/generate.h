// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Batch generation: several prompts of any lengths at once, each in a slot of one KV cache; a
// prompt that ends gives its slot to the next one. No libtorch in this header.
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
  int64_t batch_size = 1;               // prompts at once
};

enum class FinishReason { kEndOfText, kStop, kLength, kContext };
[[nodiscard]] absl::string_view FinishReasonName(FinishReason reason);  // "end_of_text", …

struct Generation {
  std::string id;
  std::string prompt;  // its text
  std::string text;    // without the prompt, the end token, and what a stop text cut off
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

// Whole job. A prompt with messages is written by the model's chat template; a model without one is
// an error (kNotFound). Reports a step for each token, with the text that it adds. A prompt that
// leaves no room in the model's context is an error before anything is generated (kInvalidArgument,
// naming it). Draws depend on (seed, prompt's place, token's place) alone, not on the batch. Steps
// tell the texts in the order of the prompts, with an empty line between them.
absl::StatusOr<GenerateResult> Generate(const GenerateSettings& settings, ProgressSink& sink);

// The tokens after `prompt`, the end token included where it came. May throw libtorch's exceptions.
// prompt_index: counter of the draws.
std::vector<int64_t> GenerateTokens(const Decoder& decoder, const std::vector<int64_t>& prompt,
                                    int64_t max_new_tokens, const SamplingSettings& sampling,
                                    uint64_t prompt_index);
// The same of prompts side by side, whose counters follow one another from 0. Nobody hears of a
// token before all are made, so what a device chose of a model without an end token, which ends
// nothing, it reads by itself: the host waits once for the tokens of up to 16 steps.
std::vector<std::vector<int64_t>> GenerateTokens(const Decoder& decoder,
                                                 const std::vector<std::vector<int64_t>>& prompts,
                                                 int64_t max_new_tokens,
                                                 const SamplingSettings& sampling);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_GENERATE_GENERATE_H_
