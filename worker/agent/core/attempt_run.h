// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One attempt, from its first byte fetched to its result uploaded: fetch → start the runner → steps
// and checkpoints → upload → end. Driven by what happens (frames, exits, transfers) and by time;
// acts through AgentPorts. On an emulated board every activity also has a device time, and the
// runner's gate opens when the wall has caught up with it. Reads no clock; one thread.
#ifndef WATTLE_WORKER_AGENT_CORE_ATTEMPT_RUN_H_
#define WATTLE_WORKER_AGENT_CORE_ATTEMPT_RUN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/fleet.pb.h"
#include "wattle/v1/runner.pb.h"
#include "wattle/v1/worker_state.pb.h"
#include "worker/agent/core/device_clock.h"
#include "worker/agent/emulation/emulator.h"
#include "worker/agent/core/energy_account.h"
#include "worker/child/runner_process.h"

namespace wattle::agent {

// A transfer's end. The inputs of a fetch: where they lie, by field of the spec.
struct FetchedInput {
  std::string field;      // "model", "data", "heldout_data"
  std::string directory;  // the artifact's files
  std::string file;       // the only file in it, or empty
  int64_t size_bytes = 0;
};
struct FetchResult {
  absl::Status status;
  int64_t moved_bytes = 0;
  std::vector<FetchedInput> inputs{};
};
struct UploadResult {
  absl::Status status;
  int64_t moved_bytes = 0;
  v1::ArtifactInfo artifact;
};

// What the agent's core has others do. Results come back as events.
class AgentPorts {
 public:
  virtual ~AgentPorts() = default;
  virtual absl::Status StartRunner(const v1::RunnerTask& task) = 0;  // → frames, then its exit
  virtual void SendToRunner(const v1::RunnerCommand& command) = 0;
  virtual void KillRunner() = 0;
  virtual void StartFetch(const v1::Assignment& assignment) = 0;  // → FetchResult
  virtual void StartUpload(const std::string& directory, const v1::ArtifactInfo& info) = 0;
  virtual void CancelTransfer() = 0;  // its result still comes, kCancelled
  // To the coordinator if it is there, else dropped. Reports are in the spool besides.
  virtual void Send(const v1::WorkerMessage& message) = 0;
  virtual void Note(const std::string& line) = 0;  // the worker's own log
};

enum class StopReason { kUnwanted, kGuard, kLease, kShutdown };

struct AttemptEnd {
  enum class Kind { kFinished, kFailed, kStopped };
  Kind kind = Kind::kFailed;
  StopReason stop = StopReason::kUnwanted;  // of kStopped
  v1::FailureClass failure_class = v1::FAILURE_CLASS_UNSPECIFIED;
  std::string message{};
  std::optional<v1::ArtifactInfo> output{};  // of kFinished, where the job made files
};

struct AttemptSettings {
  std::string work_directory;
  std::string output_directory;
  int threads = 1;
  std::string device = "cpu";
  v1::DeviceInfo info;
  EnergyOrigin origin;
};

struct AttemptDependencies {
  AgentPorts* ports;
  EnergyAccount* account;
  Emulator* emulator;  // null on a real device
  const DeviceClock* clock;
};

class AttemptRun {
 public:
  // record: as held on disk; its receipt is what an earlier process had measured.
  AttemptRun(const AttemptDependencies& dependencies, AttemptSettings settings,
             v1::HeldAttemptRecord record);

  void Begin(const Instant& now);
  void OnFetched(const FetchResult& result, const Instant& now);
  void OnFrame(const v1::RunnerFrame& frame, const Instant& now);
  void OnRunnerExit(const child::RunnerExit& exit, const Instant& now);
  void OnUploaded(const UploadResult& result, const Instant& now);
  void Stop(StopReason reason, const Instant& now);  // at the next step boundary
  void Step(const Instant& now);

  // The next instant (wall) at which Step() has something to do; nullopt: only an event helps.
  [[nodiscard]] std::optional<Monotonic> NextStep() const;
  [[nodiscard]] const std::optional<AttemptEnd>& end() const { return end_; }
  [[nodiscard]] bool stopping() const { return stop_.has_value(); }
  [[nodiscard]] const v1::HeldAttemptRecord& record() const { return record_; }
  // The record with everything measured so far. Settles the account up to now.
  v1::HeldAttemptRecord Snapshot(const Instant& now);
  [[nodiscard]] v1::AttemptProgress Progress() const;
  [[nodiscard]] Joules longest_step() const { return longest_step_; }
  [[nodiscard]] Joules checkpoint_cost() const { return checkpoint_cost_; }
  // The step at which the runner began or went on, told once.
  [[nodiscard]] std::optional<int64_t> TakeStarted() {
    return std::exchange(started_, std::nullopt);
  }
  [[nodiscard]] int64_t TakeTokens() { return std::exchange(new_tokens_, 0); }

 private:
  enum class Stage { kFetching, kFetched, kRunning, kExited, kUploading, kUploaded, kEnded };

  void Switch(Monotonic from, Activity activity);
  void StartRunner(const Instant& now);
  void OnPhase(const v1::PhaseChanged& phase, const Instant& now);
  void OnStep(const v1::StepDone& step, const Instant& now);
  void OnCheckpoint(const v1::CheckpointDone& checkpoint, const Instant& now);
  void OnResult(const v1::RunnerResult& result, const Instant& now);
  void CheckTimeout();
  void BeginUpload(const Instant& now);
  void Fail(v1::FailureClass failure_class, const std::string& message);
  void End(AttemptEnd end);
  void AddLag();
  void CheckPace();
  [[nodiscard]] Activity ActivityOf(const std::string& phase) const;
  void BeginReceipt();
  void FillReceipt();
  [[nodiscard]] AttemptEnergy MeasuredBefore() const;  // by earlier processes, as the record says

  AttemptDependencies to_;
  AttemptSettings settings_;
  v1::HeldAttemptRecord record_;
  const std::string main_phase_;
  Stage stage_ = Stage::kFetching;
  std::optional<StopReason> stop_;
  std::optional<Monotonic> kill_at_;  // wall: a runner that does not stop
  std::optional<AttemptEnd> end_;

  Monotonic stage_begin_;           // device time, of a fetch or an upload
  Monotonic ready_;                 // device time at which the present stage may end
  std::optional<Monotonic> retry_;  // wall: a transfer that failed is tried again
  absl::Duration backoff_;
  std::vector<FetchedInput> inputs_;
  UploadResult upload_;

  std::optional<int64_t> started_;
  bool starting_ = false;                // the runner runs, its first phase has not begun
  Monotonic schedule_;                   // emulation: device time up to which work is laid out
  std::optional<Monotonic> gate_opens_;  // device time
  absl::Duration lag_;                   // of the latest step behind its schedule; below 0: ahead
  absl::Duration lag_total_;             // of the run
  std::optional<v1::RunnerResult> result_;
  std::optional<v1::RunnerFailure> failure_;

  v1::AttemptProgress progress_;
  int64_t runner_steps_ = 0;  // of the main phase, by this runner
  int64_t runner_tokens_ = 0;
  absl::Duration runner_step_time_;  // that they take, in device time
  int64_t tokens_left_ = 0;          // of the main phase, told by the runner; 0: none, or not known
  Monotonic last_step_at_;           // device time
  Joules longest_step_;
  Joules checkpoint_cost_;
  int64_t new_tokens_ = 0;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_ATTEMPT_RUN_H_
