// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/metadata_reader.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "formats/json.h"
#include "models/decoder_config.h"
#include "models/gguf_keys_internal.h"
#include "models/gguf_tensors.h"

namespace wattle::models {
namespace {

using formats::GgufValue;

constexpr double kLowFrequencyFactor = 1.0;
constexpr double kHighFrequencyFactor = 4.0;
constexpr int64_t kLlama3Positions = 8192;  // sequence length of Llama 3's first training
constexpr double kFactorTolerance = 1e-4;

// The shortest decimal number that reads back as this float: 1e-05 rather than 9.99999974e-06.
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

// A ratio that gives exactly `part` when it is multiplied by `whole` and truncated.
double ShareOf(int64_t part, int64_t whole) {
  const double share = static_cast<double>(part) / static_cast<double>(whole);
  const bool exact = static_cast<int64_t>(static_cast<double>(whole) * share) == part;
  return exact ? share : (static_cast<double>(part) + 0.5) / static_cast<double>(whole);
}

// The field rope_scaling that produces these divisors of the frequencies; null if there is none.
// The factor is the largest divisor, and each divisor in between determines the positions of the
// first training.
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

void ReadScaling(MetadataReader& reader, double base, int64_t dimensions,
                 nlohmann::ordered_json& json) {
  const std::string kind = reader.Text(kRopeScalingType, "none");
  if (kind == "linear") {
    json["rope_scaling"] = {{"rope_type", "linear"},
                            {"factor", reader.Number(kRopeScalingFactor, std::nullopt)}};
  } else if (kind != "none") {
    reader.Refuse(kRopeScalingType, formats::Printable(kind));
  } else if (reader.HasTensor(kGgufRopeFactors)) {
    json["rope_scaling"] = Llama3Scaling(reader.facts().rope_factors, base, dimensions);
    if (json["rope_scaling"].is_null()) {
      reader.Fail(absl::UnimplementedError(
          absl::StrCat(reader.file(), ": tensor ", kGgufRopeFactors,
                       ": divisors that no rotary scaling of Llama 3 gives are not supported in "
                       "this version")));
    }
  }
}

}  // namespace

MetadataReader::MetadataReader(const formats::GgufHeader& header, std::string file,
                               std::string architecture, const TensorFacts& facts)
    : header_(header),
      file_(std::move(file)),
      prefix_(std::move(architecture) + "."),
      facts_(facts) {}

bool MetadataReader::Has(absl::string_view key) const {
  return Find(key) != nullptr;
}

bool MetadataReader::HasTensor(absl::string_view name) const {
  return header_.Find(name) != nullptr;
}

int64_t MetadataReader::Whole(absl::string_view key, std::optional<int64_t> absent, int64_t low,
                              int64_t high) {
  const GgufValue* value = Find(key);
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

int64_t MetadataReader::Size(absl::string_view key, std::optional<int64_t> absent) {
  return Whole(key, absent, 1, kSizeMax);
}

double MetadataReader::Number(absl::string_view key, std::optional<double> absent) {
  const GgufValue* value = Find(key);
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

bool MetadataReader::Flag(absl::string_view key, bool absent) {
  const GgufValue* value = Find(key);
  if (value == nullptr) {
    return absent;
  }
  const auto* flag = std::get_if<bool>(value);
  if (flag == nullptr) {
    Wants(key, "true or false", value);
  }
  return flag != nullptr && *flag;
}

std::string MetadataReader::Text(absl::string_view key, absl::string_view absent) {
  const GgufValue* value = Find(key);
  const auto* text = value == nullptr ? nullptr : std::get_if<std::string>(value);
  if (value != nullptr && text == nullptr) {
    Wants(key, "text", value);
  }
  return text == nullptr ? std::string(absent) : *text;
}

void MetadataReader::Refuse(absl::string_view key, absl::string_view what) {
  Fail(absl::UnimplementedError(
      absl::StrCat(file_, ": ", KeyOf(key), ": ", what, " is not supported in this version")));
}

void MetadataReader::Fail(absl::Status status) {
  if (status_.ok()) {
    status_ = std::move(status);
  }
}

std::string MetadataReader::KeyOf(absl::string_view key) const {
  return key[0] == '%' ? prefix_ + std::string(key.substr(1)) : std::string(key);
}

const GgufValue* MetadataReader::Find(absl::string_view key) const {
  return header_.FindValue(KeyOf(key));
}

void MetadataReader::Wants(absl::string_view key, absl::string_view wanted,
                           const GgufValue* found) {
  Fail(absl::InvalidArgumentError(absl::StrCat(
      file_, ": ", KeyOf(key), ": ", found == nullptr ? "missing; " : "", "wants ", wanted)));
}

nlohmann::ordered_json ReadSharedMetadata(MetadataReader& reader) {
  nlohmann::ordered_json json;
  const int64_t width = reader.Size(kEmbeddingLength);
  const int64_t heads = reader.Size(kHeadCount);
  json["hidden_size"] = width;
  json["num_hidden_layers"] = reader.Size(kBlockCount);
  json["max_position_embeddings"] = reader.Size(kContextLength);
  json["intermediate_size"] = reader.Size(kFeedForwardLength);
  json["num_attention_heads"] = heads;
  json["num_key_value_heads"] = reader.Size(kHeadCountKv, heads);
  json["tie_word_embeddings"] = reader.facts().tied;
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
  ReadScaling(reader, base, dimensions, json);
  return json;
}

}  // namespace wattle::models
