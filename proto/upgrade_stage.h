// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The text form of an upgrade's stage: "20%", "site=mast", "class=jetson-orin-nano+site=mast".
// Pure; thread-safe.
#ifndef WATTLE_PROTO_UPGRADE_STAGE_H_
#define WATTLE_PROTO_UPGRADE_STAGE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "wattle/v1/device.pb.h"
#include "wattle/v1/upgrade.pb.h"

namespace wattle {

// A percentage is the share of the fleet that has begun at the end of the stage. Other parts are
// labels, key=value or key for any value; '+' joins labels that a device must all have. The prefix
// "label=" is optional. Errors: kInvalidArgument, one line.
absl::StatusOr<v1::UpgradeStage> ParseUpgradeStage(absl::string_view text);

// "key=value", or "key".
std::string LabelText(const v1::Label& label);
// The text that ParseUpgradeStage reads as the stage.
std::string StageText(const v1::UpgradeStage& stage);

}  // namespace wattle

#endif  // WATTLE_PROTO_UPGRADE_STAGE_H_
