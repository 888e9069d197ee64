// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/train/mezo_log.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "nlohmann/json.hpp"
#include <ATen/core/Tensor.h>

namespace wattle::engine {

void Apply(const MezoMove& move, const MovedValues& values) {
  for (size_t i = 0; i < values.parameters.size(); ++i) {
    if (!values.layout.holds(i)) {
      continue;
    }
    const Parameter& parameter = values.parameters[i];
    const at::Tensor weights =
        values.arena.narrow(0, values.layout.offsets[i], parameter.tensor.element_count());
    if (parameter.decays() && move.keep != 1.0F) {
      weights.mul_(move.keep);
    }
    MoveAlong(move.direction, i, 0, move.scalar, weights);
  }
}

std::string FormatMezoLog(const std::vector<MezoMove>& moves) {
  std::string text;
  for (const MezoMove& move : moves) {
    // Nine digits keep every bit of a float.
    absl::StrAppendFormat(&text,
                          "{\"seed\": %d, \"direction\": %d, \"scalar\": %.9g, \"keep\": %.9g}\n",
                          move.direction.seed, move.direction.number, move.scalar, move.keep);
  }
  return text;
}

absl::StatusOr<std::vector<MezoMove>> ParseMezoLog(const std::string& text) {
  std::vector<MezoMove> moves;
  int64_t number = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    ++number;
    const nlohmann::json json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    const auto is_number = [&](const char* key) {
      return json.contains(key) && json[key].is_number();
    };
    if (!json.is_object() || !is_number("scalar") || !is_number("keep") || !is_number("seed") ||
        !is_number("direction")) {
      return absl::DataLossError(absl::StrCat(
          kMezoLogFile, ": line ", number, ": wants the numbers seed, direction, scalar and keep"));
    }
    moves.push_back({.direction = {.seed = json["seed"].get<uint64_t>(),
                                   .number = json["direction"].get<uint64_t>()},
                     .scalar = json["scalar"].get<float>(),
                     .keep = json["keep"].get<float>()});
  }
  return moves;
}

}  // namespace wattle::engine
