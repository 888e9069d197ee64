// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/generate/generate.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/clock.h"
#include "base/status_macros.h"
#include "formats/byte_pair_encoding.h"
#include "worker/engine/generate/decode_session.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/load_for_job.h"
#include "worker/engine/models/decoder.h"
#include "worker/engine/models/flops.h"
#include "worker/engine/torch_border.h"

namespace wattle::engine {
namespace {

// One token was made; fed: how many tokens the model read for it.
struct TokenStep {
  int64_t token = 0;
  int64_t fed = 0;
  double flops = 0.0;
};

using OnToken = std::function<bool(const TokenStep&)>;

double FlopsOf(const models::DecoderConfig& config, int64_t position, int64_t fed) {
  double flops = 0.0;
  for (int64_t i = 0; i < fed; ++i) {
    flops += DecodeFlops(config, position + i);
  }
  return flops;
}

std::vector<int64_t> RunPrompt(const Decoder& decoder, const std::vector<int64_t>& prompt,
                               const GenerateSettings& settings, uint64_t prompt_index,
                               const OnToken& on_token) {
  const int64_t room = decoder.config.max_positions - static_cast<int64_t>(prompt.size());
  const int64_t limit = std::min(settings.max_new_tokens, room);
  DecodeSession session(decoder, static_cast<int64_t>(prompt.size()) + limit);
  Sampler sampler(settings.sampling);
  std::vector<int64_t> made;
  std::vector<int64_t> next = prompt;
  while (static_cast<int64_t>(made.size()) < limit) {
    const auto fed = static_cast<int64_t>(next.size());
    const double flops = FlopsOf(decoder.config, session.length(), fed);
    const absl::Span<const float> logits = session.Feed(next);
    const float unit = kernels::RandomUnit({.seed = settings.sampling.seed,
                                            .step = prompt_index,
                                            .use = kernels::RandomUse::kSampling},
                                           static_cast<int64_t>(made.size()));
    const int64_t token = sampler.Draw(logits, unit);
    made.push_back(token);
    next.assign(1, token);
    const bool go_on = on_token({token, fed, flops});
    if (!go_on || decoder.config.ends_text(token)) {
      break;
    }
  }
  return made;
}

// Tokens of every prompt; an empty prompt starts from the begin token.
absl::StatusOr<std::vector<std::vector<int64_t>>> EncodePrompts(
    const GenerateSettings& settings, const formats::BytePairEncoding& tokenizer,
    const models::DecoderConfig& config) {
  std::vector<std::vector<int64_t>> encoded;
  for (const formats::Prompt& prompt : settings.prompts) {
    std::vector<int64_t> tokens = tokenizer.EncodeDocument(prompt.text);
    if (tokens.empty()) {
      tokens.push_back(config.bos_token_id);
    }
    if (static_cast<int64_t>(tokens.size()) >= config.max_positions) {
      return absl::InvalidArgumentError(
          absl::StrCat("prompt ", prompt.id, ": ", tokens.size(),
                       " tokens leave no room in this model's context of ", config.max_positions,
                       "; shorten it"));
    }
    encoded.push_back(std::move(tokens));
  }
  return encoded;
}

FinishReason WhyFinished(const std::vector<int64_t>& made, int64_t max_new_tokens,
                         const models::DecoderConfig& config) {
  if (!made.empty() && config.ends_text(made.back())) {
    return FinishReason::kEndOfText;
  }
  return static_cast<int64_t>(made.size()) == max_new_tokens ? FinishReason::kLength
                                                             : FinishReason::kContext;
}

// `made` ends with the end-of-text token if that is why it finished; the text is without it.
Generation Describe(const formats::Prompt& prompt, size_t prompt_tokens, std::vector<int64_t> made,
                    FinishReason finish, const formats::BytePairEncoding& tokenizer) {
  Generation generation;
  generation.id = prompt.id;
  generation.prompt = prompt.text;
  generation.prompt_tokens = static_cast<int64_t>(prompt_tokens);
  generation.generated_tokens = static_cast<int64_t>(made.size());
  generation.finish = finish;
  if (finish == FinishReason::kEndOfText) {
    made.pop_back();
  }
  generation.text = tokenizer.Decode(made);
  return generation;
}

absl::StatusOr<GenerateResult> GenerateLoaded(const GenerateSettings& settings,
                                              ProgressSink& sink) {
  sink.OnPhase(Phase::kLoad, 0, 0);
  WATTLE_ASSIGN_OR_RETURN(const LoadedModel model, LoadForInference(settings.model, sink));
  WATTLE_ASSIGN_OR_RETURN(const auto tokenizer,
                          formats::BytePairEncoding::LoadDirectory(settings.model.directory));
  const models::DecoderConfig& config = model.files.config;
  WATTLE_ASSIGN_OR_RETURN(const auto encoded, EncodePrompts(settings, tokenizer, config));
  GenerateResult result;
  result.model = FiguresOf(model);
  const int64_t steps_total =
      static_cast<int64_t>(encoded.size()) * settings.max_new_tokens;  // at most
  sink.OnPhase(Phase::kGenerate, 0, steps_total);
  bool stopped = false;
  for (size_t i = 0; i < encoded.size() && !stopped; ++i) {
    Monotonic start = Clock::Real().Boottime();
    const auto on_token = [&](const TokenStep& token) {
      const Monotonic now = Clock::Real().Boottime();
      StepReport report{.phase = Phase::kGenerate, .steps_total = steps_total};
      report.step = ++result.work.steps;
      report.tokens = token.fed;
      report.real_tokens = token.fed;
      report.flops = token.flops;
      report.compute_time = now - start;
      result.work.tokens += token.fed;
      result.work.real_tokens += token.fed;
      stopped = sink.OnStep(report) != StepDecision::kGoOn;
      start = Clock::Real().Boottime();
      return !stopped;
    };
    std::vector<int64_t> made = RunPrompt(model.decoder, encoded[i], settings, i, on_token);
    result.prompt_tokens += static_cast<int64_t>(encoded[i].size());
    result.generated_tokens += static_cast<int64_t>(made.size());
    ++result.work.examples;
    const FinishReason finish = WhyFinished(made, settings.max_new_tokens, config);
    result.generations.push_back(
        Describe(settings.prompts[i], encoded[i].size(), std::move(made), finish, tokenizer));
  }
  if (stopped) {
    return absl::CancelledError("stopped while generating");
  }
  return result;
}

}  // namespace

absl::string_view FinishReasonName(FinishReason reason) {
  switch (reason) {
    case FinishReason::kEndOfText:
      return "end_of_text";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kContext:
      return "context";
  }
  return "";
}

absl::StatusOr<GenerateResult> Generate(const GenerateSettings& settings, ProgressSink& sink) {
  return AtTorchBorder("generate", [&] { return GenerateLoaded(settings, sink); });
}

std::vector<int64_t> GenerateTokens(const Decoder& decoder, const std::vector<int64_t>& prompt,
                                    int64_t max_new_tokens, const SamplingSettings& sampling,
                                    uint64_t prompt_index) {
  GenerateSettings settings;
  settings.max_new_tokens = max_new_tokens;
  settings.sampling = sampling;
  return RunPrompt(decoder, prompt, settings, prompt_index,
                   [](const TokenStep& /*step*/) { return true; });
}

}  // namespace wattle::engine
