// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What the agent's core asks others to do: run a process, move files, send messages, write a log.
// The worker does these things on this machine; a simulation does them in memory. No call blocks;
// results come back to the core as events.
#ifndef WATTLE_WORKER_AGENT_CORE_AGENT_PORTS_H_
#define WATTLE_WORKER_AGENT_CORE_AGENT_PORTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/fleet.pb.h"
#include "wattle/v1/runner.pb.h"

namespace wattle::agent {

// One input of a job, as it lies on this device.
struct FetchedInput {
  std::string
      field;  // of the spec: "model", "data", "heldout_data", "calibration_data", "reference_model"
  std::string directory;  // the artifact's files
  std::string file;       // the only file in it, or empty
  int64_t size_bytes = 0;
};

// How a transfer ended.
struct FetchResult {
  absl::Status status;
  int64_t moved_bytes = 0;
  std::vector<FetchedInput> inputs{};
  std::string note{};  // what went wrong without harm, for the worker's log; empty: nothing
};
struct UploadResult {
  absl::Status status;
  int64_t moved_bytes = 0;
  v1::ArtifactInfo artifact;
};

class AgentPorts {
 public:
  virtual ~AgentPorts() = default;

  // Starts the attempt's runner; the one before it has ended. Its frames and its exit follow as
  // events, its exit also when it cannot be started after all. An error: nothing follows.
  virtual absl::Status StartRunner(const v1::RunnerTask& task) = 0;
  virtual void SendToRunner(const v1::RunnerCommand& command) = 0;
  virtual void KillRunner() = 0;  // its exit follows

  // One transfer at a time; its result follows.
  virtual void StartFetch(const v1::Assignment& assignment) = 0;
  virtual void StartUpload(const std::string& directory, const v1::ArtifactInfo& info) = 0;
  virtual void CancelTransfer() = 0;  // its result still follows, as kCancelled

  // A file of about this size is to be written: artifacts that no job needs give way where the
  // disk's budget asks for it. OnShortOfRoom follows where that is not enough.
  virtual void MakeRoom(int64_t /*size_bytes*/) {}

  // Before an attempt begins, on a device that sets power modes (DeviceInfo.sets_power_modes). An
  // error: the board is in the mode in which it was.
  virtual absl::Status SetPowerMode(const std::string& /*mode*/) {
    return absl::UnimplementedError("this device sets no power modes");
  }

  // To the coordinator if there is a stream, else dropped: reports are in the spool besides.
  virtual void Send(const v1::WorkerMessage& message) = 0;
  // Closes the stream; the next one begins with a new hello (OnDisconnected, then OnConnected).
  virtual void Reconnect() = 0;

  virtual void Note(const std::string& line) = 0;  // to the worker's own log
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_AGENT_PORTS_H_
