// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/train/examples.h"

#include <malloc.h>

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "formats/chat.h"
#include "formats/chat_examples.h"
#include "formats/chat_template.h"
#include "formats/data_set.h"

namespace wattle::engine {
namespace {

absl::StatusOr<formats::PackedExamples> LoadSquad(const std::string& path,
                                                  const formats::BytePairEncoding& tokenizer,
                                                  const formats::PackOptions& pack,
                                                  int64_t limit_examples) {
  WATTLE_ASSIGN_OR_RETURN(formats::SquadDataSet data, formats::ReadSquad(path));
  if (limit_examples > 0 && limit_examples < static_cast<int64_t>(data.questions.size())) {
    data.questions.resize(static_cast<size_t>(limit_examples));
  }
  auto packed = formats::PackSquad(data, tokenizer, pack);
  return packed.ok() ? std::move(packed) : WithContext(path, packed.status());
}

absl::StatusOr<formats::PackedExamples> LoadChat(const std::string& path,
                                                 const std::string& model_directory,
                                                 const formats::BytePairEncoding& tokenizer,
                                                 const formats::PackOptions& pack,
                                                 int64_t limit_examples) {
  if (model_directory.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": conversations (.jsonl); wants SQuAD (.json) or text (.txt)"));
  }
  WATTLE_ASSIGN_OR_RETURN(std::vector<formats::Conversation> data, formats::ReadChat(path));
  if (limit_examples > 0 && limit_examples < static_cast<int64_t>(data.size())) {
    data.resize(static_cast<size_t>(limit_examples));
  }
  WATTLE_ASSIGN_OR_RETURN(const formats::ChatTemplate chat_template,
                          formats::ChatTemplate::LoadDirectory(model_directory));
  auto packed = formats::PackChat(data, chat_template, tokenizer, pack);
  return packed.ok() ? std::move(packed) : WithContext(path, packed.status());
}

absl::StatusOr<formats::PackedExamples> LoadText(const std::string& path,
                                                 const formats::BytePairEncoding& tokenizer,
                                                 int64_t window_tokens, int64_t limit_examples) {
  WATTLE_ASSIGN_OR_RETURN(const std::string text, formats::ReadText(path));
  const std::vector<int64_t> tokens = tokenizer.EncodeDocument(text);
  formats::PackedExamples packed;
  packed.pool =
      WindowExamples(tokens, window_tokens, /*stride_tokens=*/window_tokens, limit_examples);
  if (packed.pool.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": wants at least two tokens of text; give a longer file"));
  }
  return packed;
}

}  // namespace

void GiveFreedBlocksBack() {
#ifdef __GLIBC__
  malloc_trim(/*pad=*/0);
#endif
}

formats::ExamplePool WindowExamples(absl::Span<const int64_t> tokens, int64_t window_tokens,
                                    int64_t stride_tokens, int64_t limit) {
  formats::ExamplePool pool;
  const size_t begin = pool.AddTokens(tokens);
  for (const formats::TextWindow& window :
       formats::TextWindows(tokens, window_tokens, stride_tokens)) {
    if (limit > 0 && static_cast<int64_t>(pool.size()) == limit) {
      break;
    }
    const size_t first = begin + static_cast<size_t>(window.tokens.data() - tokens.data());
    pool.AddExample(
        {{first, window.first_scored, false},
         {first + window.first_scored, window.tokens.size() - window.first_scored, true}});
  }
  return pool;
}

absl::StatusOr<formats::PackedExamples> LoadExamples(const std::string& path,
                                                     const std::string& model_directory,
                                                     const formats::BytePairEncoding& tokenizer,
                                                     const models::DecoderConfig& config,
                                                     const ExampleOptions& options) {
  const int64_t length =
      options.sequence_length == 0 ? config.max_positions : options.sequence_length;
  if (length > config.max_positions || length < 2) {
    return absl::FailedPreconditionError(absl::StrCat(
        "sequence_length: ", length, " tokens; this model wants 2 to ", config.max_positions));
  }
  WATTLE_ASSIGN_OR_RETURN(const formats::DataSetKind kind, formats::DataSetKindOf(path));
  const formats::PackOptions pack = {
      .max_length_tokens = length, .loss_on = options.loss_on, .eos_token_id = config.eos_token_id};
  switch (kind) {
    case formats::DataSetKind::kSquad:
      return LoadSquad(path, tokenizer, pack, options.limit_examples);
    case formats::DataSetKind::kChat:
      return LoadChat(path, model_directory, tokenizer, pack, options.limit_examples);
    case formats::DataSetKind::kText:
      return LoadText(path, tokenizer, length, options.limit_examples);
    case formats::DataSetKind::kPrompts:
      return absl::InvalidArgumentError(
          absl::StrCat(path,
                       ": no line has an answer to learn from; wants SQuAD (.json), "
                       "conversations (.jsonl) or text (.txt)"));
  }
  return absl::InternalError("unknown kind of data set");
}

uint64_t FingerprintOf(const formats::ExamplePool& examples) {
  // FNV-1a, 64 bits: http://www.isthe.com/chongo/tech/comp/fnv/
  uint64_t hash = 0xcbf29ce484222325ULL;
  const auto mix = [&hash](uint64_t value) { hash = (hash ^ value) * 0x100000001b3ULL; };
  for (size_t i = 0; i < examples.size(); ++i) {
    mix(examples.TokenCount(i));
    examples.ForEachToken(i, [&](int64_t token, bool counts) {
      mix(static_cast<uint64_t>(token) * 2 + (counts ? 1 : 0));
    });
  }
  return hash;
}

}  // namespace wattle::engine
