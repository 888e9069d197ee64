// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/embed/embed.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include <ATen/core/Tensor.h>

#include "base/clock.h"
#include "base/status_macros.h"
#include "formats/byte_pair_encoding.h"
#include "formats/data_set.h"
#include "formats/example_pool.h"
#include "formats/safetensors.h"
#include "models/model_directory.h"
#include "models/tensor_plan.h"
#include "worker/engine/evaluate/length_order.h"
#include "worker/engine/load_for_job.h"
#include "worker/engine/models/decoder.h"
#include "worker/engine/models/flops.h"
#include "worker/engine/models/token_batch.h"
#include "worker/engine/pass_arena.h"
#include "worker/engine/torch_border.h"
#include "worker/engine/train/examples.h"

namespace wattle::engine {
namespace {

absl::StatusOr<std::vector<std::string>> ReadTexts(const EmbedSettings& settings) {
  WATTLE_ASSIGN_OR_RETURN(const formats::DataSetKind kind, formats::DataSetKindOf(settings.data));
  std::vector<std::string> texts;
  if (kind == formats::DataSetKind::kText) {
    WATTLE_ASSIGN_OR_RETURN(const std::string text, formats::ReadText(settings.data));
    for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipWhitespace())) {
      texts.emplace_back(absl::StripTrailingAsciiWhitespace(line));
    }
  } else if (kind == formats::DataSetKind::kPrompts) {
    WATTLE_ASSIGN_OR_RETURN(std::vector<formats::Prompt> prompts,
                            formats::ReadPrompts(settings.data));
    for (formats::Prompt& prompt : prompts) {
      if (!prompt.messages.empty()) {
        return absl::InvalidArgumentError(
            absl::StrCat(settings.data, ": prompt ", prompt.id,
                         ": is a conversation, and a vector is of a text; write {\"prompt\": "
                         "\"…\"} instead of messages"));
      }
      texts.push_back(std::move(prompt.text));
    }
  } else {
    return absl::InvalidArgumentError(absl::StrCat(
        settings.data, ": ", formats::DataSetKindName(kind),
        ": wants texts, one a line (.txt), or JSON lines {\"prompt\": \"…\"} (.jsonl)"));
  }
  if (settings.limit_texts > 0 && settings.limit_texts < static_cast<int64_t>(texts.size())) {
    texts.resize(static_cast<size_t>(settings.limit_texts));
  }
  return texts;
}

struct TextPool {
  formats::ExamplePool pool;
  int64_t truncated = 0;
  double bytes_per_token = 0.0;
};

absl::StatusOr<TextPool> LoadTexts(const EmbedSettings& settings,
                                   const formats::BytePairEncoding& tokenizer,
                                   const models::DecoderConfig& config) {
  const int64_t length =
      settings.sequence_length == 0 ? config.max_positions : settings.sequence_length;
  if (length < 1 || length > config.max_positions) {
    return absl::FailedPreconditionError(absl::StrCat(
        "sequence_length: ", length, " tokens; this model wants 1 to ", config.max_positions));
  }
  WATTLE_ASSIGN_OR_RETURN(const std::vector<std::string> texts, ReadTexts(settings));
  TextPool loaded;
  double bytes = 0.0;
  double all_tokens = 0.0;
  for (const std::string& text : texts) {
    std::vector<int64_t> tokens = tokenizer.EncodeDocument(text);
    if (tokens.empty()) {
      tokens.push_back(config.bos_token_id);
    }
    bytes += static_cast<double>(text.size());
    all_tokens += static_cast<double>(tokens.size());
    if (static_cast<int64_t>(tokens.size()) > length) {
      tokens.resize(static_cast<size_t>(length));
      ++loaded.truncated;
    }
    const size_t begin = loaded.pool.AddTokens(tokens);
    loaded.pool.AddExample({{begin, tokens.size(), /*counts=*/false}});
  }
  loaded.bytes_per_token = bytes / all_tokens;
  return loaded;
}

// The mean of the rows scaled to length 1. Sums in doubles. false: it is not finite or zero.
bool MeanDirection(absl::Span<const float> rows, absl::Span<float> vector) {
  std::vector<double> sums(vector.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    sums[i % sums.size()] += rows[i];
  }
  double square = 0.0;
  for (const double sum : sums) {
    square += sum * sum;
  }
  const double norm = std::sqrt(square);
  for (size_t i = 0; i < sums.size(); ++i) {
    vector[i] = static_cast<float>(sums[i] / norm);
  }
  return std::isfinite(norm) && norm > 0.0;
}

// One batch in its padded form. vectors: [texts, width] of all texts, in the order of the file.
absl::Status EmbedBatch(const Decoder& decoder, const formats::ExamplePool& pool,
                        absl::Span<const size_t> texts, const TokenBatch& batch,
                        absl::Span<float> vectors) {
  const at::Tensor hidden = HiddenStates(decoder, batch).cpu().contiguous();
  const auto width = static_cast<size_t>(decoder.config.width);
  const absl::Span<const float> rows(hidden.data_ptr<float>(), static_cast<size_t>(hidden.numel()));
  const size_t padded = rows.size() / width / texts.size();
  for (size_t i = 0; i < texts.size(); ++i) {
    if (!MeanDirection(rows.subspan(i * padded * width, pool.TokenCount(texts[i]) * width),
                       vectors.subspan(texts[i] * width, width))) {
      return absl::AbortedError(
          absl::StrCat("text ", texts[i] + 1,
                       " of the data: its vector is zero or not finite: the model's weights "
                       "overflow; train that model again with a lower learning_rate or a warm-up"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<WorkTotals> EmbedAll(const Decoder& decoder, const formats::ExamplePool& pool,
                                    int64_t batch_size, absl::Span<float> vectors,
                                    ProgressSink& sink) {
  const std::vector<size_t> order = ByLength(pool);
  const auto count = static_cast<int64_t>(order.size());
  const int64_t steps = (count + batch_size - 1) / batch_size;
  int64_t tokens_left = PaddedTokens(pool, order, batch_size);
  sink.OnPhase(Phase::kEvaluate, 0, steps);
  PassArena arena(
      RoomForPasses(decoder.config, {.kind = models::PassKind::kEvaluate,
                                     .batch = batch_size,
                                     .tokens = static_cast<int64_t>(pool.TokenCount(order[0]))}));
  const PassArena::Scope scope(arena);
  WorkTotals work;
  for (int64_t step = 1; step <= steps; ++step) {
    const Monotonic start = Clock::Real().Boottime();
    const int64_t first = (step - 1) * batch_size;
    const auto texts = absl::MakeConstSpan(order).subspan(
        static_cast<size_t>(first), static_cast<size_t>(std::min(batch_size, count - first)));
    const TokenBatch batch = MakeTokenBatch(pool, texts);
    if (const absl::Status done = EmbedBatch(decoder, pool, texts, batch, vectors); !done.ok()) {
      return done;
    }
    work.steps = step;
    work.examples += batch.examples;
    work.tokens += batch.rows();
    work.real_tokens += batch.real_tokens;
    tokens_left -= batch.rows();
    StepReport report{.phase = Phase::kEvaluate, .step = step, .steps_total = steps};
    report.tokens = batch.rows();
    report.real_tokens = batch.real_tokens;
    report.tokens_left = tokens_left;
    report.examples = batch.examples;
    for (const SequenceGroup& group : batch.groups) {
      report.flops += ForwardFlops(decoder.config, group.sequences, group.tokens);
    }
    report.compute_time = Clock::Real().Boottime() - start;
    if (sink.OnStep(report) != StepDecision::kGoOn) {
      return absl::CancelledError("stopped while embedding");
    }
  }
  return work;
}

absl::Status WriteVectors(const std::string& path, int64_t texts, int64_t width,
                          const std::vector<float>& vectors) {
  constexpr char kTensor[] = "embeddings";
  WATTLE_ASSIGN_OR_RETURN(
      formats::SafetensorsWriter writer,
      formats::SafetensorsWriter::Create(
          path, {{.name = kTensor, .type = formats::DataType::kF32, .shape = {texts, width}}}));
  WATTLE_RETURN_IF_ERROR(
      writer.Write(kTensor, absl::MakeConstSpan(reinterpret_cast<const std::byte*>(vectors.data()),
                                                vectors.size() * sizeof(float))));
  return writer.Commit();
}

absl::StatusOr<EmbedResult> EmbedLoaded(const EmbedSettings& settings, ProgressSink& sink) {
  sink.OnPhase(Phase::kLoad, 0, 0);
  const std::string& directory = settings.model.directory;
  WATTLE_ASSIGN_OR_RETURN(const models::ModelDirectory files,
                          models::InspectModelDirectory(directory));
  WATTLE_ASSIGN_OR_RETURN(const auto tokenizer,
                          formats::BytePairEncoding::LoadDirectory(directory));
  // The data come first: what reading them takes is gone before the weights need room.
  WATTLE_ASSIGN_OR_RETURN(const TextPool texts, LoadTexts(settings, tokenizer, files.config));
  GiveFreedBlocksBack();
  WATTLE_ASSIGN_OR_RETURN(const LoadedModel model, LoadForInference(settings.model, sink));
  const int64_t width = model.files.config.width;
  EmbedResult result;
  result.model = FiguresOf(model);
  result.truncated_texts = texts.truncated;
  result.bytes_per_token = texts.bytes_per_token;
  std::vector<float> vectors(texts.pool.size() * static_cast<size_t>(width));
  WATTLE_ASSIGN_OR_RETURN(result.work, EmbedAll(model.decoder, texts.pool, settings.batch_size,
                                                absl::MakeSpan(vectors), sink));
  sink.OnPhase(Phase::kSave, 0, 0);
  WATTLE_RETURN_IF_ERROR(WriteVectors(absl::StrCat(settings.output_directory, "/", kEmbeddingsFile),
                                      result.work.examples, width, vectors));
  return result;
}

}  // namespace

absl::StatusOr<EmbedResult> Embed(const EmbedSettings& settings, ProgressSink& sink) {
  return AtTorchBorder("embed", [&] { return EmbedLoaded(settings, sink); });
}

}  // namespace wattle::engine
