// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/predict/data_memory.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "proto/job_kind.h"
#include "proto/spec_defaults.h"
#include "scheduler/predict/example_tokens.h"
#include "scheduler/predict/job_kinds.h"
#include "scheduler/predict/padding.h"

namespace wattle::scheduler {
namespace {

// formats/example_pool.h: a token, an example, a range of tokens.
constexpr double kTokenBytes = 4;
constexpr double kExampleBytes = 24;
constexpr double kRangeBytes = 24;
// Bytes of a token as a tokenizer returns it (int64).
constexpr double kWideTokenBytes = 8;
// Bytes of a word's bounds, and the bytes of a word's text, its space included.
constexpr double kWordBytes = 16;
constexpr double kBytesPerWord = 6;
// formats/squad.h: a question with its answers beside the bytes of their texts, and formats/chat.h:
// a message. Measured, heap blocks included.
constexpr double kQuestionBytes = 300;
constexpr double kMessageBytes = 120;
// Overhead of the lists while they grow.
constexpr double kGrowing = 1.1;

// More than any file has: the readers refuse files beyond 1 GiB.
constexpr double kBytesMax = 1e12;

// The statistics stated by a data set are not checked anywhere else.
double Checked(double value) {
  return value > 0 ? std::min(value, kBytesMax) : 0.0;
}

int64_t Whole(double value) {
  return static_cast<int64_t>(Checked(value));
}

// Peak of a list of `bytes` that grows by doubling: the old list and its copy at the last growth.
double Growing(double bytes) {
  return static_cast<double>(std::bit_ceil(static_cast<uint64_t>(Whole(bytes))));
}

// One data set in the runner's memory.
struct Pooled {
  int64_t longest_tokens = 0;
  double held = 0;     // as examples
  double parsed = 0;   // as the reader returns it
  double parsing = 0;  // peak while parsing
  double reading = 0;  // peak until the examples are held
};

struct Cut {
  double tokens = 0;          // most tokens of an example
  double examples = 0;        // most examples of the file; 0: all
  bool half_windows = false;  // windows of a text overlap by half
};

Pooled PooledText(double file_bytes, double bytes_per_token, const Cut& cut) {
  const double tokens = file_bytes / bytes_per_token + 1;
  const double windows = tokens / std::max(1.0, cut.half_windows ? cut.tokens / 2 : cut.tokens);
  Pooled pooled;
  pooled.longest_tokens = Whole(file_bytes + 1);
  pooled.held = kTokenBytes * tokens + windows * (kExampleBytes + 2 * kRangeBytes);
  const double wide = kWideTokenBytes * tokens;
  const double words = cut.half_windows ? Growing(file_bytes / kBytesPerWord * kWordBytes) : 0;
  pooled.reading = file_bytes + std::max({Growing(wide), wide + Growing(kTokenBytes * tokens),
                                          wide + pooled.held + words});
  return pooled;
}

Pooled PooledSquad(const v1::DatasetStatistics& data, double file_bytes, double bytes_per_token,
                   const Cut& cut) {
  constexpr double kRanges = 3;  // context, question, answer
  const auto examples = static_cast<double>(data.examples());
  const double mean = Checked(data.mean_byte_length());
  const double context = std::min(Checked(data.mean_context_byte_length()), mean);
  // An older push does not state the shared bytes; the file has no text twice.
  const double own =
      data.contexts() > 0 ? examples * (mean - context) : std::min(examples * mean, file_bytes);
  const double contexts = static_cast<double>(data.contexts()) * context;
  const double share = cut.examples > 0 ? std::min(1.0, cut.examples / examples) : 1.0;
  Pooled pooled;
  const double tokens = kTokenBytes * ((own + contexts) / bytes_per_token + examples);
  pooled.held = share * (tokens + examples * (kExampleBytes + kRanges * kRangeBytes));
  pooled.parsed = own + contexts + examples * kQuestionBytes;
  pooled.parsing = file_bytes + kGrowing * pooled.parsed;
  pooled.reading =
      std::max(pooled.parsing, pooled.parsed + std::max(pooled.held, Growing(share * tokens)));
  return pooled;
}

Pooled PooledChat(const v1::DatasetStatistics& data, double file_bytes, const TokenRates& rates,
                  const Cut& cut) {
  const auto examples = static_cast<double>(data.examples());
  const auto quantiles = TokenQuantiles(data, rates);
  const std::vector<double> messages(data.message_count_quantiles().begin(),
                                     data.message_count_quantiles().end());
  if (!quantiles.ok() || quantiles->empty()) {
    return {};
  }
  const double of_one = messages.empty() ? 1 : ExpectedMaximum(messages, 1, messages.back());
  const double share = cut.examples > 0 ? std::min(1.0, cut.examples / examples) : 1.0;
  Pooled pooled;
  const double tokens = kTokenBytes * examples * ExpectedMaximum(*quantiles, 1, cut.tokens);
  // The answers count; the text before and after them does not.
  pooled.held = share * (tokens + examples * (kExampleBytes + (of_one + 1) * kRangeBytes));
  pooled.parsed = examples * (Checked(data.mean_byte_length()) + of_one * kMessageBytes);
  pooled.parsing = file_bytes + kGrowing * pooled.parsed;
  pooled.reading =
      std::max(pooled.parsing, pooled.parsed + std::max(pooled.held, Growing(share * tokens)));
  return pooled;
}

Pooled PooledOf(const v1::ArtifactInfo* artifact, const TokenRates& rates, const Cut& cut) {
  if (artifact == nullptr || artifact->dataset().examples() < 1) {
    return {};
  }
  const v1::DatasetStatistics& data = artifact->dataset();
  const double texts = static_cast<double>(data.examples()) * Checked(data.mean_byte_length());
  const double file_bytes =
      artifact->size_bytes() > 0 ? static_cast<double>(artifact->size_bytes()) : texts;
  if (data.format() == "text") {
    return PooledText(file_bytes, rates.bytes_per_token, cut);
  }
  Pooled pooled = data.format() == "squad"
                      ? PooledSquad(data, file_bytes, rates.bytes_per_token, cut)
                  : data.format() == "chat" ? PooledChat(data, file_bytes, rates, cut)
                                            : Pooled();
  pooled.longest_tokens = data.byte_length_quantiles().empty() ? 0 : Whole(MostTokens(data, rates));
  return pooled;
}

int64_t ContextOf(const v1::JobSpec& spec, const v1::ArtifactInfo* model) {
  const v1::ModelShape* const declared = DeclaredModel(spec);
  return declared != nullptr ? declared->context_length()
         : model != nullptr  ? model->model_shape().context_length()
                             : 0;
}

}  // namespace

DataMemory DataMemoryOf(const v1::JobSpec& spec, absl::Span<const InputView> inputs,
                        double bytes_per_token) {
  const v1::ArtifactInfo* const model = FindInput(inputs, kModelInput);
  const v1::ArtifactInfo* const data = FindInput(inputs, "data");
  const TokenRates rates = {.bytes_per_token = std::max(1.0, bytes_per_token),
                            .chat_template = model != nullptr && model->has_chat_template()
                                                 ? &model->chat_template()
                                                 : nullptr};
  const auto context = static_cast<double>(std::max<int64_t>(1, ContextOf(spec, model)));
  DataMemory memory;
  memory.is_text = data != nullptr && data->dataset().format() == "text";
  if (const v1::ArtifactInfo* reference = FindInput(inputs, "reference_model");
      reference != nullptr) {
    memory.reference_recipe = reference->recipe();
  }
  const KindPart* const part = KindPartOf(spec);
  if (part != nullptr && part->longest_prompt != nullptr) {
    memory.longest_tokens = part->longest_prompt(spec, data, rates);
  }
  if (part == nullptr || part->examples == nullptr) {
    return memory;
  }
  const HeldExamples examples = part->examples(spec);
  const double tokens = memory.is_text && examples.half_windows
                            ? std::min<double>(context, kTextWindowTokensMax)
                        : examples.sequence_length > 0
                            ? std::min(static_cast<double>(examples.sequence_length), context)
                            : context;
  const Pooled own = PooledOf(data, rates,
                              {.tokens = tokens,
                               .examples = static_cast<double>(examples.limit_examples),
                               .half_windows = examples.half_windows});
  const Pooled heldout = PooledOf(FindInput(inputs, "heldout_data"), rates, {.tokens = tokens});
  memory.longest_tokens = own.longest_tokens;
  memory.heldout_longest_tokens = heldout.longest_tokens;
  memory.held_bytes = Whole(own.held + heldout.held);
  memory.reading_bytes = Whole(std::max(own.reading, own.held + heldout.reading));
  if (examples.questions) {
    memory.questions_bytes = Whole(own.parsed);
    memory.reading_questions_bytes = Whole(own.parsing);
  }
  return memory;
}

MemoryWorkload MemoryWorkloadOf(const v1::JobSpec& spec, int64_t max_positions,
                                const DataMemory& data) {
  const KindPart* const part = KindPartOf(spec);
  MemoryWorkload workload = part == nullptr ? MemoryWorkload{.task = MemoryTask::kQuantize}
                                            : part->memory(spec, max_positions, data);
  workload.data_bytes = data.held_bytes;
  workload.reading_bytes = data.reading_bytes;
  return workload;
}

}  // namespace wattle::scheduler
