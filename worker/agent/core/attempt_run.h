// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One attempt, from the first byte that it fetches to the upload of its result: fetch → start the
// runner → steps and checkpoints → upload → end. Frames, exits, transfers and the passing of time
// drive it; it acts through AgentPorts. Pace says when work is done on the device; RunnerWatch says
// when a runner hangs. Reads no clock; use it from one thread.
#ifndef WATTLE_WORKER_AGENT_CORE_ATTEMPT_RUN_H_
#define WATTLE_WORKER_AGENT_CORE_ATTEMPT_RUN_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "base/backoff.h"
#include "policy/held_back.h"
#include "policy/limits.h"
#include "proto/checkpoint_interval.h"
#include "proto/run_curve.h"
#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/fleet.pb.h"
#include "wattle/v1/runner.pb.h"
#include "wattle/v1/worker_state.pb.h"
#include "worker/agent/core/agent_ports.h"
#include "worker/agent/core/checkpoint_cadence.h"
#include "worker/agent/core/device_clock.h"
#include "worker/agent/core/energy_account.h"
#include "worker/agent/core/pace.h"
#include "worker/agent/core/runner_watch.h"
#include "worker/agent/storage/state_directory.h"
#include "worker/child/runner_exit.h"

namespace wattle::agent {

enum class StopReason { kUnwanted, kGuard, kLease, kStorage, kMemory, kShutdown, kRelease, kOwner };

// The directory of the checkpoint of `step` within an attempt's work directory, as the runner names
// it (worker/engine/train/checkpoint.h).
std::string CheckpointDirectory(const std::string& work_directory, int64_t step);

struct AttemptEnd {
  enum class Kind { kFinished, kFailed, kStopped };
  Kind kind = Kind::kFailed;
  StopReason stop = StopReason::kUnwanted;  // of kStopped
  v1::FailureClass failure_class = v1::FAILURE_CLASS_UNSPECIFIED;
  std::string message{};
  std::optional<v1::ArtifactInfo> output{};  // of kFinished, if the job made files
  // With kFinished: the files are still here and are uploaded later; `output` has no id.
  bool waits_for_upload = false;
};

struct AttemptSettings {
  int threads = 1;
  std::string device = "cpu";
  v1::DeviceInfo info;
  RunnerWatchLimits watch;
  // Bytes of the disk that a checkpoint leaves free.
  int64_t free_space_reserve_bytes = 0;
  // What an earlier run of the attempt took to stop, at the most; zero: none was.
  policy::StopEstimate seen_stop{};
};

// What an attempt acts on. All of it must outlive the attempt.
struct AttemptSurroundings {
  StateDirectory* state;
  AgentPorts* ports;
  EnergyAccount* account;
  Pace* pace;
  const DeviceClock* clock;
  CheckpointCadence* cadence;
  const policy::Limits* limits;  // of the device's policies
  // Why no artifact may come or leave now, for people; "" if one may.
  std::function<std::string(const Instant&)> link_closed;
  // What the battery holds above the charge at which work stops; nullopt: nothing bounds it.
  std::function<std::optional<Joules>()> above_reserve;
  // Whether the attempt may begin a transfer. If not, the transfer in its way is ended.
  std::function<bool()> claim_line;
  // Whether the coordinator of this worker's journal has greeted it: a stranger gets no reports.
  std::function<bool()> is_welcomed;
};

// The coordinator's prediction for the device of the placement.
const v1::Prediction& PredictionOf(const v1::Assignment& assignment);

// Replaces what was measured: energy, seconds and phases, without the curve. The rest of `to`
// stays.
void CopyMeasured(const v1::Receipt& from, v1::Receipt& to);

class AttemptRun {
 public:
  // record: the attempt's record on disk; its receipt holds what an earlier process measured.
  AttemptRun(const AttemptSurroundings& surroundings, AttemptSettings settings,
             v1::HeldAttemptRecord record);

  // has_inputs: nothing is to be fetched over the link.
  void Begin(bool has_inputs, const Instant& now);
  void OnFetched(const FetchResult& result, const Instant& now);
  void OnFrame(const v1::RunnerFrame& frame, const Instant& now);
  void OnRunnerExit(const child::RunnerExit& exit, const Instant& now);
  void OnUploaded(const UploadResult& result, const Instant& now);
  void Stop(StopReason reason, const Instant& now);  // takes effect at the next step boundary
  void Step(const Instant& now);
  // The board's mode has changed: the receipt names the present one.
  void SetPowerMode(const std::string& mode);
  // The run goes on in this mode by the guard. Once it is below that of the placement, the receipt
  // names both, and the steps tell no rate.
  void FollowMode(const std::string& placed, const std::string& mode);

  // The process did not run for this long, in device time: that time counts as missing.
  // REQUIRES: Begin was called.
  void AddGap(absl::Duration gap);

  // Whether other programs kept the board busy since the last call.
  void OnContended(bool contended, const Instant& now);

  // The next instant (wall) at which Step() has something to do; nullopt if only an event can go
  // on.
  [[nodiscard]] std::optional<Monotonic> NextStep() const;
  // How far an emulated board's clock may move before this machine has done more: not at all during
  // a transfer. nullopt: the attempt waits for something else, and time passes.
  [[nodiscard]] std::optional<Monotonic> busy_until() const;
  [[nodiscard]] const std::optional<AttemptEnd>& end() const { return end_; }
  [[nodiscard]] bool stopping() const { return stop_.has_value(); }
  // Whether the run goes on from a checkpoint after it was stopped.
  [[nodiscard]] bool keeps_checkpoints() const { return keeps_checkpoints_; }
  // Whether the runner is done and only the result's upload is left.
  [[nodiscard]] bool has_result() const {
    return stage_ == Stage::kExited || stage_ == Stage::kUploading || stage_ == Stage::kUploaded;
  }
  // Whether the attempt moves its inputs or its result, or is about to.
  [[nodiscard]] bool uses_line() const {
    return stage_ == Stage::kFetching || stage_ == Stage::kUploading;
  }
  // Whether the upload of the result goes on since before this time, or cannot go on now.
  [[nodiscard]] bool uploads_since(Monotonic wall) const {
    return stage_ == Stage::kUploading && transfers_ && upload_begin_ <= wall;
  }
  [[nodiscard]] bool waits_to_upload() const {
    return stage_ == Stage::kUploading && !transfers_ && retry_.has_value() && !waits_for_line_;
  }
  // Whether a fetch, a checkpoint or a result is written now.
  [[nodiscard]] bool writes_much() const;
  // Ends the try of a fetch under way, which goes on some seconds later.
  void EndFetchTry(const Instant& now);
  // Ends the try of the upload that is under way; waits_to_upload() follows.
  void EndUploadTry() { ports_.CancelTransfer(); }
  // The transfer in the way of this attempt's has ended.
  void OnLineFree(const Instant& now);
  // Ends a transfer under way once the link is closed.
  void CheckLink(const Instant& now);
  // Ends the attempt with the result still here. REQUIRES: waits_to_upload() and no stop().
  void FinishWithoutUpload(const Instant& now);
  [[nodiscard]] const v1::HeldAttemptRecord& record() const { return record_; }
  // The record with all measurements so far. Settles the account up to now.
  v1::HeldAttemptRecord Snapshot(const Instant& now);
  [[nodiscard]] v1::AttemptProgress Progress() const;
  // Sends a line for the job's log to the coordinator; an empty line is not sent.
  void Log(const std::string& line, const Instant& now);
  // How long this attempt would run on after an order to stop: predicted, until it is measured.
  [[nodiscard]] policy::StopEstimate StopEstimateNow() const;
  // A warning for people if a policy asks for checkpoints faster than one was written here; else
  // "".
  [[nodiscard]] std::string LossWarning() const;
  // The step at which the runner began or resumed; returned once.
  [[nodiscard]] std::optional<int64_t> TakeStarted() {
    return std::exchange(started_, std::nullopt);
  }
  [[nodiscard]] int64_t TakeTokens() { return std::exchange(new_tokens_, 0); }

 private:
  enum class Stage { kFetching, kFetched, kRunning, kExited, kUploading, kUploaded, kEnded };

  void SetActivity(Monotonic from, Activity activity);
  // What its runners compute on: "cpu", or the worker's accelerator.
  [[nodiscard]] std::string Processor() const;
  [[nodiscard]] v1::RunnerTask MakeTask() const;
  [[nodiscard]] int64_t ModelBytes() const;  // of the models among the inputs
  void StartRunner(const Instant& now);
  void OnPhase(const v1::PhaseChanged& phase, const Instant& now);
  void OnStep(const v1::StepDone& step, const Instant& now);
  void OnCheckpoint(const v1::CheckpointDone& checkpoint, const Instant& now);
  void OnResult(const v1::RunnerResult& result, const Instant& now);
  CheckpointFacts FactsOfCheckpoint(Monotonic at);  // at this device time
  // Orders a checkpoint of the step that ended at this device time, if one pays.
  void OrderCheckpoint(Monotonic at, const Instant& now);
  void CountLostWork(const Instant& now);
  void CheckTimeout();
  void CheckHang(const Instant& now);
  [[nodiscard]] absl::Duration StopTime(StopReason reason) const;
  void BeginFetch(const Instant& now);
  void BeginUpload(const Instant& now);
  [[nodiscard]] v1::ArtifactInfo ResultInfo() const;
  // If the link is closed or another transfer has it: waits for it, and returns true.
  bool WaitForLink(const Instant& now);
  std::optional<v1::FailureClass> FailureOfTransfer(const absl::Status& status);
  void RetryTransfer(const absl::Status& status, const Instant& now);
  void Fail(v1::FailureClass failure_class, const std::string& message);
  void End(AttemptEnd end);
  // A newer checkpoint forgives crashes and interruptions before it.
  void NoteProgress();
  void TellBorrowing(const Instant& now);
  std::optional<WorkSpan> EndWrite(int64_t size_bytes, const Instant& now);
  void BeginReceipt();
  void FillReceipt();
  void FillPhases();
  [[nodiscard]] const std::string& attempt_id() const { return record_.assignment().attempt_id(); }
  [[nodiscard]] RunCurve::Totals RunTotals() const;
  void FillSteadyWork(v1::AttemptProgress& progress) const;
  [[nodiscard]] AttemptEnergy MeasuredBefore() const;  // by earlier processes, from the record

  StateDirectory& state_;
  AgentPorts& ports_;
  EnergyAccount& account_;
  Pace& pace_;
  const DeviceClock& clock_;
  CheckpointCadence& cadence_;
  const policy::Limits& limits_;
  const std::function<std::string(const Instant&)> link_closed_;
  const std::function<std::optional<Joules>()> above_reserve_;
  const std::function<bool()> claim_line_;
  const std::function<bool()> is_welcomed_;
  absl::Duration gap_;  // Before this process; zero once its lost work is counted.
  AttemptSettings settings_;
  v1::HeldAttemptRecord record_;
  const v1::AttemptPhase main_phase_;
  const bool keeps_checkpoints_;
  Stage stage_ = Stage::kFetching;
  std::optional<StopReason> stop_;
  std::optional<Monotonic> kill_at_;  // wall; when a runner that does not stop is killed
  RunnerWatch watch_;
  std::string hang_;  // why the runner was killed as hung; empty if it was not
  std::optional<AttemptEnd> end_;

  Monotonic upload_begin_;          // wall
  Monotonic ready_;                 // device time; the present stage ends no earlier
  std::optional<Monotonic> retry_;  // wall; when the failed transfer is tried again
  // The wait before the first retry of a transfer.
  static constexpr absl::Duration kBackoffMin = absl::Seconds(1);
  Backoff backoff_;
  bool has_inputs_ = false;
  bool waits_for_link_ = false;
  bool waits_for_line_ = false;
  bool transfers_ = false;        // a transfer is under way
  Monotonic fetch_held_until_;    // wall
  int damaged_transfers_ = 0;     // in a row
  std::string transfer_problem_;  // the last one noted; the same problem is noted once
  std::vector<FetchedInput> inputs_;
  UploadResult upload_;

  std::optional<int64_t> started_;
  bool starting_ = false;      // the runner was started, but its first phase has not begun
  bool writes_phase_ = false;  // the runner writes a checkpoint or its result
  std::optional<v1::RunnerResult> result_;
  std::optional<v1::RunnerFailure> failure_;

  v1::AttemptProgress progress_;
  RunCurve curve_;
  int64_t runner_steps_ = 0;  // of the main phase, made by this runner
  int64_t runner_tokens_ = 0;
  absl::Duration runner_step_time_;  // of these steps, in device time
  int64_t tokens_left_ = 0;          // of the main phase, from the runner; 0 = none or unknown
  // The same three at the end of the runner's warm-up, with the run's measured energy; nullopt: it
  // warms up.
  struct SteadyBegin {
    int64_t steps = 0;
    int64_t tokens = 0;
    absl::Duration step_time{};
    RunCurve::Totals run{};
  };
  std::optional<SteadyBegin> steady_begin_;
  RunCurve::Totals run_at_phase_;  // as the main phase began
  Monotonic last_step_at_;         // device time
  policy::StopEstimate predicted_stop_;
  // Made by this runner, as in the placement's mode; 0 = none yet.
  absl::Duration longest_step_;
  double slower_ = 1;                  // steps may take so much longer in a lowered mode
  absl::Duration longest_checkpoint_;  // 0 = none yet
  // Device time of the newest checkpoint's end, or of the runner's first step; nullopt: none yet.
  std::optional<Monotonic> checkpointed_at_;
  bool checkpoint_ordered_ = false;
  std::optional<CheckpointBound> told_bound_;  // that the job's log knows of
  bool told_borrowing_ = false;                // likewise, of the card's later days
  absl::Duration checkpoint_time_;             // of the latest; 0 = none yet
  int64_t checkpoint_bytes_ = 0;
  int64_t new_tokens_ = 0;
  absl::Duration run_looked_at_;  // time of the run at the last OnContended
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_ATTEMPT_RUN_H_
