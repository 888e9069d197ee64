// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests of the core: fake ports, and a worker in virtual time whose process can be killed.
#ifndef WATTLE_WORKER_AGENT_CORE_TESTING_AGENT_CORE_FIXTURE_H_
#define WATTLE_WORKER_AGENT_CORE_TESTING_AGENT_CORE_FIXTURE_H_

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "worker/agent/core/agent_core.h"
#include "worker/agent/storage/memory_disk.h"

namespace wattle::agent {

class FakePorts final : public AgentPorts {
 public:
  absl::Status StartRunner(const v1::RunnerTask& task) override {
    tasks.push_back(task);
    return absl::OkStatus();
  }
  void SendToRunner(const v1::RunnerCommand& command) override {
    ++(command.has_stop() ? stops : command.has_write_checkpoint() ? checkpoints : continues);
  }
  void KillRunner() override { ++kills; }
  void StartFetch(const v1::Assignment& /*assignment*/) override { ++fetches; }
  void StartUpload(const std::string& directory, const v1::ArtifactInfo& info) override {
    uploads.push_back(directory);
    uploaded = info;
  }
  void CancelTransfer() override { ++cancels; }
  void MakeRoom(int64_t size_bytes) override { room_bytes = size_bytes; }
  void ProbeStorage() override { ++probes; }
  void StartReleaseFetch(const v1::UpgradeOrder& order) override {
    release_fetches.push_back(order.artifact_id());
  }
  [[nodiscard]] std::string CurrentRelease() const override { return release; }
  absl::Status SwitchRelease(const std::string& version) override {
    release = version;
    return absl::OkStatus();
  }
  void KeepReleases(const std::set<std::string>& versions) override { kept_releases = versions; }
  void StartSelfTest() override { ++self_tests; }
  absl::Status SetPowerMode(const std::string& mode) override {
    modes.push_back(mode);
    return mode == "MAXN" ? absl::PermissionDeniedError("only root") : absl::OkStatus();
  }
  absl::Status RestorePowerMode() override {
    if (restore_fails) {
      return absl::UnavailableError("the bus is busy");
    }
    modes.push_back("own");
    return absl::OkStatus();
  }
  void KeepPowerMode() override { modes.push_back("kept"); }
  absl::Status PowerOffBoard() override {
    ++offs;
    return off_fails ? absl::UnavailableError("no wattle-powerd listens") : absl::OkStatus();
  }
  void Send(const v1::WorkerMessage& message) override { sent.push_back(message); }
  void Reconnect() override { ++reconnects; }
  void Follow(const std::string& coordinator) override { dialled.push_back(coordinator); }
  void TryNextCoordinator() override { dialled.emplace_back("next"); }
  void Note(const std::string& line) override { notes.push_back(line); }

  std::vector<v1::RunnerTask> tasks;
  std::vector<std::string> uploads;
  v1::ArtifactInfo uploaded;  // The latest.
  std::vector<std::string> modes;
  std::vector<std::string> dialled;  // "next": the next of the addresses
  std::vector<v1::WorkerMessage> sent;
  std::vector<std::string> notes;
  std::vector<std::string> release_fetches;  // artifact ids
  std::string release;                       // that the link points to
  std::set<std::string> kept_releases;
  int self_tests = 0;
  int64_t room_bytes = 0;
  bool restore_fails = false;
  bool off_fails = false;
  int offs = 0;
  int probes = 0;
  int checkpoints = 0;  // ordered
  int continues = 0, stops = 0, kills = 0, fetches = 0, cancels = 0, reconnects = 0;
};

inline const char* FactName(const v1::Report& report) {
  switch (report.fact_case()) {
    case v1::Report::kAccepted:
      return "accepted";
    case v1::Report::kStarted:
      return "started";
    case v1::Report::kPaused:
      return "paused";
    case v1::Report::kFinished:
      return "finished";
    case v1::Report::kFailed:
      return "failed";
    case v1::Report::kStopped:
      return "stopped";
    case v1::Report::kLedger:
      return "ledger";
    case v1::Report::kUpgradeEnded:
      return "upgrade";
    case v1::Report::FACT_NOT_SET:
      return "none";
  }
  return "none";
}

// A worker whose process can be killed: Boot() keeps only the disk.
class AgentCoreTest : public testing::Test {
 protected:
  AgentCoreTest() { Boot(); }

  void Boot() {
    core_.reset();
    spool_.reset();
    state_.reset();
    ports_ = {};
    ports_.release = release_;
    state_ = *StateDirectory::Open(&disk_);
    spool_ = *Spool::Open(&disk_);
    const v1::WorkerRecord kept = ReadKeptDevice(*state_, ports_);
    time_ = TimeKeeper();
    time_.Resume(kept.clock(), boot_id_);
    pace_ = MakePace();
    account_ = std::make_unique<EnergyAccount>(
        telemetry::MeterSettings{.cadence = absl::Milliseconds(500)},
        EnergyOrigin{v1::ENERGY_SOURCE_EMULATED, "module"}, Now().device, kept.ledger(),
        telemetry::IdleBaseline());
    CoreSettings settings;
    settings.info.set_device_id(state_->device_id());
    settings.info.set_device_class("test");
    settings.info.set_power_mode("10W");
    settings.info.set_worker_version(version_);
    settings.takes_releases = takes_releases_;
    settings.powers_off = powers_off_;
    settings.info.set_sets_power_modes(sets_power_modes_);
    settings.info.mutable_power_modes()->Add(power_modes_.begin(), power_modes_.end());
    settings.runner_device = runner_device_;
    settings.boot_id = boot_id_;
    settings.storage_probe_period = probe_period_;
    settings.several_coordinators = several_coordinators_;
    settings.guard = {.has_gauge = has_gauge_, .gauge_error = Fraction(0.01)};
    core_ = std::make_unique<AgentCore>(CoreDependencies{.state = state_.get(),
                                                         .spool = spool_.get(),
                                                         .ports = &ports_,
                                                         .account = account_.get(),
                                                         .pace = pace_.get(),
                                                         .clock = &clock_,
                                                         .time = &time_,
                                                         .kept = kept},
                                        settings);
    core_->Start(Now());
  }

  virtual std::unique_ptr<Pace> MakePace() { return std::make_unique<RealPace>(); }

  // The time service is trusted if its clock shows a time of today.
  [[nodiscard]] Instant Now() {
    SystemTime system = {.time = civil_};
    if (kept_by_time_service_ && civil_ >= TimeKeeper::kWritten) {
      system.error = absl::Milliseconds(1);
    }
    return clock_.At(wall_, time_.At(wall_, system));
  }

  // Passes time in small steps, with a power sample in each.
  void Pass(absl::Duration time) {
    const Monotonic end = wall_ + time;
    while (wall_ < end) {
      wall_ = wall_ + absl::Milliseconds(100);
      account_->AddPower(Now().device, Watts(10));
      core_->Step(Now());
    }
  }

  // Passes ten minutes first, so that the battery can have reached the charge. The guard accepts a
  // rise over such a gap once it has lasted, so the charge is read three times.
  void Charge(double ratio) {
    wall_ = wall_ + absl::Minutes(10);
    for (int reading = 0; reading < 3; ++reading) {
      wall_ = wall_ + absl::Seconds(10);
      core_->OnCharge(Now().device, Fraction(ratio), FromWattHours(50));
    }
  }

  void Welcome() {
    core_->OnConnected(Now());
    v1::CoordinatorMessage message;
    message.mutable_welcome()->set_heartbeat_seconds(1);
    core_->OnMessage(message, Now());
  }
  // The coordinator at this address reports its new address.
  void MovedFrom(const std::string& address, const std::string& to) {
    core_->OnConnected(Now(), address);
    v1::CoordinatorMessage message;
    message.mutable_closing()->set_moved_to(to);
    core_->OnMessage(message, Now());
    core_->OnDisconnected(Now());
  }
  // The welcome of a coordinator with this journal.
  void WelcomeOf(const std::string& lineage, int64_t epoch, int64_t acknowledged = 0) {
    v1::CoordinatorMessage message;
    message.mutable_welcome()->set_heartbeat_seconds(1);
    message.mutable_welcome()->set_lineage_id(lineage);
    message.mutable_welcome()->set_epoch(epoch);
    message.mutable_welcome()->set_opening_id(absl::StrCat(lineage, "-", epoch));
    message.mutable_welcome()->set_acknowledged_sequence(acknowledged);
    core_->OnMessage(message, Now());
  }
  // Acknowledges all reports so far.
  void Acknowledge() {
    v1::CoordinatorMessage all;
    all.mutable_acknowledgement()->set_incarnation(spool_->incarnation());
    all.mutable_acknowledgement()->set_sequence(spool_->last_sequence());
    core_->OnMessage(all, Now());
  }
  [[nodiscard]] const v1::Hello& LastHello() const {
    for (auto message = ports_.sent.rbegin(); message != ports_.sent.rend(); ++message) {
      if (message->has_hello()) {
        return message->hello();
      }
    }
    ADD_FAILURE() << "no hello";
    return v1::Hello::default_instance();
  }

  v1::Assignment Job(const std::string& attempt_id) {
    v1::Assignment assignment;
    assignment.set_attempt_id(attempt_id);
    assignment.set_job_id("j1");
    assignment.set_fencing_token(7);
    assignment.mutable_spec()->mutable_finetune()->set_steps(4);
    assignment.set_lease_seconds(60);
    return assignment;
  }
  void Desire(const std::vector<v1::Assignment>& assignments, double reserve = 0) {
    v1::CoordinatorMessage message;
    for (const v1::Assignment& assignment : assignments) {
      *message.mutable_desired()->add_assignments() = assignment;
    }
    message.mutable_desired()->add_policies()->set_reserve_state_of_charge_ratio(reserve);
    core_->OnMessage(message, Now());
  }

  void Phase(const std::string& phase, int64_t from_step = 0) {
    v1::RunnerFrame frame;
    frame.mutable_phase()->set_phase(phase);
    frame.mutable_phase()->set_from_step(from_step);
    core_->OnFrame(frame, Now());
  }
  void Alive(double cpu_seconds) {
    v1::RunnerFrame frame;
    frame.mutable_alive()->set_cpu_seconds(cpu_seconds);
    core_->OnFrame(frame, Now());
  }
  // Passes time while the runner sends a sign of life every two seconds.
  void PassAlive(absl::Duration time, double cpu_share) {
    for (const Monotonic end = wall_ + time; wall_ < end;) {
      Alive(cpu_share * absl::ToDoubleSeconds(wall_.since_boot()));
      Pass(absl::Seconds(2));
    }
  }
  void Killed() {
    core_->OnRunnerExit({.failure_class = v1::FAILURE_CLASS_DEVICE, .message = "runner: killed"},
                        Now());
  }
  void StepDone(int64_t step, int64_t tokens_left = 0) {
    v1::RunnerFrame frame;
    frame.mutable_step()->set_phase("train");
    frame.mutable_step()->set_step(step);
    frame.mutable_step()->set_steps_total(4);
    frame.mutable_step()->set_tokens(100);
    frame.mutable_step()->set_tokens_left(tokens_left);
    frame.mutable_step()->set_examples(8);
    frame.mutable_step()->set_flops(241e9);
    core_->OnFrame(frame, Now());
  }
  void Checkpoint(int64_t step) {
    v1::RunnerFrame frame;
    frame.mutable_checkpoint()->set_step(step);
    core_->OnFrame(frame, Now());
  }
  void Result() {
    ASSERT_THAT(disk_.Replace(ports_.tasks.back().output_directory() + "/model", "weights"),
                IsOk());
    v1::RunnerFrame frame;
    frame.mutable_result()->mutable_work()->set_steps(4);
    core_->OnFrame(frame, Now());
    core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  }
  void Uploaded() {
    UploadResult result;
    result.artifact.set_artifact_id("abc");
    core_->OnUploaded(result, Now());
  }
  void StartTraining(const std::string& id = "j1.1") {
    Desire({Job(id)});
    core_->OnFetched({}, Now());
    Phase("load");
    Pass(absl::Seconds(2));
    Phase("train");
  }
  // The job trains under a budget of 1 Wh a day, of which nothing is spent.
  void TrainOnAWattHourADay() {
    v1::CoordinatorMessage message;
    *message.mutable_desired()->add_assignments() = Job("j1.1");
    message.mutable_desired()->add_policies()->set_daily_energy_budget_wh(1);
    civil_ = absl::FromUnixSeconds(1'900'022'400);
    core_->OnMessage(message, Now());
    core_->OnFetched({}, Now());
    Phase("train");
  }

  // The runner saves and ends, and the result is uploaded.
  void EndRun() {
    Phase("save");
    Result();
    Pass(absl::Seconds(1));
    Uploaded();
    Pass(absl::Seconds(0.5));
  }
  // Attempt j1.1 of the coordinator "farm", from its assignment to the upload of its result. The
  // coordinator then no longer desires the attempt.
  void RunForFarm() {
    core_->OnConnected(Now());
    WelcomeOf("farm", 0);
    StartTraining();
    StepDone(4);
    Result();
    Uploaded();
    Desire({});
  }

  // The lines that `wattle job logs` would print.
  [[nodiscard]] std::vector<std::string> Logs() const {
    std::vector<std::string> lines;
    for (const v1::WorkerMessage& message : ports_.sent) {
      if (message.has_log()) {
        lines.push_back(message.log().text());
      }
    }
    return lines;
  }
  // All reports so far, except ledgers.
  [[nodiscard]] std::vector<std::string> Facts() const {
    std::vector<std::string> facts;
    for (const v1::Report& report : spool_->pending()) {
      if (!report.has_ledger()) {
        facts.emplace_back(FactName(report));
      }
    }
    return facts;
  }
  [[nodiscard]] const v1::Report& Last(const std::string& fact) const {
    for (auto report = spool_->pending().rbegin(); report != spool_->pending().rend(); ++report) {
      if (FactName(*report) == fact) {
        return *report;
      }
    }
    ADD_FAILURE() << "no report " << fact;
    return spool_->pending().back();
  }

  Monotonic wall_ = Monotonic(absl::Seconds(1000));
  absl::Time civil_ = absl::UnixEpoch() + absl::Hours(1);
  bool kept_by_time_service_ = true;
  TimeKeeper time_;
  DeviceClock clock_;
  absl::Duration probe_period_ = absl::InfiniteDuration();
  bool has_gauge_ = false;
  bool sets_power_modes_ = false;
  std::vector<v1::PowerMode> power_modes_;
  std::string runner_device_ = "cpu";
  bool several_coordinators_ = false;
  std::string boot_id_ = "boot";
  std::string version_ = "1.4.0";  // of the worker that Boot starts
  std::string release_;            // that the link points to as Boot starts it
  bool takes_releases_ = false;
  bool powers_off_ = false;
  FakePorts ports_;
  MemoryDisk disk_{/*seed=*/1};
  std::unique_ptr<StateDirectory> state_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<Pace> pace_;
  std::unique_ptr<EnergyAccount> account_;
  std::unique_ptr<AgentCore> core_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_TESTING_AGENT_CORE_FIXTURE_H_
