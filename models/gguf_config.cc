// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/gguf_config.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "base/status_macros.h"
#include "formats/json.h"
#include "models/family.h"
#include "models/gguf_config_internal.h"
#include "models/gguf_keys_internal.h"
#include "models/gguf_tensors.h"

namespace wattle::models {
namespace {

using formats::GgufHeader;
using formats::GgufTensor;
using formats::GgufValue;

constexpr double kLowFrequencyFactor = 1.0;
constexpr double kHighFrequencyFactor = 4.0;
constexpr int64_t kLlama3Positions = 8192;  // of the first training of Llama 3
constexpr double kFactorTolerance = 1e-4;
constexpr int64_t kGemma2LayersOf27B = 46;
// End tokens that older files name only by their text.
constexpr absl::string_view kTurnEnds[] = {"<|eot_id|>", "<|im_end|>", "<|eom_id|>", "<|end|>",
                                           "<end_of_turn>"};
constexpr int64_t kControlToken = 3;

// The shortest decimal number that is this float: 1e-05 rather than 9.99999974e-06.
double Shortest(double value) {
  const auto number = static_cast<float>(value);
  for (int digits = 6; digits < 9; ++digits) {
    double shorter = 0.0;
    if (absl::SimpleAtod(absl::StrFormat("%.*g", digits, number), &shorter) &&
        static_cast<float>(shorter) == number) {
      return shorter;
    }
  }
  return value;
}

// Typed values of the metadata. The first error stays; until then a value in error is harmless.
class MetadataReader {
 public:
  MetadataReader(const GgufHeader& header, std::string file, std::string architecture)
      : header_(header), file_(std::move(file)), prefix_(std::move(architecture) + ".") {}

  // Keys that begin with "%" belong to the architecture.
  [[nodiscard]] std::string KeyOf(absl::string_view key) const {
    return key[0] == '%' ? prefix_ + std::string(key.substr(1)) : std::string(key);
  }
  [[nodiscard]] bool Has(absl::string_view key) const {
    return header_.FindValue(KeyOf(key)) != nullptr;
  }
  [[nodiscard]] bool HasTensor(absl::string_view name) const {
    return header_.Find(name) != nullptr;
  }

  int64_t Whole(absl::string_view key, std::optional<int64_t> absent, int64_t low, int64_t high) {
    const GgufValue* value = header_.FindValue(KeyOf(key));
    if (value == nullptr && absent.has_value()) {
      return *absent;
    }
    const auto* number = value == nullptr ? nullptr : std::get_if<int64_t>(value);
    if (number == nullptr || *number < low || *number > high) {
      Wants(key, absl::StrCat("a whole number from ", low, " to ", high), value);
      return low;
    }
    return *number;
  }
  int64_t Size(absl::string_view key, std::optional<int64_t> absent = std::nullopt) {
    return Whole(key, absent, 1, kSizeMax);
  }
  double Number(absl::string_view key, std::optional<double> absent) {
    const GgufValue* value = header_.FindValue(KeyOf(key));
    if (value == nullptr && absent.has_value()) {
      return *absent;
    }
    const auto* number = value == nullptr ? nullptr : std::get_if<double>(value);
    if (number == nullptr || !std::isfinite(*number)) {
      Wants(key, "a number", value);
      return 1.0;
    }
    return Shortest(*number);
  }
  bool Flag(absl::string_view key, bool absent) {
    const GgufValue* value = header_.FindValue(KeyOf(key));
    if (value == nullptr) {
      return absent;
    }
    const auto* flag = std::get_if<bool>(value);
    if (flag == nullptr) {
      Wants(key, "true or false", value);
    }
    return flag != nullptr && *flag;
  }
  std::string Text(absl::string_view key, absl::string_view absent) {
    const GgufValue* value = header_.FindValue(KeyOf(key));
    const auto* text = value == nullptr ? nullptr : std::get_if<std::string>(value);
    if (value != nullptr && text == nullptr) {
      Wants(key, "text", value);
    }
    return text == nullptr ? std::string(absent) : *text;
  }

  void Refuse(absl::string_view key, absl::string_view what) {
    Fail(absl::UnimplementedError(
        absl::StrCat(file_, ": ", KeyOf(key), ": ", what, " is not supported in this version")));
  }
  void Wants(absl::string_view key, absl::string_view wanted, const GgufValue* found) {
    Fail(absl::InvalidArgumentError(absl::StrCat(
        file_, ": ", KeyOf(key), ": ", found == nullptr ? "missing; " : "", "wants ", wanted)));
  }
  void Fail(absl::Status status) {
    if (status_.ok()) {
      status_ = std::move(status);
    }
  }
  [[nodiscard]] const absl::Status& status() const { return status_; }
  [[nodiscard]] const GgufHeader& header() const { return header_; }
  [[nodiscard]] const std::string& file() const { return file_; }

 private:
  const GgufHeader& header_;
  std::string file_;
  std::string prefix_;
  absl::Status status_;
};

// A share of `whole` that is `part` again when it is multiplied and cut.
double ShareOf(int64_t part, int64_t whole) {
  const double share = static_cast<double>(part) / static_cast<double>(whole);
  const bool exact = static_cast<int64_t>(static_cast<double>(whole) * share) == part;
  return exact ? share : (static_cast<double>(part) + 0.5) / static_cast<double>(whole);
}

// The field rope_scaling that gives these divisors of the frequencies; null where there is none.
// The factor is the largest divisor, and each divisor between gives the positions of the first
// training.
nlohmann::ordered_json Llama3Scaling(const std::vector<float>& factors, double base,
                                     int64_t dimensions) {
  if (factors.empty() || static_cast<int64_t>(factors.size()) != dimensions / 2) {
    return nullptr;
  }
  Rotary rotary{.base = base, .dimensions = dimensions};
  RotaryScaling scaling{.factor = Shortest(*std::max_element(factors.begin(), factors.end())),
                        .original_positions = kLlama3Positions,
                        .low_frequency_factor = kLowFrequencyFactor,
                        .high_frequency_factor = kHighFrequencyFactor};
  std::vector<double> plain;
  for (int64_t i = 0; i < dimensions / 2; ++i) {
    plain.push_back(rotary.Frequency(i));
    const double kept = (1.0 / factors[static_cast<size_t>(i)] - 1.0 / scaling.factor) /
                        (1.0 - 1.0 / scaling.factor);
    if (kept > 0.01 && kept < 0.99) {
      const double wavelength = 2.0 * std::acos(-1.0) / plain.back();
      const double turns =
          kLowFrequencyFactor + kept * (kHighFrequencyFactor - kLowFrequencyFactor);
      scaling.original_positions = std::max<int64_t>(1, std::llround(turns * wavelength));
    }
  }
  rotary.scaling = scaling;
  for (int64_t i = 0; i < dimensions / 2; ++i) {
    const double divisor = plain[static_cast<size_t>(i)] / rotary.Frequency(i);
    if (!(std::abs(divisor - factors[static_cast<size_t>(i)]) <= kFactorTolerance * divisor)) {
      return nullptr;
    }
  }
  return {{"rope_type", "llama3"},
          {"factor", scaling.factor},
          {"low_freq_factor", kLowFrequencyFactor},
          {"high_freq_factor", kHighFrequencyFactor},
          {"original_max_position_embeddings", scaling.original_positions}};
}

void ReadScaling(MetadataReader& reader, const TensorFacts& facts, double base, int64_t dimensions,
                 nlohmann::ordered_json& json) {
  const std::string kind = reader.Text(kRopeScalingType, "none");
  if (kind == "linear") {
    json["rope_scaling"] = {{"rope_type", "linear"},
                            {"factor", reader.Number(kRopeScalingFactor, std::nullopt)}};
  } else if (kind != "none") {
    reader.Refuse(kRopeScalingType, formats::Printable(kind));
  } else if (reader.HasTensor(kGgufRopeFactors)) {
    json["rope_scaling"] = Llama3Scaling(facts.rope_factors, base, dimensions);
    if (json["rope_scaling"].is_null()) {
      reader.Fail(absl::UnimplementedError(
          absl::StrCat(reader.file(), ": tensor ", kGgufRopeFactors,
                       ": divisors that no rotary scaling of Llama 3 gives are not supported in "
                       "this version")));
    }
  }
}

// The fields that config.json has for every family but GPT-2.
void ReadShared(MetadataReader& reader, const TensorFacts& facts, nlohmann::ordered_json& json) {
  const int64_t width = reader.Size(kEmbeddingLength);
  const int64_t heads = reader.Size(kHeadCount);
  json["hidden_size"] = width;
  json["num_hidden_layers"] = reader.Size(kBlockCount);
  json["max_position_embeddings"] = reader.Size(kContextLength);
  json["intermediate_size"] = reader.Size(kFeedForwardLength);
  json["num_attention_heads"] = heads;
  json["num_key_value_heads"] = reader.Size(kHeadCountKv, heads);
  json["tie_word_embeddings"] = facts.tied;
  const int64_t head_size = reader.Size(kKeyLength, std::max<int64_t>(1, width / heads));
  if (reader.Size(kValueLength, head_size) != head_size) {
    reader.Refuse(kValueLength, "another length than that of the keys");
  }
  if (reader.Has(kKeyLength)) {
    json["head_dim"] = head_size;
  }
  const double base = reader.Number(kRopeBase, 10000.0);
  json["rope_theta"] = base;
  const int64_t dimensions = reader.Size(kRopeDimensions, head_size);
  json["partial_rotary_factor"] = ShareOf(std::min(dimensions, head_size), head_size);
  if (reader.Whole(kExpertCount, 0, 0, kSizeMax) != 0) {
    reader.Refuse(kExpertCount, "a mixture of experts");
  }
  ReadScaling(reader, facts, base, dimensions, json);
}

void ReadLlamaLike(MetadataReader& reader, nlohmann::ordered_json& json) {
  json["rms_norm_eps"] = reader.Number(kRmsEpsilon, std::nullopt);
  if (reader.Has(kSlidingWindow)) {
    reader.Refuse(kSlidingWindow, "a window");
  }
  if (json.value("partial_rotary_factor", 1.0) < 1.0) {
    reader.Refuse(kRopeDimensions, "rotary positions of a part of each head");
  }
}

void ReadGemma(MetadataReader& reader, nlohmann::ordered_json& json) {
  json["rms_norm_eps"] = reader.Number(kRmsEpsilon, std::nullopt);
  json["head_dim"] = reader.Size(kKeyLength);
  json["hidden_activation"] = "gelu_pytorch_tanh";
}

void ReadGemma2(MetadataReader& reader, nlohmann::ordered_json& json) {
  ReadGemma(reader, json);
  json["attn_logit_softcapping"] = reader.Number(kAttentionSoftcap, 50.0);
  json["final_logit_softcapping"] = reader.Number(kLogitSoftcap, 30.0);
  json["sliding_window"] = reader.Size(kSlidingWindow, 4096);
  // llama.cpp tells the model of 27B, which alone divides otherwise, by its layers.
  json["query_pre_attn_scalar"] = reader.Size(kBlockCount) == kGemma2LayersOf27B
                                      ? reader.Size(kEmbeddingLength) / reader.Size(kHeadCount)
                                      : reader.Size(kKeyLength);
}

void ReadGptNeox(MetadataReader& reader, nlohmann::ordered_json& json) {
  json["layer_norm_eps"] = reader.Number(kNormEpsilon, std::nullopt);
  json["rotary_pct"] = json["partial_rotary_factor"];
  json["use_parallel_residual"] = reader.Flag(kParallelResidual, true);
  json["attention_bias"] = reader.HasTensor("blk.0.attn_qkv.bias");
}

void ReadStableLm(MetadataReader& reader, nlohmann::ordered_json& json) {
  json["layer_norm_eps"] = reader.Number(kNormEpsilon, std::nullopt);
  json["use_qkv_bias"] = reader.HasTensor("blk.0.attn_q.bias");
  // llama.cpp, too, goes by the tensor, and not by use_parallel_residual.
  json["use_parallel_residual"] = !reader.HasTensor("blk.0.ffn_norm.weight");
}

nlohmann::ordered_json ReadGpt2(MetadataReader& reader, const TensorFacts& facts) {
  return {{"n_embd", reader.Size(kEmbeddingLength)},
          {"n_layer", reader.Size(kBlockCount)},
          {"n_positions", reader.Size(kContextLength)},
          {"n_head", reader.Size(kHeadCount)},
          {"n_inner", reader.Size(kFeedForwardLength)},
          {"layer_norm_epsilon", reader.Number(kNormEpsilon, std::nullopt)},
          {"tie_word_embeddings", facts.tied}};
}

nlohmann::ordered_json ReadFields(MetadataReader& reader, const std::string& family,
                                  const TensorFacts& facts) {
  if (family == "gpt2") {
    return ReadGpt2(reader, facts);
  }
  nlohmann::ordered_json json;
  ReadShared(reader, facts, json);
  if (family == "llama") {
    ReadLlamaLike(reader, json);
    json["attention_bias"] = reader.HasTensor("blk.0.attn_q.bias");
    json["mlp_bias"] = reader.HasTensor("blk.0.ffn_gate.bias");
  } else if (family == "qwen2") {
    ReadLlamaLike(reader, json);
  } else if (family == "gemma") {
    ReadGemma(reader, json);
  } else if (family == "gemma2") {
    ReadGemma2(reader, json);
  } else if (family == "phi") {
    json["layer_norm_eps"] = reader.Number(kNormEpsilon, std::nullopt);
  } else if (family == "gpt_neox") {
    ReadGptNeox(reader, json);
  } else {
    ReadStableLm(reader, json);
  }
  return json;
}

// The tokens that end a text: the end of a text, of a turn, of a message.
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
  MetadataReader general(header, file, "general");
  const std::string name = general.Text(kArchitecture, "");
  WATTLE_RETURN_IF_ERROR(general.status());
  const GgufArchitecture* architecture = FindGgufArchitecture(name);
  if (architecture == nullptr) {
    return absl::UnimplementedError(absl::StrCat(
        file, ": ", kArchitecture, ": \"", formats::Printable(name),
        "\" is not supported in this version; use a model of one of: ", GgufArchitectureNames()));
  }
  if (general.Whole(kSplitCount, 1, 0, kSizeMax) > 1) {
    return absl::UnimplementedError(absl::StrCat(
        file, ": ", kSplitCount,
        ": one of several files of a model; join them first: llama-gguf-split --merge"));
  }
  MetadataReader reader(header, file, name);
  const GgufTensor* tokens = header.Find(kGgufTokens);
  if (tokens == nullptr || tokens->shape.size() != 2 || tokens->shape[0] > kSizeMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        file, ": tensor ", kGgufTokens, ": missing or no table; this file holds no whole model"));
  }
  const int64_t vocabulary = tokens->shape[0];
  nlohmann::ordered_json json = ReadFields(reader, architecture->family, facts);
  json["model_type"] = architecture->family;
  json["vocab_size"] = vocabulary;
  const std::vector<int64_t> ends = EndTokens(reader, vocabulary);
  json["eos_token_id"] = ends;
  json["bos_token_id"] = reader.Whole(kBeginId, ends.front(), 0, vocabulary - 1);
  WATTLE_RETURN_IF_ERROR(reader.status());
  WATTLE_ASSIGN_OR_RETURN(DecoderConfig config,
                          ParseDecoderConfig(json.dump(), absl::StrCat(file, " (as config.json)")));
  // The metadata has no dropout, and the defaults of config.json are those of a first training.
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
