// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The simulated worker's behaviour: what a real agent does, with a counter for an engine.
#include "sim/worker.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace wattle::sim {
namespace {

constexpr double kStepSeconds = 1.0;  // wall, between two looks at the run
constexpr double kHeartbeatSeconds = 2.0;
constexpr double kResendSeconds = 7.0;
constexpr double kIdleWatts = 3.0;
constexpr double kCheckpointSteps = 40.0;
constexpr const char* kClasses[] = {"jetson-orin-nano", "jetson-xavier-nx", "raspberry-pi-5"};
constexpr double kTimeScales[] = {1.0, 0.25, 2.0};

}  // namespace

Worker::Worker(int number, EventLoop& loop, Random& random, const Options& options)
    : loop_(loop),
      random_(random),
      options_(options),
      power_watts_(8.0 + number),
      steps_per_device_second_(4.0 + number % 3),
      incarnation_(1000 + number) {
  info_.set_device_id(absl::StrFormat("device-%02d", number));
  info_.set_name(absl::StrCat("board-", number));
  info_.set_device_class(kClasses[number % 3]);
  info_.set_emulated(true);
  info_.set_time_scale(kTimeScales[number % 3]);
  info_.set_memory_bytes(int64_t{8} << 30);
  info_.set_cores(1);
  info_.set_energy_source(v1::ENERGY_SOURCE_EMULATED);
  info_.set_idle_power_watts(kIdleWatts);
  info_.set_engine_version("wattle-sim");
  info_.set_cache_quota_bytes(int64_t{1} << 34);
}

void Worker::Start(WorkerPort port) {
  port_ = std::move(port);
  Restart();
}

void Worker::Crash() {
  alive_ = false;
  ++life_;
  stream_ = 0;
  for (auto& [id, held] : held_) {
    held.steps_done = held.steps_saved;
    held.uploading = false;
    held.paused_until_seconds = 0.0;
    ++held.restarts;
  }
}

void Worker::LoseDisk() {
  lost_disk_ = true;
  incarnation_ += 1000;
  next_report_ = 1;
  acknowledged_ = 0;
  spool_.clear();
  held_.clear();
  ended_.clear();
  attempt_energy_joules_ = 0.0;
  idle_energy_joules_ = 0.0;
}

void Worker::Restart() {
  alive_ = true;
  ++life_;
  last_contact_seconds_ = loop_.now_seconds();
  Every(kStepSeconds, &Worker::Step);
  Every(kHeartbeatSeconds, &Worker::SendHeartbeat);
  Every(kResendSeconds, &Worker::SendSpool);
  Disconnected();
}

void Worker::Every(double interval_seconds, void (Worker::*action)()) {
  loop_.After(interval_seconds, [this, interval_seconds, action, life = life_] {
    if (life == life_ && alive_) {
      (this->*action)();
      Every(interval_seconds, action);
    }
  });
}

void Worker::Disconnected() {
  stream_ = 0;
  loop_.After(random_.Between(0.2, 3.0), [this, life = life_] {
    if (life == life_ && alive_ && stream_ == 0) {
      port_.dial();
    }
  });
}

void Worker::Connected(int64_t stream) {
  stream_ = stream;
  v1::WorkerMessage message;
  v1::Hello& hello = *message.mutable_hello();
  *hello.mutable_device() = info_;
  hello.set_incarnation(incarnation_);
  for (const auto& [id, held] : held_) {
    v1::HeldAttempt& one = *hello.add_attempts();
    one.set_attempt_id(id);
    one.set_fencing_token(held.assignment.fencing_token());
    one.set_state(held.state);
  }
  port_.send(message);
  SendSpool();
}

void Worker::SendHeartbeat() {
  if (stream_ == 0) {
    return;
  }
  v1::WorkerMessage message;
  v1::Heartbeat& heartbeat = *message.mutable_heartbeat();
  heartbeat.set_has_power(true);
  heartbeat.set_power_watts(held_.empty() ? kIdleWatts : power_watts_);
  heartbeat.set_memory_available_bytes(info_.memory_bytes());
  for (const auto& [id, held] : held_) {
    v1::AttemptProgress& progress = *heartbeat.add_progress();
    progress.set_attempt_id(id);
    progress.set_elapsed_seconds(held.device_seconds);
    progress.set_remaining_seconds((held.steps_total - held.steps_done) / steps_per_device_second_);
  }
  port_.send(message);
}

void Worker::SendSpool() {
  if (stream_ == 0) {
    return;
  }
  // A copy: sending may break the stream at once.
  const std::vector<v1::Report> reports(spool_.begin(), spool_.end());
  for (const v1::Report& report : reports) {
    v1::WorkerMessage message;
    *message.mutable_report() = report;
    port_.send(message);
  }
}

v1::Report& Worker::Spool() {
  v1::Report& report = spool_.emplace_back();
  report.set_sequence(next_report_++);
  report.set_at_unix_seconds(loop_.now_seconds());
  return report;
}

void Worker::Ended(const std::string& attempt_id) {
  // The name may be of what is erased here.
  held_.erase(*ended_.insert(attempt_id).first);
  v1::EnergyLedger& ledger = *Spool().mutable_ledger();
  ledger.set_attempt_energy_joules(attempt_energy_joules_);
  ledger.set_idle_energy_joules(idle_energy_joules_);
  SendSpool();
}

v1::Receipt Worker::MakeReceipt(const HeldRun& held) const {
  v1::Receipt receipt;
  receipt.set_attempt_id(held.assignment.attempt_id());
  receipt.set_device_id(info_.device_id());
  receipt.set_device_class(info_.device_class());
  receipt.set_emulated(true);
  receipt.set_time_scale(info_.time_scale());
  receipt.set_restarts(held.restarts);
  v1::EnergyMeasurement& total = *receipt.mutable_total();
  total.set_gross_energy_joules(held.energy_joules);
  total.set_net_energy_joules(held.energy_joules);
  total.set_seconds(held.device_seconds);
  total.set_coverage_ratio(1.0);
  total.set_mean_power_watts(power_watts_);
  total.set_source(v1::ENERGY_SOURCE_EMULATED);
  *receipt.mutable_run() = total;
  v1::WorkDone& work = *receipt.mutable_work();
  v1::WorkloadSignature& signature = *work.mutable_signature();
  signature.set_method(v1::METHOD_FINETUNE_FULL);
  signature.mutable_model()->set_architecture("gpt2");
  signature.mutable_model()->set_layers(2);
  signature.mutable_model()->set_width(64);
  signature.mutable_model()->set_heads(2);
  signature.mutable_model()->set_vocabulary_size(512);
  signature.mutable_model()->set_context_length(128);
  signature.set_precision("fp32");
  signature.set_quantization("none");
  signature.set_batch_size(4);
  signature.set_sequence_length(128);
  signature.set_engine("wattle");
  work.set_unit(v1::WORK_UNIT_TRAINING_TOKEN);
  work.set_steps(static_cast<int64_t>(held.steps_done));
  work.set_tokens(work.steps() * 512);
  work.set_units(static_cast<double>(work.tokens()));
  work.set_examples(work.steps() * 4);
  return receipt;
}

void Worker::Step() {
  // The lease counts powered-on time since the link was last up.
  if (stream_ != 0) {
    last_contact_seconds_ = loop_.now_seconds();
  }
  // One at a time, and what stands first in the map.
  HeldRun* run = nullptr;
  for (auto& [id, held] : held_) {
    if (run == nullptr) {
      run = &held;
    }
  }
  const double device_seconds = kStepSeconds / info_.time_scale();
  if (run == nullptr || run->uploading || loop_.now_seconds() < run->paused_until_seconds) {
    idle_energy_joules_ += kIdleWatts * device_seconds;
    return;
  }
  if (loop_.now_seconds() - last_contact_seconds_ > run->assignment.lease_seconds()) {
    Stop(*run);
    return;
  }
  if (run->state != v1::ATTEMPT_STATE_RUNNING) {
    run->state = v1::ATTEMPT_STATE_RUNNING;
    v1::AttemptStarted& started = *Spool().mutable_started();
    started.set_attempt_id(run->assignment.attempt_id());
    started.set_fencing_token(run->assignment.fencing_token());
    started.set_from_step(static_cast<int64_t>(run->steps_done));
    SendSpool();
  }
  const double joules = power_watts_ * device_seconds;
  run->energy_joules += joules;
  attempt_energy_joules_ += joules;
  run->device_seconds += device_seconds;
  run->steps_done =
      std::min(run->steps_total, run->steps_done + steps_per_device_second_ * device_seconds);
  if (run->steps_done - run->steps_saved >= kCheckpointSteps) {
    run->steps_saved = run->steps_done;
  }
  const double expected_looks =
      run->steps_total / (steps_per_device_second_ * device_seconds) + 1.0;
  if (faults_ && random_.Chance(options_.attempt_failure / expected_looks)) {
    Fail(*run);
  } else if (faults_ && random_.Chance(0.02)) {
    run->state = v1::ATTEMPT_STATE_PAUSED;
    run->paused_until_seconds = loop_.now_seconds() + random_.Between(1.0, 20.0);
    v1::AttemptPaused& paused = *Spool().mutable_paused();
    paused.set_attempt_id(run->assignment.attempt_id());
    paused.set_fencing_token(run->assignment.fencing_token());
    paused.set_reason("battery at its reserve");
    SendSpool();
  } else if (run->steps_done >= run->steps_total) {
    Finish(*run);
  }
}

void Worker::Finish(HeldRun& held) {
  if (stream_ == 0) {
    return;  // The result waits for the link; the next step tries again.
  }
  held.uploading = true;
  v1::ArtifactInfo output;
  output.set_artifact_id(absl::StrFormat("%s-token-%d-of-%s", held.assignment.attempt_id(),
                                         held.assignment.fencing_token(), info_.device_id()));
  output.set_kind(v1::ARTIFACT_KIND_RESULT);
  output.set_job_id(held.assignment.job_id());
  output.set_size_bytes(1 << 20);
  *output.mutable_model_shape() = MakeReceipt(held).work().signature().model();
  const std::string attempt_id = held.assignment.attempt_id();
  port_.upload(output, [this, output, attempt_id, life = life_] {
    const auto found = held_.find(attempt_id);
    if (life != life_ || found == held_.end()) {
      return;
    }
    v1::AttemptFinished& finished = *Spool().mutable_finished();
    finished.set_attempt_id(attempt_id);
    finished.set_fencing_token(found->second.assignment.fencing_token());
    *finished.mutable_receipt() = MakeReceipt(found->second);
    *finished.mutable_output() = output;
    Ended(attempt_id);
  });
  // An upload that is never answered is tried again.
  loop_.After(5.0, [this, attempt_id, life = life_] {
    const auto found = held_.find(attempt_id);
    if (life == life_ && found != held_.end()) {
      found->second.uploading = false;
    }
  });
}

void Worker::Fail(HeldRun& held) {
  constexpr v1::FailureClass kFailures[] = {v1::FAILURE_CLASS_JOB, v1::FAILURE_CLASS_DEVICE,
                                            v1::FAILURE_CLASS_LINK, v1::FAILURE_CLASS_POWER};
  v1::AttemptFailed& failed = *Spool().mutable_failed();
  failed.set_attempt_id(held.assignment.attempt_id());
  failed.set_fencing_token(held.assignment.fencing_token());
  failed.set_failure_class(kFailures[random_.Below(4)]);
  failed.set_message("simulated");
  *failed.mutable_receipt() = MakeReceipt(held);
  Ended(held.assignment.attempt_id());
}

void Worker::Stop(HeldRun& held) {
  v1::AttemptStopped& stopped = *Spool().mutable_stopped();
  stopped.set_attempt_id(held.assignment.attempt_id());
  stopped.set_fencing_token(held.assignment.fencing_token());
  *stopped.mutable_receipt() = MakeReceipt(held);
  if (options_.mutant == Mutant::kStoppedEnergyForgotten) {
    stopped.mutable_receipt()->mutable_total()->set_gross_energy_joules(0.0);
  }
  Ended(held.assignment.attempt_id());
}

void Worker::Apply(const v1::DesiredSet& desired) {
  std::set<std::string> wanted;
  for (const v1::Assignment& assignment : desired.assignments()) {
    wanted.insert(assignment.attempt_id());
  }
  if (options_.mutant != Mutant::kStopIgnored) {
    for (const std::string& id : Held()) {
      if (!wanted.contains(id)) {
        Stop(held_.at(id));
      }
    }
  }
  for (const v1::Assignment& assignment : desired.assignments()) {
    const std::string& id = assignment.attempt_id();
    if (held_.contains(id) || ended_.contains(id)) {
      continue;
    }
    HeldRun& held = held_[id];
    held.assignment = assignment;
    held.steps_total = static_cast<double>(assignment.spec().finetune().steps());
    v1::AttemptAccepted& accepted = *Spool().mutable_accepted();
    accepted.set_attempt_id(id);
    accepted.set_fencing_token(assignment.fencing_token());
    SendSpool();
  }
}

void Worker::Receive(const v1::CoordinatorMessage& message) {
  last_contact_seconds_ = loop_.now_seconds();
  if (message.has_desired()) {
    Apply(message.desired());
  } else if (message.has_acknowledgement() &&
             message.acknowledgement().incarnation() == incarnation_) {
    const int64_t sequence = message.acknowledgement().sequence();
    acknowledged_ = std::max(acknowledged_, sequence);
    while (!spool_.empty() && spool_.front().sequence() <= sequence) {
      spool_.pop_front();
    }
  }
}

std::set<std::string> Worker::Held() const {
  std::set<std::string> ids;
  for (const auto& [id, held] : held_) {
    ids.insert(id);
  }
  return ids;
}

}  // namespace wattle::sim
