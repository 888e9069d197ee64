// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// AgentPorts is the core's interface to its surroundings: run a process, move files, send messages,
// write a log. The worker implements it on the machine, a simulation in memory. No call blocks;
// results return to the core as events.
#ifndef WATTLE_WORKER_AGENT_CORE_AGENT_PORTS_H_
#define WATTLE_WORKER_AGENT_CORE_AGENT_PORTS_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/fleet.pb.h"
#include "wattle/v1/runner.pb.h"

namespace wattle::agent {

// One input of a job on this device.
struct FetchedInput {
  std::string field;      // the spec's field: "model", "data", "heldout_data", "calibration_data",
                          // "reference_model"
  std::string directory;  // holds the artifact's files
  std::string file;       // the artifact's only file; empty if there are several
  int64_t size_bytes = 0;
};

// The progress of an upload.
struct UploadProgress {
  int64_t handed_bytes = 0;  // bytes that the receiver has, also from earlier tries
  int64_t size_bytes = 0;
};

// The outcome of a transfer.
struct FetchResult {
  absl::Status status;
  int64_t moved_bytes = 0;  // over the link
  int64_t peer_bytes = 0;   // from boards of the site
  std::vector<FetchedInput> inputs{};
  std::string note{};         // a harmless problem, for the worker's log; empty = none
  absl::Duration moved_in{};  // from the beginning to the last byte received; zero: unknown
};
struct UploadResult {
  absl::Status status;
  int64_t moved_bytes = 0;
  v1::ArtifactInfo artifact;
  absl::Duration moved_in{};  // from the beginning to the last byte; zero: unknown
};

class AgentPorts {
 public:
  virtual ~AgentPorts() = default;

  // Starts the attempt's runner; the runner before it has ended. The runner's frames and its exit
  // follow as events. The exit also follows if the process cannot be started after all. After an
  // error nothing follows.
  virtual absl::Status StartRunner(const v1::RunnerTask& task) = 0;
  virtual void SendToRunner(const v1::RunnerCommand& command) = 0;
  virtual void KillRunner() = 0;  // the exit follows as an event

  // One transfer runs at a time. Its result follows as an event; an upload's progress may precede
  // it.
  virtual void StartFetch(const v1::Assignment& assignment) = 0;
  virtual void StartUpload(const std::string& directory, const v1::ArtifactInfo& info) = 0;
  virtual void CancelTransfer() = 0;  // the result still follows, as kCancelled

  // Fetches the order's artifact as an input, and installs it in the folder of releases.
  // OnReleaseFetched follows; OnReleaseProgress may precede it.
  virtual void StartReleaseFetch(const v1::UpgradeOrder& /*order*/) {}
  // The release that the next start runs; "": the installed programs.
  [[nodiscard]] virtual std::string CurrentRelease() const { return ""; }
  virtual absl::Status SwitchRelease(const std::string& /*version*/) {
    return absl::UnimplementedError("this device has no folder of releases");
  }
  virtual void KeepReleases(const std::set<std::string>& /*versions*/) {}
  // Makes the runner test itself. OnSelfTested follows.
  virtual void StartSelfTest() {}

  // The caller is about to write a file of about this size. If the disk's budget requires it,
  // artifacts that no job needs are deleted. OnShortOfRoom follows if that does not free enough.
  virtual void MakeRoom(int64_t /*size_bytes*/) {}

  // Begins a small write and sync beside the state. OnStorageProbed follows.
  virtual void ProbeStorage() = 0;

  // Called before an attempt begins, and near a limit while it runs, on a device that sets power
  // modes (DeviceInfo.sets_power_modes). After an error the board is still in its earlier mode.
  virtual absl::Status SetPowerMode(const std::string& /*mode*/) {
    return absl::UnimplementedError("this device sets no power modes");
  }
  // After an attempt, restores the mode that the operator chose for the time while the worker runs.
  virtual absl::Status RestorePowerMode() { return absl::OkStatus(); }

  // Another mode was set from outside: it becomes the board's own mode, to which RestorePowerMode
  // returns.
  virtual void KeepPowerMode() {}

  // Shuts the board down. After an error the board stays on.
  virtual absl::Status PowerOffBoard() {
    return absl::UnimplementedError("this device cannot switch itself off");
  }

  // Sends to the coordinator. Without a stream the message is dropped: reports are in the spool as
  // well.
  virtual void Send(const v1::WorkerMessage& message) = 0;
  // Closes the stream; the next one begins with a new hello (OnDisconnected, then OnConnected).
  virtual void Reconnect() = 0;
  // Closes the stream and dials this host:port.
  virtual void Follow(const std::string& coordinator) = 0;
  // Closes the stream and dials the next of the coordinator's addresses.
  virtual void TryNextCoordinator() = 0;

  virtual void Note(const std::string& line) = 0;  // to the worker's own log
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_AGENT_PORTS_H_
