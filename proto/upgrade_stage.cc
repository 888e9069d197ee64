// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/upgrade_stage.h"

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace wattle {
namespace {

absl::Status Wanted(absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat(
      "stage \"", text,
      "\": wants a share of the fleet such as 20%, or a label such as label=canary or site=mast"));
}

}  // namespace

absl::StatusOr<v1::UpgradeStage> ParseUpgradeStage(absl::string_view text) {
  v1::UpgradeStage stage;
  absl::string_view rest = text;
  if (absl::ConsumeSuffix(&rest, "%")) {
    double percent = 0;
    if (!absl::SimpleAtod(rest, &percent) || !(percent > 0 && percent <= 100)) {
      return Wanted(text);
    }
    stage.set_fleet_ratio(percent / 100);
    return stage;
  }
  absl::ConsumePrefix(&rest, "label=");
  for (const absl::string_view one : absl::StrSplit(rest, '+')) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(one, absl::MaxSplits('=', 1));
    if (parts.first.empty()) {
      return Wanted(text);
    }
    v1::Label& label = *stage.add_labels();
    label.set_key(std::string(parts.first));
    label.set_value(std::string(parts.second));
  }
  return stage;
}

std::string LabelText(const v1::Label& label) {
  return absl::StrCat(label.key(), label.value().empty() ? "" : "=", label.value());
}

std::string StageText(const v1::UpgradeStage& stage) {
  std::vector<std::string> parts;
  for (const v1::Label& label : stage.labels()) {
    parts.push_back(LabelText(label));
  }
  if (stage.fleet_ratio() > 0 || parts.empty()) {
    parts.push_back(
        absl::StrFormat("%g%%", stage.fleet_ratio() > 0 ? 100 * stage.fleet_ratio() : 100.0));
  }
  return absl::StrJoin(parts, "+");
}

}  // namespace wattle
