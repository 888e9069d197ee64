// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The screen of `wattle top`, made for 80 columns and wider. Pure; thread-safe.
#ifndef WATTLE_CLI_TOP_VIEW_H_
#define WATTLE_CLI_TOP_VIEW_H_

#include <string>

#include "absl/time/time.h"
#include "cli/fleet_summary.h"
#include "cli/text_style.h"

namespace wattle::cli {

enum class TopOrder { kName, kPower, kCharge };  // key s selects the next one

struct TopState {
  TopOrder order = TopOrder::kName;
  bool paused = false;
};

// summary: made from the same answers.
std::string RenderTop(const FleetAnswers& answers, const FleetSummary& summary,
                      const TopState& state, absl::Time now, const TextStyle& style);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_TOP_VIEW_H_
