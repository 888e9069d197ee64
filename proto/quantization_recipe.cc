// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/quantization_recipe.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

#include "proto/model_shape.h"

namespace wattle {
namespace {

constexpr double kBitsPerByte = 8.0;
constexpr double kChannelScaleBytes = 4.0;  // FP32
constexpr double kGroupScaleBytes = 2.0;    // FP16
constexpr int kDefaultGroupSize = 64;
constexpr int kQ6GroupSize = 16;
constexpr double kQ6BlockSize = 256.0;

v1::TensorFormat Float32() {
  v1::TensorFormat format;
  format.set_bits(32);
  format.set_scheme(v1::NUMBER_SCHEME_FLOAT);
  return format;
}

// The format with defaults for unset fields.
v1::TensorFormat Complete(const v1::TensorFormat& format) {
  v1::TensorFormat complete = format;
  if (complete.scheme() == v1::NUMBER_SCHEME_UNSPECIFIED) {
    const bool whole = complete.bits() == 8 || complete.bits() == 6 || complete.bits() == 4;
    complete.set_scheme(whole ? v1::NUMBER_SCHEME_SYMMETRIC : v1::NUMBER_SCHEME_FLOAT);
  }
  if (complete.bits() == 0) {
    complete.set_bits(complete.scheme() == v1::NUMBER_SCHEME_FLOAT          ? 32
                      : complete.scheme() == v1::NUMBER_SCHEME_BFLOAT       ? 16
                      : complete.scheme() == v1::NUMBER_SCHEME_NORMAL_FLOAT ? 4
                                                                            : 8);
  }
  if (complete.bits() == 4 && complete.group_size() == 0) {
    complete.set_group_size(kDefaultGroupSize);
  }
  return complete;
}

// GGUF's Q6_K: an int8 scale for each group of 16, an FP16 one for each block of 256.
bool IsQ6(const v1::TensorFormat& format) {
  return format.bits() == 6 && format.scheme() == v1::NUMBER_SCHEME_SYMMETRIC &&
         format.group_size() == kQ6GroupSize;
}

v1::TensorFormat FormatOf(bool present, const v1::TensorFormat& format,
                          const v1::TensorFormat& otherwise) {
  return present ? Complete(format) : otherwise;
}

v1::TensorFormat Matrices(const v1::QuantizationRecipe& recipe) {
  return FormatOf(recipe.has_matrices(), recipe.matrices(), Float32());
}

v1::TensorFormat Head(const v1::QuantizationRecipe& recipe) {
  return FormatOf(recipe.has_head(), recipe.head(), Matrices(recipe));
}

v1::TensorFormat KeysAndValues(const v1::QuantizationRecipe& recipe) {
  return FormatOf(recipe.has_kv_cache(), recipe.kv_cache(), Float32());
}

absl::Status CheckFormat(absl::string_view field, const v1::TensorFormat& format) {
  const v1::TensorFormat complete = Complete(format);
  const auto wrong = [&](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("recipe.", field, ": ", what));
  };
  const int bits = complete.bits();
  switch (complete.scheme()) {
    case v1::NUMBER_SCHEME_FLOAT:
      if (bits != 32 && bits != 16) {
        return wrong(absl::StrCat("bits: ", bits, "; floating point has 32 or 16"));
      }
      break;
    case v1::NUMBER_SCHEME_BFLOAT:
      if (bits != 16) {
        return wrong(absl::StrCat("bits: ", bits, "; BF16 has 16"));
      }
      break;
    case v1::NUMBER_SCHEME_SYMMETRIC:
    case v1::NUMBER_SCHEME_ASYMMETRIC:
      if (bits != 8 && bits != 4 && !IsQ6(complete)) {
        return wrong(absl::StrCat("bits: ", bits, "; whole numbers have 8 or 4"));
      }
      break;
    case v1::NUMBER_SCHEME_NORMAL_FLOAT:
      if (bits != 4) {
        return wrong(absl::StrCat("bits: ", bits, "; NF4 has 4"));
      }
      break;
    default:
      return wrong("scheme: this version does not know it");
  }
  const int group = complete.group_size();
  if (IsQ6(complete)) {
    return absl::OkStatus();
  }
  // GGUF's Q8_0 has groups of 8 bits.
  const bool is_q8 = bits == 8 && complete.scheme() == v1::NUMBER_SCHEME_SYMMETRIC && group == 32;
  if (bits != 4 && group != 0 && !is_q8) {
    return wrong(absl::StrCat("group_size: ", group,
                              "; only formats of 4 bits have groups, and symmetric ones of 8 bits "
                              "groups of 32"));
  }
  if (bits == 4 && group != 32 && group != 64 && group != 128) {
    return wrong(absl::StrCat("group_size: ", group, "; write 32, 64 or 128"));
  }
  return absl::OkStatus();
}

// Checks a format requested by a job; 6 bits occur only in files.
absl::Status CheckAskedFormat(absl::string_view field, const v1::TensorFormat& format) {
  const absl::Status status = CheckFormat(field, format);
  return status.ok() && IsQ6(Complete(format))
             ? absl::InvalidArgumentError(
                   absl::StrCat("recipe.", field, ": bits: 6; whole numbers have 8 or 4"))
             : status;
}

using FormatCheck = absl::Status (*)(absl::string_view field, const v1::TensorFormat& format);

absl::Status CheckFormats(const v1::QuantizationRecipe& recipe, FormatCheck check) {
  struct Named {
    const char* field;
    const v1::TensorFormat& format;
  };
  for (const Named& named :
       {Named{"matrices", recipe.matrices()}, Named{"head", recipe.head()},
        Named{"embedding", recipe.embedding()}, Named{"kv_cache", recipe.kv_cache()}}) {
    if (const absl::Status status = check(named.field, named.format); !status.ok()) {
      return status;
    }
  }
  std::set<absl::string_view> tensors;
  for (const v1::TensorException& exception : recipe.exceptions()) {
    if (exception.tensor().empty()) {
      return absl::InvalidArgumentError("recipe.exceptions: one names no tensor");
    }
    if (!tensors.insert(exception.tensor()).second) {
      return absl::InvalidArgumentError(absl::StrCat("recipe.exceptions: ", exception.tensor(),
                                                     " is named twice; leave one of the two out"));
    }
    if (const absl::Status status =
            check(absl::StrCat("exceptions[", exception.tensor(), "]"), exception.format());
        !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::TensorFormat> ParseFormat(absl::string_view text) {
  v1::TensorFormat format;
  const std::vector<absl::string_view> parts = absl::StrSplit(text, absl::MaxSplits("-g", 1));
  const absl::string_view kind = parts[0];
  if (kind == "fp32" || kind == kNoQuantization) {
    format = Float32();
  } else if (kind == "fp16") {
    format.set_bits(16);
    format.set_scheme(v1::NUMBER_SCHEME_FLOAT);
  } else if (kind == "bf16") {
    format.set_bits(16);
    format.set_scheme(v1::NUMBER_SCHEME_BFLOAT);
  } else if (kind == "nf4") {
    format.set_bits(4);
    format.set_scheme(v1::NUMBER_SCHEME_NORMAL_FLOAT);
  } else if (kind == "int8" || kind == "int6" || kind == "int4" || kind == "int8a" ||
             kind == "int4a") {
    format.set_bits(kind[3] - '0');
    format.set_scheme(kind.size() == 5 ? v1::NUMBER_SCHEME_ASYMMETRIC
                                       : v1::NUMBER_SCHEME_SYMMETRIC);
  } else {
    return absl::InvalidArgumentError(absl::StrCat(
        "quantization: \"", text, "\": unknown; write none, int8, int4-g64, nf4-g64 or bf16"));
  }
  int32_t group = 0;
  if (parts.size() == 2 && !absl::SimpleAtoi(parts[1], &group)) {
    return absl::InvalidArgumentError(
        absl::StrCat("quantization: \"", text, "\": wants a group size after -g"));
  }
  format.set_group_size(group);
  return format;
}

// 64-bit FNV-1a of the exceptions' text. 32 bits are too few: two of some 100,000 assignments
// already share them (the test has such a pair).
uint64_t HashOf(absl::string_view text) {
  uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x00000100000001b3U;
  }
  return hash;
}

}  // namespace

std::string FormatName(const v1::TensorFormat& format) {
  const v1::TensorFormat complete = Complete(format);
  std::string name;
  switch (complete.scheme()) {
    case v1::NUMBER_SCHEME_BFLOAT:
      name = "bf16";
      break;
    case v1::NUMBER_SCHEME_SYMMETRIC:
      name = absl::StrCat("int", complete.bits());
      break;
    case v1::NUMBER_SCHEME_ASYMMETRIC:
      name = absl::StrCat("int", complete.bits(), "a");
      break;
    case v1::NUMBER_SCHEME_NORMAL_FLOAT:
      name = absl::StrCat("nf", complete.bits());
      break;
    default:
      name = absl::StrCat("fp", complete.bits());
      break;
  }
  return complete.group_size() == 0 ? name : absl::StrCat(name, "-g", complete.group_size());
}

std::string RecipeIdentity(const v1::QuantizationRecipe& recipe) {
  const std::string matrices = FormatName(Matrices(recipe));
  std::string identity = matrices;
  if (const std::string head = FormatName(Head(recipe)); head != matrices) {
    absl::StrAppend(&identity, "+head=", head);
  }
  if (const std::string embedding = FormatName(EmbeddingFormat(recipe)); embedding != "fp32") {
    absl::StrAppend(&identity, "+embedding=", embedding);
  }
  if (const std::string cache = FormatName(KeysAndValues(recipe)); cache != "fp32") {
    absl::StrAppend(&identity, "+kv=", cache);
  }
  std::vector<std::string> lines;
  for (const v1::TensorException& exception : recipe.exceptions()) {
    const std::string format = FormatName(exception.format());
    const bool is_head = IsHeadTensor(exception.tensor());
    if (format != FormatName(is_head ? Head(recipe) : Matrices(recipe))) {
      lines.push_back(absl::StrCat(exception.tensor(), "=", format, "\n"));
    }
  }
  if (!lines.empty()) {
    std::sort(lines.begin(), lines.end());
    absl::StrAppendFormat(&identity, "+%dx%016x", lines.size(), HashOf(absl::StrJoin(lines, "")));
  }
  return identity == "fp32" ? kNoQuantization : identity;
}

absl::StatusOr<v1::QuantizationRecipe> RecipeOfIdentity(absl::string_view identity) {
  v1::QuantizationRecipe recipe;
  recipe.set_name(std::string(identity));
  if (identity == kAdaptiveQuantization) {
    return absl::InvalidArgumentError(
        "quantization: adaptive: a quantize job finds its recipe; name that job's output as model");
  }
  bool first = true;
  for (absl::string_view part : absl::StrSplit(identity, '+')) {
    v1::TensorFormat* target = nullptr;
    if (std::exchange(first, false)) {
      target = recipe.mutable_matrices();
    } else if (absl::ConsumePrefix(&part, "head=")) {
      target = recipe.mutable_head();
    } else if (absl::ConsumePrefix(&part, "embedding=")) {
      target = recipe.mutable_embedding();
    } else if (absl::ConsumePrefix(&part, "kv=")) {
      target = recipe.mutable_kv_cache();
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("quantization: \"", identity, "\": \"", part,
                       "\" stands for formats of single tensors; give the recipe itself"));
    }
    auto format = ParseFormat(part);
    if (!format.ok()) {
      return format.status();
    }
    *target = *std::move(format);
  }
  const absl::Status status = CheckRecipe(recipe);
  return status.ok() ? absl::StatusOr<v1::QuantizationRecipe>(std::move(recipe)) : status;
}

absl::StatusOr<std::string> WantedQuantization(v1::Quantization quantization,
                                               const v1::QuantizationRecipe* recipe) {
  if (recipe != nullptr) {
    if (quantization != v1::QUANTIZATION_UNSPECIFIED) {
      return absl::InvalidArgumentError(
          "quantization: stands beside a recipe; leave one of the two out");
    }
    const absl::Status status = CheckRecipe(*recipe);
    return status.ok() ? absl::StatusOr<std::string>(RecipeIdentity(*recipe)) : status;
  }
  switch (quantization) {
    case v1::QUANTIZATION_UNSPECIFIED:
      return "";
    case v1::QUANTIZATION_NONE:
      return kNoQuantization;
    case v1::QUANTIZATION_INT8:
      return kInt8Quantization;
    case v1::QUANTIZATION_INT4:
      return "int4-g64";
    case v1::QUANTIZATION_NF4:
      return "nf4-g64";
    case v1::QUANTIZATION_ADAPTIVE:
      return kAdaptiveQuantization;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("quantization: ", static_cast<int>(quantization),
                       " is not known in this version; write none, int8, int4, nf4 or adaptive"));
  }
}

absl::Status CheckRecipe(const v1::QuantizationRecipe& recipe) {
  return CheckFormats(recipe, CheckFormat);
}

absl::Status CheckAskedRecipe(const v1::QuantizationRecipe& recipe) {
  return CheckFormats(recipe, CheckAskedFormat);
}

v1::TensorFormat MatrixFormat(const v1::QuantizationRecipe& recipe, absl::string_view tensor,
                              bool is_head) {
  for (const v1::TensorException& exception : recipe.exceptions()) {
    if (exception.tensor() == tensor) {
      return Complete(exception.format());
    }
  }
  return is_head ? Head(recipe) : Matrices(recipe);
}

v1::TensorFormat EmbeddingFormat(const v1::QuantizationRecipe& recipe) {
  return FormatOf(recipe.has_embedding(), recipe.embedding(), Float32());
}

bool KeysAndValuesAreInt8(const v1::QuantizationRecipe& recipe) {
  return FormatName(KeysAndValues(recipe)) == "int8";
}

double StoredBytes(const v1::TensorFormat& format, double rows, double columns) {
  const v1::TensorFormat complete = Complete(format);
  const double numbers = rows * columns * complete.bits() / kBitsPerByte;
  if (IsQ6(complete)) {
    return numbers + rows * columns / kQ6GroupSize +
           rows * columns / kQ6BlockSize * kGroupScaleBytes;
  }
  switch (complete.scheme()) {
    case v1::NUMBER_SCHEME_SYMMETRIC:
    case v1::NUMBER_SCHEME_ASYMMETRIC:
    case v1::NUMBER_SCHEME_NORMAL_FLOAT: {
      const double parts = complete.scheme() == v1::NUMBER_SCHEME_ASYMMETRIC ? 2.0 : 1.0;
      return complete.group_size() == 0
                 ? numbers + rows * kChannelScaleBytes * parts
                 : numbers + rows * columns / complete.group_size() * kGroupScaleBytes * parts;
    }
    default:
      return numbers;
  }
}

}  // namespace wattle
