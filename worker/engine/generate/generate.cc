// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/generate/generate.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/clock.h"
#include "base/status_macros.h"
#include "formats/byte_pair_encoding.h"
#include "formats/chat_examples.h"
#include "formats/chat_template.h"
#include "worker/engine/generate/decode_session.h"
#include "worker/engine/generate/streamed_text.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/load_for_job.h"
#include "worker/engine/models/decoder.h"
#include "worker/engine/models/flops.h"
#include "worker/engine/torch_border.h"

namespace wattle::engine {
namespace {

// One token was generated; fed: number of tokens that the model read for it.
struct TokenStep {
  size_t prompt = 0;
  int64_t token = 0;
  int64_t fed = 0;
  double flops = 0.0;
  bool is_last = false;  // certain to be the prompt's last token
};

enum class AfterToken { kGoOn, kEndPrompt, kStop };
using OnToken = std::function<AfterToken(const TokenStep&)>;

double FlopsOf(const models::DecoderConfig& config, int64_t position, int64_t fed) {
  double flops = 0.0;
  for (int64_t i = 0; i < fed; ++i) {
    flops += DecodeFlops(config, position + i);
  }
  return flops;
}

int64_t TokenLimit(const Decoder& decoder, const std::vector<int64_t>& prompt,
                   const GenerateSettings& settings) {
  return std::min(settings.max_new_tokens,
                  decoder.config.max_positions - static_cast<int64_t>(prompt.size()));
}

int64_t LongestSequence(const Decoder& decoder, const std::vector<std::vector<int64_t>>& prompts,
                        const GenerateSettings& settings) {
  int64_t longest = 1;
  for (const std::vector<int64_t>& prompt : prompts) {
    longest = std::max(longest,
                       static_cast<int64_t>(prompt.size()) + TokenLimit(decoder, prompt, settings));
  }
  return longest;
}

// Whether the vocabulary has a token that ends a text.
bool HasEndToken(const models::DecoderConfig& config) {
  const auto is_token = [&](int64_t token) { return token >= 0 && token < config.vocabulary; };
  return is_token(config.eos_token_id) ||
         std::any_of(config.more_eos_token_ids.begin(), config.more_eos_token_ids.end(), is_token);
}

// Generates the tokens of all prompts, settings.batch_size prompts at a time.
class BatchedDecode {
 public:
  // first_index: counter of the first prompt's draws. on_token: null: tokens are not reported
  // before all are generated; if the model has no end token, they are then read from the device
  // several at a time.
  BatchedDecode(const Decoder& decoder, const std::vector<std::vector<int64_t>>& prompts,
                const GenerateSettings& settings, uint64_t first_index, const OnToken& on_token)
      : decoder_(decoder),
        prompts_(prompts),
        settings_(settings),
        first_index_(first_index),
        on_token_(on_token),
        slots_(std::min(static_cast<size_t>(settings.batch_size), prompts.size())),
        session_(decoder, LongestSequence(decoder, prompts, settings), DecodeForm::kFastest,
                 static_cast<int64_t>(slots_.size())),
        on_device_(session_.chooses_on_device(settings.sampling)),
        steps_at_once_(on_device_ && on_token == nullptr && !HasEndToken(decoder.config)
                           ? session_.steps_ahead()
                           : 1),
        made_(prompts.size()) {}

  // The generated tokens by prompt, including an end token.
  std::vector<std::vector<int64_t>> Run() {
    size_t waiting = 0;
    while (!stopped_) {
      for (size_t i = 0; i < slots_.size() && !stopped_; ++i) {
        while (!slots_[i].busy && waiting < prompts_.size() && !stopped_) {
          Begin(static_cast<int64_t>(i), waiting++);
        }
      }
      if (stopped_ || !StepAll()) {
        break;
      }
    }
    return std::move(made_);
  }

 private:
  struct Slot {
    bool busy = false;
    size_t prompt = 0;
    int64_t token = 0;  // the last one, input of the next step
    std::optional<Sampler> sampler;
  };

  void Begin(int64_t index, size_t prompt) {
    const std::vector<int64_t>& tokens = prompts_[prompt];
    if (TokenLimit(decoder_, tokens, settings_) < 1) {
      return;
    }
    Slot& slot = slots_[static_cast<size_t>(index)];
    slot.busy = true;
    slot.prompt = prompt;
    slot.sampler.emplace(settings_.sampling);
    slot.sampler->Saw(tokens);
    session_.Clear(index);
    const auto fed = static_cast<int64_t>(tokens.size());
    const double flops = FlopsOf(decoder_.config, 0, fed);
    if (on_device_) {
      const kernels::SequenceTokens sequence{.slot = index, .tokens = tokens};
      const float unit = UnitOf(slot);
      Take(slot,
           session_
               .StepAndChoose(absl::MakeConstSpan(&sequence, 1), settings_.sampling,
                              absl::MakeConstSpan(&unit, 1))
               .front(),
           fed, flops);
    } else {
      Take(slot, Drawn(slot, session_.Feed(tokens, index)), fed, flops);
    }
  }

  // The random number of the slot's draw after the next `later` ones.
  [[nodiscard]] float UnitOf(const Slot& slot, int64_t later = 0) const {
    return kernels::RandomUnit({.seed = settings_.sampling.seed,
                                .step = first_index_ + slot.prompt,
                                .use = kernels::RandomUse::kSampling},
                               static_cast<int64_t>(made_[slot.prompt].size()) + later);
  }

  // The slot's next token.
  int64_t Drawn(Slot& slot, absl::Span<const float> logits) {
    return slot.sampler->Draw(logits, UnitOf(slot));
  }

  void Take(Slot& slot, int64_t token, int64_t fed, double flops) {
    std::vector<int64_t>& made = made_[slot.prompt];
    slot.token = token;
    slot.sampler->Saw(absl::MakeConstSpan(&slot.token, 1));
    made.push_back(slot.token);
    const bool is_last = TokensLeft(slot) == 0;
    const AfterToken after = on_token_ == nullptr
                                 ? AfterToken::kGoOn
                                 : on_token_({slot.prompt, slot.token, fed, flops, is_last});
    stopped_ = stopped_ || after == AfterToken::kStop;
    slot.busy = after == AfterToken::kGoOn && !is_last && !decoder_.config.ends_text(slot.token);
  }

  // Number of tokens that the slot's prompt may still get.
  [[nodiscard]] int64_t TokensLeft(const Slot& slot) const {
    return TokenLimit(decoder_, prompts_[slot.prompt], settings_) -
           static_cast<int64_t>(made_[slot.prompt].size());
  }

  // Number of steps up to and including the first in which a sequence may end.
  [[nodiscard]] int64_t StepsTogether() const {
    int64_t steps = steps_at_once_;
    for (const Slot& slot : slots_) {
      steps = slot.busy ? std::min(steps, TokensLeft(slot)) : steps;
    }
    return steps;
  }

  // One token for each busy slot, or several; returns false if no slot is busy.
  bool StepAll() {
    sequences_.clear();
    for (size_t i = 0; i < slots_.size(); ++i) {
      if (slots_[i].busy) {
        sequences_.push_back(
            {.slot = static_cast<int64_t>(i), .tokens = absl::MakeConstSpan(&slots_[i].token, 1)});
      }
    }
    if (sequences_.empty()) {
      return false;
    }
    return on_device_ ? TakeChosen(StepsTogether()) : TakeDrawn();
  }

  // Takes the tokens that the device chooses for sequences_ in so many steps.
  bool TakeChosen(int64_t steps) {
    units_.clear();
    for (int64_t step = 0; step < steps; ++step) {
      for (const kernels::SequenceTokens& sequence : sequences_) {
        units_.push_back(UnitOf(slots_[static_cast<size_t>(sequence.slot)], step));
      }
    }
    const std::vector<int64_t> chosen =
        session_.StepAndChoose(sequences_, settings_.sampling, units_, steps);
    for (size_t i = 0; i < chosen.size() && !stopped_; ++i) {
      const int64_t index = sequences_[i % sequences_.size()].slot;
      const int64_t later = steps - 1 - static_cast<int64_t>(i / sequences_.size());
      Take(slots_[static_cast<size_t>(index)], chosen[i], 1,
           FlopsOf(decoder_.config, session_.length(index) - 1 - later, 1));
    }
    return true;
  }

  // Takes the tokens that the host draws for sequences_ in one step.
  bool TakeDrawn() {
    const absl::Span<const float> logits = session_.Step(sequences_);
    const size_t vocabulary = logits.size() / sequences_.size();
    for (size_t i = 0; i < sequences_.size() && !stopped_; ++i) {
      const int64_t index = sequences_[i].slot;
      Slot& slot = slots_[static_cast<size_t>(index)];
      Take(slot, Drawn(slot, logits.subspan(i * vocabulary, vocabulary)), 1,
           FlopsOf(decoder_.config, session_.length(index) - 1, 1));
    }
    return true;
  }

  const Decoder& decoder_;
  const std::vector<std::vector<int64_t>>& prompts_;
  const GenerateSettings& settings_;
  uint64_t first_index_;
  const OnToken& on_token_;
  std::vector<Slot> slots_;
  DecodeSession session_;
  const bool on_device_;  // whether tokens are chosen on the device of the logits
  const int64_t steps_at_once_;
  std::vector<std::vector<int64_t>> made_;
  std::vector<kernels::SequenceTokens> sequences_;
  std::vector<float> units_;  // for the sequences
  bool stopped_ = false;
};

// Texts that grow concurrently, output one after the other with an empty line between them.
class TextsInOrder {
 public:
  explicit TextsInOrder(size_t count) : held_(count), ended_(count) {}

  // The output after `text` was added to a prompt's text; ended: the prompt's text is complete.
  std::string Add(size_t prompt, std::string text, bool ended) {
    ended_[prompt] = ended;
    if (prompt != front_) {
      held_[prompt] += text;
      return "";
    }
    while (ended_[front_] && front_ + 1 < held_.size()) {
      ++front_;
      text += "\n\n" + std::exchange(held_[front_], "");
    }
    return text;
  }

 private:
  std::vector<std::string> held_;
  std::vector<bool> ended_;
  size_t front_ = 0;
};

// The tokens of a conversation, up to the point where the assistant begins to answer.
absl::StatusOr<std::vector<int64_t>> EncodeConversation(
    const formats::Prompt& prompt, const formats::ChatTemplate& chat_template,
    const formats::BytePairEncoding& tokenizer) {
  const absl::StatusOr<std::string> text =
      formats::WriteChatPrompt(prompt.messages, chat_template, tokenizer);
  if (!text.ok()) {
    return WithContext(absl::StrCat("prompt ", prompt.id), text.status());
  }
  return tokenizer.Encode(*text, formats::SpecialTokens::kRecognise);
}

// Tokens of every prompt; an empty prompt starts from the begin token.
absl::StatusOr<std::vector<std::vector<int64_t>>> EncodePrompts(
    const GenerateSettings& settings, const formats::BytePairEncoding& tokenizer,
    const models::DecoderConfig& config) {
  std::optional<formats::ChatTemplate> chat_template;  // read for the first conversation
  std::vector<std::vector<int64_t>> encoded;
  for (const formats::Prompt& prompt : settings.prompts) {
    std::vector<int64_t> tokens;
    if (prompt.messages.empty()) {
      tokens = tokenizer.EncodeDocument(prompt.text);
    } else {
      if (!chat_template.has_value()) {
        WATTLE_ASSIGN_OR_RETURN(chat_template,
                                formats::ChatTemplate::LoadDirectory(settings.model.directory));
      }
      WATTLE_ASSIGN_OR_RETURN(tokens, EncodeConversation(prompt, *chat_template, tokenizer));
    }
    if (tokens.empty()) {
      tokens.push_back(config.bos_token_id);
    }
    if (static_cast<int64_t>(tokens.size()) >= config.max_positions) {
      return absl::InvalidArgumentError(
          absl::StrCat("prompt ", prompt.id, ": ", tokens.size(),
                       " tokens leave no room in this model's context of ", config.max_positions,
                       "; shorten it to ", config.max_positions - 1, " tokens at most"));
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

Generation Describe(const formats::Prompt& prompt, size_t prompt_tokens,
                    const std::vector<int64_t>& made, FinishReason finish, std::string text) {
  Generation generation;
  generation.id = prompt.id;
  generation.prompt = prompt.text;
  generation.prompt_tokens = static_cast<int64_t>(prompt_tokens);
  generation.generated_tokens = static_cast<int64_t>(made.size());
  generation.finish = finish;
  generation.text = std::move(text);
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
      static_cast<int64_t>(encoded.size()) * settings.max_new_tokens;  // maximum
  sink.OnPhase(Phase::kGenerate, 0, steps_total);
  std::vector<StreamedText> texts(encoded.size(), StreamedText(settings.stops));
  std::vector<std::vector<int64_t>> in_text(encoded.size());
  TextsInOrder order(encoded.size());
  bool stopped = false;
  Monotonic start = Clock::Real().Boottime();
  const OnToken on_token = [&](const TokenStep& token) {
    StreamedText& text = texts[token.prompt];
    std::string more;
    const bool at_end = config.ends_text(token.token);
    if (!at_end) {
      in_text[token.prompt].push_back(token.token);
      more = text.Grow(tokenizer.Decode(in_text[token.prompt]));
    }
    const bool ended = at_end || token.is_last || text.stopped();
    if (ended) {
      more += text.End();
    }
    StepReport report{.phase = Phase::kGenerate, .steps_total = steps_total};
    report.step = ++result.work.steps;
    report.tokens = token.fed;
    report.real_tokens = token.fed;
    report.flops = token.flops;
    report.text = order.Add(token.prompt, std::move(more), ended);
    report.compute_time = Clock::Real().Boottime() - start;
    result.work.tokens += token.fed;
    stopped = sink.OnStep(report) != StepDecision::kGoOn;
    start = Clock::Real().Boottime();
    return stopped          ? AfterToken::kStop
           : text.stopped() ? AfterToken::kEndPrompt
                            : AfterToken::kGoOn;
  };
  const auto made = BatchedDecode(model.decoder, encoded, settings, 0, on_token).Run();
  if (stopped) {
    return absl::CancelledError("stopped while generating");
  }
  for (size_t i = 0; i < encoded.size(); ++i) {
    result.prompt_tokens += static_cast<int64_t>(encoded[i].size());
    result.work.real_tokens += static_cast<int64_t>(encoded[i].size());
    result.generated_tokens += static_cast<int64_t>(made[i].size());
    ++result.work.examples;
    const FinishReason finish = texts[i].stopped()
                                    ? FinishReason::kStop
                                    : WhyFinished(made[i], settings.max_new_tokens, config);
    result.generations.push_back(
        Describe(settings.prompts[i], encoded[i].size(), made[i], finish, texts[i].text()));
  }
  return result;
}

}  // namespace

absl::string_view FinishReasonName(FinishReason reason) {
  switch (reason) {
    case FinishReason::kEndOfText:
      return "end_of_text";
    case FinishReason::kStop:
      return "stop";
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
  const std::vector<std::vector<int64_t>> prompts = {prompt};
  return BatchedDecode(decoder, prompts, settings, prompt_index, nullptr).Run().front();
}

std::vector<std::vector<int64_t>> GenerateTokens(const Decoder& decoder,
                                                 const std::vector<std::vector<int64_t>>& prompts,
                                                 int64_t max_new_tokens,
                                                 const SamplingSettings& sampling) {
  GenerateSettings settings;
  settings.max_new_tokens = max_new_tokens;
  settings.sampling = sampling;
  settings.batch_size = static_cast<int64_t>(prompts.size());
  return BatchedDecode(decoder, prompts, settings, 0, nullptr).Run();
}

}  // namespace wattle::engine
