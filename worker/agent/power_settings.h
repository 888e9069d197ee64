// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Sets a power mode and puts the board back. What a file held before the first change is written to
// the state directory before the file is changed, so that a worker that was killed puts the board
// back when it starts again. A reboot sets the board anew by itself: settings of an earlier boot
// are forgotten. One thread owns an object.
#ifndef WATTLE_WORKER_AGENT_POWER_SETTINGS_H_
#define WATTLE_WORKER_AGENT_POWER_SETTINGS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

#include "wattle/v1/worker_state.pb.h"
#include "worker/agent/power_modes.h"
#include "worker/agent/storage/disk.h"

namespace wattle::agent {

class PowerSettings {
 public:
  // root: "" for this machine. disk: the worker's state; outlives the object.
  PowerSettings(std::string root, std::string boot_id, Disk* disk);

  // Writes the mode's settings. After an error the board is as it was before the first Set, as far
  // as it can be. kPermissionDenied: says what is wanted; others: a file that cannot be written.
  absl::Status Set(const PowerModeRow& mode);
  // As before the first Set, of this process or of one that was killed. OK where nothing was set.
  absl::Status Restore();

 private:
  using Change = std::pair<std::string, std::string>;  // path within the root, value

  [[nodiscard]] std::vector<Change> ChangesOf(const PowerModeRow& mode) const;
  absl::Status Remember(const std::vector<Change>& changes);
  absl::Status WriteAll(std::vector<Change> changes) const;
  [[nodiscard]] absl::Status Write(const Change& change) const;

  const std::string root_;
  const std::string boot_id_;
  Disk& disk_;
  v1::PowerSettingsRecord record_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_POWER_SETTINGS_H_
