// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/upgrade_view.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "cli/labels.h"
#include "cli/table.h"

#include "proto/state_names.h"
#include "proto/upgrade_stage.h"

namespace wattle::cli {
namespace {

std::string StateWords(v1::DeviceUpgradeState state) {
  return absl::StrReplaceAll(LowerName(state), {{"_", " "}});
}

std::string StageWords(const v1::Upgrade& upgrade, int stage) {
  return stage < upgrade.stages_size()
             ? absl::StrCat(stage + 1, " (", StageText(upgrade.stages(stage)), ")")
             : absl::StrCat(stage + 1);
}

}  // namespace

std::string RenderUpgradeState(const v1::Upgrade& upgrade) {
  const auto active = std::count_if(
      upgrade.devices().begin(), upgrade.devices().end(),
      [](const auto& device) { return device.state() == v1::DEVICE_UPGRADE_STATE_ACTIVE; });
  const std::string devices =
      absl::StrCat(active, " of ", upgrade.devices_size(), " devices run it");
  if (upgrade.upgrade_id().empty()) {
    return absl::StrCat(Printable(absl::StrCat("plan to ", upgrade.version(), ": ", devices)),
                        "; nothing was started\n");
  }
  const bool open =
      upgrade.state() == v1::UPGRADE_STATE_RUNNING || upgrade.state() == v1::UPGRADE_STATE_PAUSED;
  return absl::StrCat(
      Printable(absl::StrCat(
          upgrade.upgrade_id(), " to ", upgrade.version(), " ", LowerName(upgrade.state()),
          open ? absl::StrCat(" in stage ", StageWords(upgrade, upgrade.stage())) : "", ", ",
          devices, upgrade.reason().empty() ? "" : absl::StrCat(": ", upgrade.reason()))),
      "\n");
}

std::string UpgradeStateWords(const v1::Upgrade& upgrade) {
  return absl::StrCat("upgrade ", absl::StripTrailingAsciiWhitespace(RenderUpgradeState(upgrade)));
}

std::string RenderUpgrade(const v1::Upgrade& upgrade, absl::Time now, const TextStyle& style) {
  Table table({{"stage"},
               {"device"},
               {"from"},
               {"state"},
               {"since", Align::kLeft, false, true},
               {"reason", Align::kLeft, true}});
  for (const v1::DeviceUpgrade& device : upgrade.devices()) {
    table.AddRow({StageWords(upgrade, device.stage()), device.device_name(), device.from_version(),
                  StateWords(device.state()),
                  upgrade.upgrade_id().empty() ? "" : FormatAge(now, device.since_unix_seconds()),
                  device.reason()});
  }
  return absl::StrCat(RenderUpgradeState(upgrade), table.Render(style));
}

}  // namespace wattle::cli
