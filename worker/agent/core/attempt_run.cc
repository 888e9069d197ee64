// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/attempt_run.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "base/crash_point.h"
#include "proto/job_kind.h"
#include "units/format.h"
#include "worker/agent/core/attempt_facts_internal.h"
#include "worker/agent/core/attempt_phase.h"
#include "worker/agent/core/attempt_texts.h"

namespace wattle::agent {
namespace {

// A runner may crash or hang this often without a newer checkpoint; then the attempt fails.
constexpr int kCrashesMax = 3;
// Work that is paused or cut off so often in a row before it writes a newer checkpoint would begin
// anew for ever; then the attempt fails. Only fine-tunes have checkpoints. A worker that is stopped
// in order, for an upgrade say, cuts nothing off.
constexpr int kInterruptionsMax = 6;
// The time for the step boundary and its checkpoint after an order to stop; then the runner is
// killed.
constexpr absl::Duration kStopTime = absl::Minutes(2);
// A runner's first step allocates memory and picks kernels, which takes up to a second or two. In a
// step that is longer than this it does not count.
constexpr absl::Duration kWarmUpMax = absl::Seconds(5);
// From this many interruptions in a row without a newer checkpoint, the job's log reports them.
constexpr int kInterruptionsTold = 3;
// A checkpoint holds the weights and two moments of each, in FP32 as most model files are.
constexpr int64_t kCheckpointModels = 3;

}  // namespace

std::string CheckpointDirectory(const std::string& work_directory, int64_t step) {
  return absl::StrFormat("%s/checkpoint-%010d", work_directory, step);
}

AttemptRun::AttemptRun(const AttemptSurroundings& surroundings, AttemptSettings settings,
                       v1::HeldAttemptRecord record)
    : state_(*surroundings.state),
      ports_(*surroundings.ports),
      account_(*surroundings.account),
      pace_(*surroundings.pace),
      clock_(*surroundings.clock),
      cadence_(*surroundings.cadence),
      limits_(*surroundings.limits),
      link_closed_(surroundings.link_closed),
      above_reserve_(surroundings.above_reserve),
      claim_line_(surroundings.claim_line),
      is_welcomed_(surroundings.is_welcomed),
      settings_(std::move(settings)),
      record_(std::move(record)),
      main_phase_(MainPhase(record_.assignment().spec())),
      keeps_checkpoints_(KindOf(record_.assignment().spec()).keeps_checkpoints &&
                         !record_.assignment().has_profile_point()),
      watch_(settings_.watch),
      backoff_(kBackoffMin, state_.disk().Random()) {
  progress_.set_attempt_id(record_.assignment().attempt_id());
  BeginReceipt();
  predicted_stop_ =
      policy::PredictedStop(record_.assignment().spec(), record_.receipt().predicted());
}

void AttemptRun::SetActivity(Monotonic from, Activity activity) {
  account_.SetActivity(from, activity);
  pace_.SetActivity(from, activity);
}

void AttemptRun::Begin(bool has_inputs, const Instant& now) {
  has_inputs_ = has_inputs;
  account_.AdvanceTo(now.device);
  account_.BeginAttempt(MeasuredBefore());
  curve_ = RunCurve(record_.receipt().curve(), RunTotals());
  run_looked_at_ = account_.attempt().In(Activity::kRun);
  stage_ = Stage::kFetching;
  progress_.set_phase("fetch");
  if (record_.interruptions_in_a_row() > kInterruptionsMax) {
    return Fail(v1::FAILURE_CLASS_POWER,
                absl::StrCat("interrupted more than ", kInterruptionsMax,
                             " times in a row without a newer checkpoint to go on from"));
  }
  BeginFetch(now);
}

std::string AttemptRun::Processor() const {
  return record_.assignment().on_cpu() ? "cpu" : settings_.device;
}

v1::RunnerTask AttemptRun::MakeTask() const {
  v1::RunnerTask task;
  task.set_attempt_id(record_.assignment().attempt_id());
  *task.mutable_spec() = record_.assignment().spec();
  task.set_work_directory(state_.WorkDirectory(attempt_id()));
  if (!record_.assignment().has_profile_point()) {  // Whose work is thrown away.
    task.set_output_directory(state_.OutputDirectory(attempt_id()));
  }
  task.set_threads(settings_.threads);
  task.set_gated(pace_.gated());
  task.set_device(Processor());
  task.set_checkpoints_when_told(true);
  task.set_free_space_reserve_bytes(settings_.free_space_reserve_bytes);
  task.set_peak_memory_bytes(record_.assignment().prediction().peak_memory_bytes());
  for (const FetchedInput& input : inputs_) {
    if (input.field == "model") {
      task.set_model_directory(input.directory);
    } else if (input.field == "data") {
      task.set_data_file(input.file);
    } else if (input.field == "heldout_data") {
      task.set_heldout_data_file(input.file);
    } else if (input.field == "calibration_data") {
      task.set_calibration_data_file(input.file);
    } else if (input.field == "reference_model") {
      task.set_reference_model_directory(input.directory);
    }
  }
  return task;
}

int64_t AttemptRun::ModelBytes() const {
  int64_t bytes = 0;
  for (const FetchedInput& input : inputs_) {
    bytes += input.field == "model" || input.field == "reference_model" ? input.size_bytes : 0;
  }
  return bytes;
}

void AttemptRun::StartRunner(const Instant& now) {
  const v1::RunnerTask task = MakeTask();
  const int64_t model_bytes = ModelBytes();
  // A killed runner may have left half of a result.
  state_.RemoveOutput(attempt_id());

  CountLostWork(now);
  if (record_.interruptions_in_a_row() == kInterruptionsTold) {
    Log(absl::StrCat("cut off ", kInterruptionsTold,
                     " times in a row before a checkpoint: the next one comes after ",
                     FormatElapsed(absl::Seconds(record_.run_seconds_lost_last() / 2)),
                     " of work at the latest"),
        now);
  }
  checkpointed_at_.reset();
  checkpoint_ordered_ = false;
  starting_ = true;
  writes_phase_ = false;
  result_.reset();
  failure_.reset();
  runner_steps_ = 0;
  runner_tokens_ = 0;
  tokens_left_ = 0;
  runner_step_time_ = absl::ZeroDuration();
  steady_begin_.reset();
  longest_step_ = absl::ZeroDuration();
  stage_ = Stage::kRunning;
  progress_.set_phase("load");
  SetActivity(now.device, Activity::kStart);
  record_.mutable_receipt()->set_starts(record_.receipt().starts() + 1);
  pace_.BeginRunner(task, model_bytes, now.device);
  if (keeps_checkpoints_) {
    ports_.MakeRoom(kCheckpointModels * model_bytes);
  }
  hang_.clear();
  watch_.Start(now.wall);
  Log(StartLine(task), now);
  const absl::Status status = ports_.StartRunner(task);
  if (!status.ok()) {
    watch_.Stop();
    Fail(v1::FAILURE_CLASS_DEVICE, std::string(status.message()));
  }
}

policy::StopEstimate AttemptRun::StopEstimateNow() const {
  policy::StopEstimate estimate = predicted_stop_;
  if (longest_step_ > absl::ZeroDuration()) {
    estimate.start = absl::ZeroDuration();
    estimate.step = longest_step_;
  }
  estimate.start *= slower_;
  estimate.step *= slower_;
  if (longest_checkpoint_ > absl::ZeroDuration()) {
    estimate.checkpoint = longest_checkpoint_;
  }
  estimate.load = std::max(estimate.load, account_.working_peak().value_or(Watts(0)));
  return LongerOf(estimate, settings_.seen_stop);
}

void AttemptRun::OnFrame(const v1::RunnerFrame& frame, const Instant& now) {
  if (stage_ != Stage::kRunning) {
    return;
  }
  if (frame.has_alive()) {
    return watch_.OnAlive(frame.alive().cpu_seconds(), now.wall);
  }
  watch_.OnWork(now.wall);
  switch (frame.frame_case()) {
    case v1::RunnerFrame::kPhase:
      return OnPhase(frame.phase(), now);
    case v1::RunnerFrame::kStep:
      return OnStep(frame.step(), now);
    case v1::RunnerFrame::kCheckpoint:
      return OnCheckpoint(frame.checkpoint(), now);
    case v1::RunnerFrame::kResult:
      return OnResult(frame.result(), now);
    case v1::RunnerFrame::kFailure:
      failure_ = frame.failure();
      return;
    case v1::RunnerFrame::kStopped:  // the exit follows
    case v1::RunnerFrame::kLog:      // handled by the core
    case v1::RunnerFrame::kAlive:
    case v1::RunnerFrame::FRAME_NOT_SET:
      return;
  }
}

void AttemptRun::OnPhase(const v1::PhaseChanged& phase, const Instant& now) {
  progress_.set_phase(phase.phase());
  const v1::AttemptPhase kind =
      phase.kind() != v1::ATTEMPT_PHASE_UNSPECIFIED ? phase.kind() : PhaseNamed(phase.phase());
  if (kind == v1::ATTEMPT_PHASE_LOAD) {
    return;
  }
  if (kind == v1::ATTEMPT_PHASE_UNSPECIFIED) {
    // The time stays with the phase before; the activity is not guessed.
    ports_.Note(
        absl::StrCat(attempt_id(),
                     ": the runner is in a phase that this worker does not know: ", phase.phase()));
    return;
  }
  const bool is_main = kind == main_phase_;
  writes_phase_ = ActivityOf(kind, main_phase_) == Activity::kCheckpoint;
  if (starting_) {
    starting_ = false;
    record_.set_started(true);
    started_ = is_main ? phase.from_step() : 0;
    // The runner before this one wrote the checkpoint, and died before it told so.
    if (*started_ >
        std::max(record_.newest_checkpoint_step(), record_.receipt().resumed_from_step())) {
      NoteProgress();
    }
    record_.mutable_receipt()->set_resumed_from_step(*started_);
  }
  const Monotonic begin = pace_.BeginPhase(now.device);
  if (is_main) {
    progress_.clear_text();  // a generation that starts over starts its text over
    progress_.clear_text_bytes();
    progress_.set_step(phase.from_step());
    progress_.set_steps_total(phase.steps_total());
    run_at_phase_ = RunTotals();
    if (!checkpointed_at_) {
      checkpointed_at_ = begin;
    }
  }
  last_step_at_ = begin;
  SetActivity(begin, ActivityOf(kind, main_phase_));
}

void AttemptRun::OnStep(const v1::StepDone& step, const Instant& now) {
  CrashPoint("progress");
  account_.AdvanceTo(now.device);  // the curve's seconds are those up to this step
  const bool is_main = PhaseNamed(step.phase()) == main_phase_;
  const Monotonic at = pace_.EndStep(step, now.device);
  const absl::Duration step_time = at - last_step_at_;
  longest_step_ = std::max(longest_step_, step_time / slower_);
  last_step_at_ = at;
  if (is_main) {
    cadence_.OnWork(step_time);
    OrderCheckpoint(at, now);
  }
  watch_.OnStep(step_time * clock_.time_scale());
  watch_.SetWaiting(pace_.gate_opens().has_value(), now.wall);
  if (is_main) {
    RunCurve::Totals totals = RunTotals();
    // An emulated board may end the step later than this machine did.
    totals.seconds += std::max(0.0, absl::ToDoubleSeconds(at - now.device));
    curve_.AddStep(step.step(), step.loss(), totals);
    progress_.set_loss(step.loss());
    progress_.set_step(step.step());
    progress_.set_steps_total(step.steps_total());
    progress_.set_tokens(progress_.tokens() + step.tokens());
    new_tokens_ += step.tokens();
    AppendText(step.text(), progress_);
    // A long first step hides its warm-up; a board with such steps cannot make one in vain.
    const bool long_step = step_time >= kWarmUpMax;
    if (!steady_begin_ && long_step) {
      steady_begin_ = SteadyBegin{.run = run_at_phase_};
    }
    ++runner_steps_;
    runner_tokens_ += step.tokens();
    tokens_left_ = step.tokens_left();
    runner_step_time_ += step_time;
    if (!steady_begin_) {
      steady_begin_ = SteadyBegin{runner_steps_, runner_tokens_, runner_step_time_, RunTotals()};
    }
  }
  if (step.heldout_loss() != 0) {
    progress_.set_heldout_loss(step.heldout_loss());
    curve_.AddHeldoutLoss(step.heldout_loss());
  }
  Step(now);
}

void AttemptRun::OnContended(bool contended, const Instant& now) {
  account_.AdvanceTo(now.device);
  const absl::Duration run = account_.attempt().In(Activity::kRun);
  const absl::Duration since = run - std::exchange(run_looked_at_, run);
  if (contended) {
    v1::Receipt& receipt = *record_.mutable_receipt();
    receipt.set_contended_seconds(receipt.contended_seconds() + absl::ToDoubleSeconds(since));
  }
}

void AttemptRun::CheckHang(const Instant& now) {
  const std::string reason = watch_.Look(now.wall);
  if (reason.empty()) {
    return;
  }
  hang_ = absl::StrCat("runner: ", reason, " in phase ", progress_.phase(), "; killed");
  watch_.Stop();
  ports_.KillRunner();
}

void AttemptRun::CheckTimeout() {
  const double limit = record_.assignment().spec().timeout_seconds();
  const double run_seconds = absl::ToDoubleSeconds(account_.attempt().In(Activity::kRun));
  if (limit > 0 && run_seconds > limit && !failure_) {
    failure_.emplace();
    failure_->set_failure_class(v1::FAILURE_CLASS_JOB);
    failure_->set_message(absl::StrCat("timeout: the run took more than timeout_seconds: ", limit));
    ports_.KillRunner();
  }
}

// Books the write. Returns its span where the pace knows the span ahead of time.
std::optional<WorkSpan> AttemptRun::EndWrite(int64_t size_bytes, const Instant& now) {
  const std::optional<WorkSpan> span = pace_.EndWrite(size_bytes, now.device);
  if (span) {
    SetActivity(span->begin, Activity::kCheckpoint);
  }
  return span;
}

void AttemptRun::OnResult(const v1::RunnerResult& result, const Instant& now) {
  result_ = result;
  ready_ = now.device;
  if (const auto span = EndWrite(state_.OutputSizeBytes(attempt_id()), now)) {
    ready_ = span->end;
  }
}

void AttemptRun::OnRunnerExit(const child::RunnerExit& exit, const Instant& now) {
  if (stage_ != Stage::kRunning) {
    return;
  }
  kill_at_.reset();
  watch_.Stop();
  pace_.EndRunner();
  account_.AdvanceTo(now.device);
  if (result_ && exit.clean) {
    stage_ = Stage::kExited;
    return Step(now);
  }
  if (stop_) {
    return End({.kind = AttemptEnd::Kind::kStopped, .stop = *stop_});
  }
  if (failure_) {
    return Fail(failure_->failure_class(),
                InUsersWords(failure_->message(), record_.assignment(), inputs_));
  }
  std::string message = exit.clean ? "runner: exited without a result" : exit.message;
  // A GPU's driver crashes the process that uses it. Whether the job does is seen elsewhere.
  const bool by_accelerator = exit.crashed && Processor() != "cpu";
  if (by_accelerator) {
    absl::StrAppend(&message, ", on ", Processor());
  }
  if (!hang_.empty()) {
    message = hang_;
  }
  cadence_.OnCut();
  record_.mutable_receipt()->set_runner_crashes(record_.receipt().runner_crashes() + 1);
  record_.set_crashes_in_a_row(record_.crashes_in_a_row() + 1);
  if (record_.crashes_in_a_row() > kCrashesMax) {
    return Fail(
        exit.clean       ? v1::FAILURE_CLASS_JOB
        : by_accelerator ? v1::FAILURE_CLASS_DEVICE
                         : exit.failure_class,
        absl::StrCat(message, " (restarted ", kCrashesMax, " times without a newer checkpoint)"));
  }
  record_.mutable_receipt()->set_restarts(record_.receipt().restarts() + 1);
  message += "; going on from its last checkpoint";
  ports_.Note(absl::StrCat(attempt_id(), ": ", message));
  Log(message, now);
  stage_ = Stage::kFetched;
  ready_ = now.device;
  Step(now);
}

void AttemptRun::Stop(StopReason reason, const Instant& now) {
  if (end_ || stage_ == Stage::kEnded) {
    return;
  }
  // kUnwanted is final and overrides a pause.
  if (!stop_ || reason == StopReason::kUnwanted) {
    const bool first = !stop_.has_value();
    stop_ = reason;
    if (!first) {
      return;
    }
  }
  switch (stage_) {
    case Stage::kFetching:
    case Stage::kUploading:
      if (retry_) {
        return End({.kind = AttemptEnd::Kind::kStopped, .stop = reason});
      }
      return ports_.CancelTransfer();
    case Stage::kFetched:
    case Stage::kExited:
    case Stage::kUploaded:
      return End({.kind = AttemptEnd::Kind::kStopped, .stop = reason});
    case Stage::kRunning: {
      v1::RunnerCommand command;
      command.mutable_stop()->set_discard(reason == StopReason::kUnwanted ||
                                          record_.assignment().has_profile_point());
      ports_.SendToRunner(command);
      pace_.EndRunner();
      kill_at_ = now.wall + StopTime(reason);
      return;
    }
    case Stage::kEnded:
      return;
  }
}

// The guard relies on policy::StopTime: nothing draws for longer after its order. For any other
// reason the runner gets at least kStopTime. On an emulated board it always does: this machine is
// slower or faster than the board, and does not draw its power.
absl::Duration AttemptRun::StopTime(StopReason reason) const {
  const absl::Duration counted = policy::StopTime(StopEstimateNow());
  return reason == StopReason::kGuard && !pace_.gated() ? counted : std::max(counted, kStopTime);
}

void AttemptRun::Step(const Instant& now) {
  if (kill_at_ && now.wall >= *kill_at_) {
    kill_at_.reset();
    ports_.KillRunner();
  }
  if (stage_ == Stage::kRunning) {
    CheckTimeout();
    CheckHang(now);
  }
  if (retry_ && now.wall >= *retry_) {
    retry_.reset();
    if (stage_ == Stage::kFetching) {
      BeginFetch(now);
    } else if (stage_ == Stage::kUploading) {
      BeginUpload(now);
    }
  }
  CheckLink(now);
  if (const auto opens = pace_.gate_opens(); opens && now.device >= *opens) {
    pace_.GateOpened();
    watch_.SetWaiting(false, now.wall);
    v1::RunnerCommand command;
    command.mutable_continue_step();
    ports_.SendToRunner(command);
  }
  if (now.device < ready_) {
    return;
  }
  if (stage_ == Stage::kFetched) {
    StartRunner(now);
  } else if (stage_ == Stage::kExited) {
    BeginUpload(now);
  } else if (stage_ == Stage::kUploaded) {
    account_.AdvanceTo(now.device);
    AttemptEnd end = {.kind = AttemptEnd::Kind::kFinished};
    if (!upload_.artifact.artifact_id().empty()) {
      end.output = upload_.artifact;
      record_.mutable_receipt()->set_output_artifact_id(upload_.artifact.artifact_id());
    }
    End(std::move(end));
  }
}

std::optional<Monotonic> AttemptRun::NextStep() const {
  std::optional<Monotonic> next;
  auto earliest = [&next](const std::optional<Monotonic>& at) {
    if (at && (!next || *at < *next)) {
      next = at;
    }
  };
  earliest(kill_at_);
  earliest(retry_);
  earliest(watch_.deadline());
  if (const auto opens = pace_.gate_opens(); opens && stage_ == Stage::kRunning) {
    earliest(clock_.ToWall(*opens));
  }
  if (stage_ == Stage::kFetched || stage_ == Stage::kExited || stage_ == Stage::kUploaded) {
    earliest(clock_.ToWall(ready_));
  }
  return next;
}

std::optional<Monotonic> AttemptRun::busy_until() const {
  switch (stage_) {
    case Stage::kFetching:
    case Stage::kUploading:
      return transfers_ || waits_for_line_ ? std::optional(Monotonic()) : std::nullopt;
    case Stage::kFetched:
    case Stage::kExited:
    case Stage::kUploaded:
      return ready_;
    case Stage::kRunning:
      return pace_.busy_until();
    case Stage::kEnded:
      break;
  }
  return std::nullopt;
}

void AttemptRun::Fail(v1::FailureClass failure_class, const std::string& message) {
  record_.mutable_receipt()->set_failure_class(failure_class);
  record_.mutable_receipt()->set_failure_message(message);
  End({.kind = AttemptEnd::Kind::kFailed, .failure_class = failure_class, .message = message});
}

void AttemptRun::End(AttemptEnd end) {
  stage_ = Stage::kEnded;
  end_ = std::move(end);
}

}  // namespace wattle::agent
