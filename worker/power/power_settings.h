// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Sets a power mode and restores the board afterwards. Before the first change of a file its
// content is saved in the state directory, so that a worker that was killed restores the board at
// its next start. A reboot resets the board by itself, so settings of an earlier boot are
// forgotten. One thread owns an object.
#ifndef WATTLE_WORKER_POWER_POWER_SETTINGS_H_
#define WATTLE_WORKER_POWER_POWER_SETTINGS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

#include "wattle/v1/worker_state.pb.h"
#include "worker/agent/storage/disk.h"
#include "worker/power/board_power.h"
#include "worker/power/power_modes.h"

namespace wattle::agent {

class PowerSettings final : public BoardPower {
 public:
  // root: "" for this machine. disk: the worker's state; must outlive the object.
  PowerSettings(std::string root, std::string boot_id, Disk* disk);

  // Writes the mode's settings. After an error the board is restored as far as possible. Errors:
  // kPermissionDenied with the remedy; those of writing a file.
  absl::Status Set(const PowerModeRow& mode) override;
  // Restores the content from before the first Set of this process, or of a killed process. OK if
  // nothing was set.
  absl::Status Restore() override;
  absl::Status Forget() override;

 private:
  using Change = std::pair<std::string, std::string>;  // path within the root, value

  [[nodiscard]] std::vector<Change> ChangesOf(const PowerModeRow& mode) const;
  absl::Status Remember(const std::vector<Change>& changes);
  absl::Status WriteAll(const std::vector<Change>& changes) const;
  [[nodiscard]] absl::Status Write(const Change& change) const;

  const std::string root_;
  const std::string boot_id_;
  Disk& disk_;
  v1::PowerSettingsRecord record_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_POWER_POWER_SETTINGS_H_
