// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/evaluate/answers.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"

#include "base/clock.h"
#include "base/status_macros.h"
#include "formats/squad.h"
#include "formats/squad_score.h"
#include "worker/engine/generate/decode_session.h"
#include "worker/engine/models/decoder.h"
#include "worker/engine/models/flops.h"

namespace wattle::engine {
namespace {

// The cost of one answer.
struct Answer {
  std::string text;
  int64_t generated_tokens = 0;
  double flops = 0.0;
};

bool LineHasEnded(const std::string& text) {
  return absl::StripLeadingAsciiWhitespace(text).find('\n') != absl::string_view::npos;
}

Answer AnswerTo(const Decoder& decoder, const std::vector<int64_t>& prompt, int64_t tokens_max,
                const formats::BytePairEncoding& tokenizer) {
  DecodeSession session(decoder, static_cast<int64_t>(prompt.size()) + tokens_max);
  Answer answer;
  std::vector<int64_t> made;
  std::string text;
  std::vector<int64_t> next = prompt;
  while (static_cast<int64_t>(made.size()) < tokens_max && !LineHasEnded(text)) {
    for (size_t i = 0; i < next.size(); ++i) {
      answer.flops += DecodeFlops(decoder.config, session.length() + static_cast<int64_t>(i));
    }
    const int64_t token = session.FeedGreedily(next);
    ++answer.generated_tokens;
    if (decoder.config.ends_text(token)) {
      break;
    }
    made.push_back(token);
    text = tokenizer.Decode(made);
    next.assign(1, token);
  }
  answer.text = formats::SquadAnswerOf(text);
  return answer;
}

}  // namespace

absl::StatusOr<AnswerFigures> ScoreAnswers(const AnswerOptions& options, const Decoder& decoder,
                                           const formats::BytePairEncoding& tokenizer,
                                           ProgressSink& sink) {
  WATTLE_ASSIGN_OR_RETURN(const formats::SquadDataSet data, formats::ReadSquad(options.data));
  const int64_t length =
      options.sequence_length == 0 ? decoder.config.max_positions : options.sequence_length;
  if (options.max_answer_tokens < 1 || options.max_answer_tokens >= length) {
    return absl::FailedPreconditionError(
        absl::StrCat("max_answer_tokens: ", options.max_answer_tokens, "; wants 1 to ", length - 1,
                     ", a prompt stands before the answer"));
  }
  absl::Span<const formats::SquadQuestion> questions = data.questions;
  if (options.limit_questions > 0) {
    questions = questions.subspan(0, static_cast<size_t>(options.limit_questions));
  }
  AnswerFigures figures;
  const auto steps = static_cast<int64_t>(questions.size());
  sink.OnPhase(Phase::kEvaluate, 0, steps);
  int64_t step = 0;
  for (const formats::SquadQuestion& question : questions) {
    const Monotonic start = Clock::Real().Boottime();
    WATTLE_ASSIGN_OR_RETURN(
        const std::vector<int64_t> prompt,
        formats::PackSquadPrompt(data, question, tokenizer, length - options.max_answer_tokens));
    Answer answer = AnswerTo(decoder, prompt, options.max_answer_tokens, tokenizer);
    const formats::SquadScore score = formats::ScoreSquadAnswer(question, answer.text);
    figures.exact_match_percent += 100.0 * score.exact_match / static_cast<double>(steps);
    figures.f1_percent += 100.0 * score.f1 / static_cast<double>(steps);
    figures.answers.emplace_back(question.id, std::move(answer.text));
    figures.prompt_tokens += static_cast<int64_t>(prompt.size());
    figures.generated_tokens += answer.generated_tokens;
    StepReport report{.phase = Phase::kEvaluate, .step = ++step, .steps_total = steps};
    report.tokens = static_cast<int64_t>(prompt.size()) + answer.generated_tokens - 1;
    report.real_tokens = report.tokens;
    report.examples = 1;
    report.flops = answer.flops;
    report.compute_time = Clock::Real().Boottime() - start;
    if (sink.OnStep(report) != StepDecision::kGoOn) {
      return absl::CancelledError("stopped while answering");
    }
  }
  return figures;
}

}  // namespace wattle::engine
