// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/gguf_config.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "formats/json.h"
#include "models/family.h"
#include "models/gguf_keys_internal.h"
#include "models/gguf_tensors.h"

namespace wattle::models {
namespace {

using formats::GgufHeader;
using formats::GgufTensor;
using formats::GgufValue;

// End tokens that older files specify only by their text.
constexpr absl::string_view kTurnEnds[] = {"<|eot_id|>", "<|im_end|>", "<|eom_id|>", "<|end|>",
                                           "<end_of_turn>"};
constexpr int64_t kControlToken = 3;

// Tokens that end a text: the end of a text, of a turn, of a message.
std::vector<int64_t> EndTokens(MetadataReader& reader, int64_t vocabulary) {
  std::vector<int64_t> ends;
  const auto add = [&](int64_t id) {
    if (std::find(ends.begin(), ends.end(), id) == ends.end()) {
      ends.push_back(id);
    }
  };
  add(reader.Whole(kEndId, std::nullopt, 0, vocabulary - 1));
  for (const char* key : {kEndOfTurnId, kEndOfMessageId}) {
    if (reader.Has(key)) {
      add(reader.Whole(key, std::nullopt, 0, vocabulary - 1));
    }
  }
  const GgufValue* tokens = reader.header().FindValue(kTokensKey);
  const GgufValue* types = reader.header().FindValue(kTokenTypesKey);
  const auto* texts = tokens == nullptr ? nullptr : std::get_if<std::vector<std::string>>(tokens);
  const auto* kinds = types == nullptr ? nullptr : std::get_if<std::vector<int64_t>>(types);
  if (texts != nullptr && kinds != nullptr && texts->size() == kinds->size()) {
    for (size_t id = 0; id < texts->size() && static_cast<int64_t>(id) < vocabulary; ++id) {
      if ((*kinds)[id] == kControlToken && std::find(std::begin(kTurnEnds), std::end(kTurnEnds),
                                                     (*texts)[id]) != std::end(kTurnEnds)) {
        add(static_cast<int64_t>(id));
      }
    }
  }
  return ends;
}

// Whether two tensors hold the same values.
absl::StatusOr<bool> SameValues(const formats::GgufFile& file, const GgufTensor& a,
                                const GgufTensor& b) {
  constexpr int64_t kRowsAtOnce = 64;
  if (a.shape != b.shape || a.type != b.type) {
    return false;
  }
  std::vector<float> ours;
  std::vector<float> theirs;
  for (int64_t row = 0; row < a.row_count(); row += kRowsAtOnce) {
    const int64_t rows = std::min(kRowsAtOnce, a.row_count() - row);
    ours.resize(static_cast<size_t>(rows * a.shape.back()));
    theirs.resize(ours.size());
    WATTLE_RETURN_IF_ERROR(file.ReadRows(a, row, rows, absl::MakeSpan(ours)));
    WATTLE_RETURN_IF_ERROR(file.ReadRows(b, row, rows, absl::MakeSpan(theirs)));
    if (ours != theirs) {
      return false;
    }
  }
  return true;
}

}  // namespace

absl::StatusOr<DecoderConfig> ReadGgufConfig(const GgufHeader& header, const std::string& file,
                                             const TensorFacts& facts) {
  MetadataReader general(header, file, "general", facts);
  const std::string name = general.Text(kArchitecture, "");
  WATTLE_RETURN_IF_ERROR(general.status());
  const Family* family = FindGgufFamily(name);
  if (family == nullptr) {
    return absl::UnimplementedError(absl::StrCat(
        file, ": ", kArchitecture, ": \"", formats::Printable(name),
        "\" is not supported in this version; use a model of one of: ", GgufArchitectureNames()));
  }
  if (general.Whole(kSplitCount, 1, 0, kSizeMax) > 1) {
    return absl::UnimplementedError(absl::StrCat(
        file, ": ", kSplitCount,
        ": one of several files of a model; join them first: llama-gguf-split --merge"));
  }
  MetadataReader reader(header, file, name, facts);
  const GgufTensor* tokens = header.Find(kGgufTokens);
  if (tokens == nullptr || tokens->shape.size() != 2 || tokens->shape[0] > kSizeMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        file, ": tensor ", kGgufTokens, ": missing or no table; this file holds no whole model"));
  }
  const int64_t vocabulary = tokens->shape[0];
  nlohmann::ordered_json json = family->gguf->read(reader);
  json["model_type"] = family->name;
  json["vocab_size"] = vocabulary;
  const std::vector<int64_t> ends = EndTokens(reader, vocabulary);
  json["eos_token_id"] = ends;
  json["bos_token_id"] = reader.Whole(kBeginId, ends.front(), 0, vocabulary - 1);
  WATTLE_RETURN_IF_ERROR(reader.status());
  WATTLE_ASSIGN_OR_RETURN(DecoderConfig config,
                          ParseDecoderConfig(json.dump(), absl::StrCat(file, " (as config.json)")));
  // The metadata has no dropout, and config.json's defaults are those of a first training.
  config.attention_dropout = config.residual_dropout = config.embedding_dropout = 0.0;
  return config;
}

absl::StatusOr<DecoderConfig> DecoderConfigOfGguf(const formats::GgufFile& file) {
  TensorFacts facts;
  const GgufTensor* head = file.header().Find(kGgufHead);
  const GgufTensor* tokens = file.header().Find(kGgufTokens);
  facts.tied = head == nullptr;
  if (head != nullptr && tokens != nullptr) {
    WATTLE_ASSIGN_OR_RETURN(facts.tied, SameValues(file, *head, *tokens));
  }
  const GgufTensor* factors = file.header().Find(kGgufRopeFactors);
  if (factors != nullptr && factors->row_count() == 1 && factors->shape.back() <= kSizeMax) {
    facts.rope_factors.resize(static_cast<size_t>(factors->shape.back()));
    WATTLE_RETURN_IF_ERROR(file.ReadRows(*factors, 0, 1, absl::MakeSpan(facts.rope_factors)));
  }
  return ReadGgufConfig(file.header(), file.path(), facts);
}

}  // namespace wattle::models
