// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Upgrades as text. Pure; thread-safe.
#ifndef WATTLE_CLI_UPGRADE_VIEW_H_
#define WATTLE_CLI_UPGRADE_VIEW_H_

#include <string>

#include "absl/time/time.h"
#include "cli/text_style.h"

#include "wattle/v1/upgrade.pb.h"

namespace wattle::cli {

// "upgrade u3 to 0.3.0 paused in stage 2 (20%), 1 of 5 devices run it: stage 2 (20%) stopped: …".
std::string UpgradeStateWords(const v1::Upgrade& upgrade);
// One line: "u3 to 0.3.0 paused: stage 2 (20%) stopped: …".
std::string RenderUpgradeState(const v1::Upgrade& upgrade);
// The line of RenderUpgradeState and a table of the devices. An upgrade without an id is a plan.
std::string RenderUpgrade(const v1::Upgrade& upgrade, absl::Time now, const TextStyle& style);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_UPGRADE_VIEW_H_
