// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The core in virtual time, with fake ports: what it accepts, runs, pauses, resumes and reports.
#include "worker/agent/core/agent_core.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/status_matchers.h"
#include "worker/agent/emulation/emulated_pace.h"
#include "worker/agent/storage/memory_disk.h"

namespace wattle::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class FakePorts final : public AgentPorts {
 public:
  absl::Status StartRunner(const v1::RunnerTask& task) override {
    tasks.push_back(task);
    return absl::OkStatus();
  }
  void SendToRunner(const v1::RunnerCommand& command) override {
    command.has_stop() ? ++stops : ++continues;
  }
  void KillRunner() override { ++kills; }
  void StartFetch(const v1::Assignment& /*assignment*/) override { ++fetches; }
  void StartUpload(const std::string& directory, const v1::ArtifactInfo& /*info*/) override {
    uploads.push_back(directory);
  }
  void CancelTransfer() override { ++cancels; }
  void MakeRoom(int64_t size_bytes) override { room_bytes = size_bytes; }
  absl::Status SetPowerMode(const std::string& mode) override {
    modes.push_back(mode);
    return mode == "MAXN" ? absl::PermissionDeniedError("only root") : absl::OkStatus();
  }
  void Send(const v1::WorkerMessage& message) override { sent.push_back(message); }
  void Reconnect() override { ++reconnects; }
  void Note(const std::string& line) override { notes.push_back(line); }

  std::vector<v1::RunnerTask> tasks;
  std::vector<std::string> uploads;
  std::vector<std::string> modes;
  std::vector<v1::WorkerMessage> sent;
  std::vector<std::string> notes;
  int64_t room_bytes = 0;
  int continues = 0, stops = 0, kills = 0, fetches = 0, cancels = 0, reconnects = 0;
};

const char* FactName(const v1::Report& report) {
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
    state_ = *StateDirectory::Open(&disk_);
    spool_ = *Spool::Open(&disk_);
    const v1::WorkerRecord kept = ReadKeptDevice(*state_, ports_);
    if (board_) {
      emulator_ = std::make_unique<Emulator>(
          *board_, EmulationOptions{.seed = 1, .hidden_offset_ratio = 0}, Now().device);
      pace_ = std::make_unique<EmulatedPace>(emulator_.get(), clock_.time_scale());
    } else {
      pace_ = std::make_unique<RealPace>();
    }
    account_ = std::make_unique<EnergyAccount>(
        telemetry::MeterSettings{.cadence = absl::Milliseconds(500)},
        EnergyOrigin{v1::ENERGY_SOURCE_EMULATED, "module"}, Now().device, kept.ledger(),
        telemetry::IdleBaseline());
    CoreSettings settings;
    settings.info.set_device_id(state_->device_id());
    settings.info.set_device_class("test");
    settings.info.set_power_mode("10W");
    settings.info.set_sets_power_modes(sets_power_modes_);
    settings.boot_id = "boot";
    settings.guard = {.has_gauge = has_gauge_, .gauge_error = Fraction(0.01)};
    core_ = std::make_unique<AgentCore>(CoreDependencies{.state = state_.get(),
                                                         .spool = spool_.get(),
                                                         .ports = &ports_,
                                                         .account = account_.get(),
                                                         .pace = pace_.get(),
                                                         .clock = &clock_,
                                                         .kept = kept},
                                        settings);
    core_->Start(Now());
  }

  [[nodiscard]] Instant Now() const { return clock_.At(wall_, civil_); }

  // Lets time pass in small steps, with a power sample in each.
  void Pass(absl::Duration time) {
    const Monotonic end = wall_ + time;
    while (wall_ < end) {
      wall_ = wall_ + absl::Milliseconds(100);
      account_->AddPower(Now().device, Watts(10));
      core_->Step(Now());
    }
  }

  // Ten minutes pass first, so that the battery can have reached the charge.
  void Charge(double ratio) {
    wall_ = wall_ + absl::Minutes(10);
    core_->OnCharge(Now().device, Fraction(ratio), FromWattHours(50));
  }

  void Welcome() {
    core_->OnConnected(Now());
    v1::CoordinatorMessage message;
    message.mutable_welcome()->set_heartbeat_seconds(1);
    core_->OnMessage(message, Now());
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
  // Time passes while the runner says every two seconds that it is alive.
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
  DeviceClock clock_{Monotonic(absl::Seconds(1000)), 1.0};
  bool has_gauge_ = false;
  bool sets_power_modes_ = false;
  std::optional<BoardFile> board_;
  FakePorts ports_;
  MemoryDisk disk_{/*seed=*/1};
  std::unique_ptr<StateDirectory> state_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<Emulator> emulator_;
  std::unique_ptr<Pace> pace_;
  std::unique_ptr<EnergyAccount> account_;
  std::unique_ptr<AgentCore> core_;
};

TEST_F(AgentCoreTest, AnAttemptGoesFromAcceptanceToItsReceipt) {
  Welcome();
  StartTraining();
  for (int step = 1; step <= 4; ++step) {
    Pass(absl::Seconds(5));
    StepDone(step);
  }
  Phase("save");
  Pass(absl::Seconds(1));
  Result();
  ASSERT_EQ(ports_.uploads.size(), 1U);
  Pass(absl::Seconds(3));
  Uploaded();
  EXPECT_THAT(Facts(), ElementsAre("accepted", "started", "finished"));
  const v1::Receipt& receipt = Last("finished").finished().receipt();
  EXPECT_NEAR(receipt.run().seconds(), 20, 0.11);
  EXPECT_NEAR(receipt.run().gross_energy_joules(), 200, 1.1);
  EXPECT_NEAR(receipt.run().mean_power_watts(), 10, 1e-6);
  EXPECT_NEAR(receipt.start_seconds(), 2, 0.11);
  EXPECT_NEAR(receipt.checkpoint_seconds(), 1, 0.11);
  EXPECT_NEAR(receipt.upload_seconds(), 3, 0.11);
  EXPECT_NEAR(receipt.total().gross_energy_joules(), 260, 4);
  EXPECT_EQ(receipt.output_artifact_id(), "abc");
  ASSERT_EQ(receipt.curve_size(), 4) << "a point of each step";
  EXPECT_EQ(receipt.curve(3).step(), 4);
  EXPECT_NEAR(receipt.curve(3).seconds(), 20, 0.11);
  EXPECT_NEAR(receipt.curve(3).power_watts(), 10, 1e-6);
  EXPECT_EQ(Last("finished").finished().fencing_token(), 7);
  // The ledger's parts hold all measured energy.
  const v1::EnergyLedger& ledger = Last("ledger").ledger();
  EXPECT_NEAR(ledger.attempt_energy_joules(), receipt.total().gross_energy_joules(), 1e-6);
  EXPECT_EQ(core_->Counters().tokens, 400);
  EXPECT_EQ(core_->Counters().attempts.at(v1::ATTEMPT_STATE_FINISHED), 1);
  EXPECT_THAT(Logs(),
              ElementsAre("the runner starts on cpu, 1 thread", "load", "train", "save", "done"));
}

TEST_F(AgentCoreTest, TheWorkerReportsAgainWhatARestoredCoordinatorForgot) {
  core_->OnConnected(Now());
  WelcomeOf("farm", 0);
  StartTraining();
  StepDone(4);
  Result();
  Uploaded();
  Desire({});
  core_->OnMessage(
      [&] {
        v1::CoordinatorMessage all;
        all.mutable_acknowledgement()->set_incarnation(spool_->incarnation());
        all.mutable_acknowledgement()->set_sequence(spool_->last_sequence());
        return all;
      }(),
      Now());
  v1::Assignment second = Job("j2.1");
  second.set_job_id("j2");
  second.set_fencing_token(8);
  Desire({second});
  const int64_t before = spool_->incarnation();
  const std::vector<std::string> told = Facts();
  EXPECT_THAT(told, ElementsAre("accepted"));
  core_->OnConnected(Now());
  WelcomeOf("farm", 1);
  EXPECT_NE(spool_->incarnation(), before);
  EXPECT_EQ(LastHello().incarnation(), spool_->incarnation());
  EXPECT_EQ(LastHello().epoch(), 1);
  ASSERT_EQ(LastHello().attempts_size(), 1);
  EXPECT_EQ(LastHello().attempts(0).fencing_token(), 8);
  EXPECT_THAT(Facts(), ElementsAre("accepted", "finished", "accepted"));
  EXPECT_EQ(Last("finished").finished().attempt_id(), "j1.1");
  EXPECT_EQ(spool_->pending().front().sequence(), 1);
  // A desired set for the earlier hello does not count, and an ended attempt is not run again.
  Desire({});
  EXPECT_EQ(state_->ReadAttempts().size(), 1U);
  WelcomeOf("farm", 1);
  Desire({Job("j1.1"), second});
  EXPECT_EQ(state_->ReadAttempts().size(), 1U);
}

// The simulation found the fault: the worker stayed connected for ever without a welcome.
TEST_F(AgentCoreTest, AFullDiskOnlyDelaysTheNewNumberingAfterARestore) {
  core_->OnConnected(Now());
  WelcomeOf("farm", 0);
  const int64_t before = spool_->incarnation();
  core_->OnDisconnected(Now());
  core_->OnConnected(Now());
  disk_.set_full(true);
  WelcomeOf("farm", 1);
  EXPECT_EQ(spool_->incarnation(), before);
  disk_.set_full(false);
  ports_.sent.clear();
  Pass(absl::Seconds(6));
  EXPECT_EQ(LastHello().epoch(), 0);
  WelcomeOf("farm", 1);
  EXPECT_NE(spool_->incarnation(), before);
  EXPECT_EQ(LastHello().epoch(), 1);
}

TEST_F(AgentCoreTest, AnotherJournalGetsNoReportOfTheOldOne) {
  core_->OnConnected(Now());
  WelcomeOf("farm", 0);
  StartTraining();
  core_->OnConnected(Now());
  WelcomeOf("another farm", 0);
  EXPECT_EQ(ports_.stops, 1);
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  EXPECT_THAT(Facts(), ElementsAre());
  EXPECT_TRUE(state_->ReadAttempts().empty());
  WelcomeOf("another farm", 0);
  Desire({Job("j1.1")});
  EXPECT_THAT(Facts(), ElementsAre("accepted"));
}

TEST_F(AgentCoreTest, TheWorkerReportsNothingToAReplacedCoordinator) {
  core_->OnConnected(Now());
  WelcomeOf("farm", 3);
  Desire({Job("j1.1")});
  core_->OnConnected(Now());
  ports_.sent.clear();
  WelcomeOf("farm", 2);
  Pass(absl::Seconds(2));
  EXPECT_TRUE(ports_.sent.empty());
  EXPECT_THAT(ports_.notes.back(), HasSubstr("epoch 2"));
}

TEST_F(AgentCoreTest, AnAttemptOfAnotherTokenIsAnotherAttempt) {
  Welcome();
  Desire({Job("j1.1")});
  v1::Assignment again = Job("j1.1");
  again.set_fencing_token(9);
  Desire({again});
  core_->OnFetched({.status = absl::CancelledError("")}, Now());
  Pass(absl::Seconds(6));
  EXPECT_THAT(Facts(), ElementsAre("accepted", "stopped", "accepted"));
  EXPECT_EQ(Last("accepted").accepted().fencing_token(), 9);
}

TEST_F(AgentCoreTest, AResultThatTheCoordinatorCannotTakeWaitsAndSaysWhy) {
  Welcome();
  StartTraining();
  StepDone(4);
  Result();
  for (int refusal = 1; refusal <= 12; ++refusal) {
    UploadResult refused;
    refused.status = absl::ResourceExhaustedError("disk full");
    core_->OnUploaded(refused, Now());
    EXPECT_THAT(core_->MakeHeartbeat(Now()).progress(0).waiting_reason(), HasSubstr("disk full"));
    Pass(absl::Minutes(5));
    ASSERT_EQ(ports_.uploads.size(), static_cast<size_t>(refusal) + 1);
  }
  Uploaded();
  EXPECT_THAT(Facts(), ElementsAre("accepted", "started", "finished"));
  EXPECT_EQ(ports_.tasks.size(), 1U) << "nothing was trained twice";
}

TEST_F(AgentCoreTest, ACompleteResultOfAnOpenJobIsReportedAlsoWhenItIsLate) {
  Welcome();
  StartTraining();
  StepDone(4);
  Result();
  v1::CoordinatorMessage message;
  message.mutable_desired()->add_keep_checkpoint_job_ids("j1");
  core_->OnMessage(message, Now());
  Uploaded();
  EXPECT_THAT(Facts(), ElementsAre("accepted", "started", "finished"));
}

TEST_F(AgentCoreTest, TheNextAttemptOfTheJobGoesOnFromItsCheckpoint) {
  Welcome();
  StartTraining();
  ASSERT_THAT(disk_.Replace("attempts/j1.1/work/checkpoint-0000000002/model", "weights"), IsOk());
  Checkpoint(2);
  v1::CoordinatorMessage message;
  message.mutable_desired()->add_keep_checkpoint_job_ids("j1");
  core_->OnMessage(message, Now());
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  core_->OnMessage(message, Now());
  EXPECT_EQ(Last("stopped").stopped().checkpoint_step(), 2);
  v1::Assignment next = Job("j1.2");
  next.set_resume_attempt_id("j1.1");
  Desire({next});
  EXPECT_THAT(disk_.Read("attempts/j1.2/work/checkpoint-0000000002/model"), IsOk());
}

TEST_F(AgentCoreTest, AReleasedAttemptLeavesWithItsCheckpoint) {
  Welcome();
  StartTraining();
  Checkpoint(2);
  v1::CoordinatorMessage message;
  message.mutable_desired()->add_keep_checkpoint_job_ids("j1");
  v1::ReleaseAttempt& release = *message.mutable_desired()->add_releases();
  release.set_attempt_id("j1.1");
  release.set_fencing_token(7);
  core_->OnMessage(message, Now());
  EXPECT_EQ(ports_.stops, 1);
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  ASSERT_EQ(ports_.uploads.size(), 1U);
  EXPECT_THAT(ports_.uploads[0], HasSubstr("j1.1/work/checkpoint-0000000002"));
  UploadResult refused;
  refused.status = absl::UnavailableError("the link");
  core_->OnUploaded(refused, Now());
  Pass(absl::Seconds(6));
  ASSERT_EQ(ports_.uploads.size(), 2U);
  Uploaded();
  EXPECT_THAT(Facts(), ElementsAre("accepted", "started", "stopped"));
  EXPECT_EQ(Last("stopped").stopped().checkpoint().artifact_id(), "abc");
  EXPECT_EQ(Last("stopped").stopped().checkpoint_step(), 2);
}

TEST_F(AgentCoreTest, ARepeatedDesiredSetStartsNothingTwice) {
  Welcome();
  Desire({Job("j1.1")});
  Desire({Job("j1.1")});
  EXPECT_THAT(Facts(), ElementsAre("accepted"));
  EXPECT_EQ(ports_.fetches, 1);
}

TEST_F(AgentCoreTest, AnAttemptThatIsNoLongerDesiredIsStoppedAndReportedWithItsEnergy) {
  Welcome();
  StartTraining();
  Pass(absl::Seconds(10));
  StepDone(1);
  Desire({});
  EXPECT_EQ(ports_.stops, 1);
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  EXPECT_THAT(Facts(), ElementsAre("accepted", "started", "stopped"));
  EXPECT_NEAR(Last("stopped").stopped().receipt().run().gross_energy_joules(), 100, 2);
  Desire({});
  EXPECT_TRUE(state_->ReadAttempts().empty());
}

TEST_F(AgentCoreTest, ARunnerThatDoesNotStopIsKilled) {
  Welcome();
  StartTraining();
  Desire({});
  PassAlive(absl::Seconds(118), 0.5);
  EXPECT_EQ(ports_.kills, 0);
  PassAlive(absl::Seconds(4), 0.5);
  EXPECT_EQ(ports_.kills, 1);
}

TEST_F(AgentCoreTest, ACrashedRunnerGoesOnInTheSameAttemptAFewTimes) {
  Welcome();
  StartTraining();
  for (int crash = 1; crash <= 3; ++crash) {
    core_->OnRunnerExit({.failure_class = v1::FAILURE_CLASS_DEVICE, .message = "runner: killed"},
                        Now());
    ASSERT_EQ(ports_.tasks.size(), static_cast<size_t>(crash) + 1);
    Phase("load");
    Phase("train", 2);
  }
  core_->OnRunnerExit({.failure_class = v1::FAILURE_CLASS_DEVICE, .message = "runner: killed"},
                      Now());
  EXPECT_EQ(Last("failed").failed().failure_class(), v1::FAILURE_CLASS_DEVICE);
  EXPECT_EQ(Last("failed").failed().receipt().restarts(), 3);
}

// A solar mast restarts the agent every night, so three nights would use up the crashes.
TEST_F(AgentCoreTest, PowerCutsAreNotCrashesOfTheRunner) {
  Welcome();
  StartTraining();
  for (int night = 1; night <= 5; ++night) {
    Boot();
    core_->Step(Now());
    core_->OnFetched({}, Now());
    Phase("load");
    Phase("train", 2);
  }
  Killed();
  EXPECT_EQ(Facts().back(), "started");
  Phase("load");
  Phase("train", 2);
  Result();
  Uploaded();
  EXPECT_EQ(Last("finished").finished().receipt().restarts(), 6);
  EXPECT_EQ(Last("finished").finished().receipt().runner_crashes(), 1);
}

TEST_F(AgentCoreTest, ANewerCheckpointForgivesCrashes) {
  Welcome();
  StartTraining();
  for (int crash = 1; crash <= 10; ++crash) {
    Checkpoint(crash);
    Killed();
    Phase("load");
    Phase("train", crash);
  }
  EXPECT_EQ(Facts().back(), "started");
  for (int crash = 1; crash <= 3; ++crash) {
    Checkpoint(10);  // the same checkpoint again, so no progress
    Killed();
    Phase("load");
    Phase("train", 10);
  }
  Killed();
  EXPECT_EQ(Facts().back(), "failed");
}

// Works offline too.
TEST_F(AgentCoreTest, ARunnerThatFallsSilentIsKilledAndResumedInEveryPhase) {
  v1::Assignment job = Job("j1.1");
  job.set_lease_seconds(0);
  Welcome();
  Desire({job});
  core_->OnDisconnected(Now());
  core_->OnFetched({}, Now());
  int kills = 0;
  for (const char* phase : {"load", "evaluate", "train", "checkpoint", "save"}) {
    Phase(phase);
    PassAlive(absl::Seconds(10), 0.5);
    EXPECT_EQ(ports_.kills, kills) << phase;
    EXPECT_LE(core_->NextStep(Now()), wall_ + absl::Minutes(1));
    Pass(absl::Seconds(62));
    ++kills;
    ASSERT_EQ(ports_.kills, kills) << phase;
    Checkpoint(kills);  // so that the crash is not one without progress
    Killed();
    ASSERT_EQ(ports_.tasks.size(), static_cast<size_t>(kills) + 1) << phase;
    ASSERT_THAT(ports_.notes.back(), HasSubstr(phase));
    ASSERT_THAT(ports_.notes.back(), HasSubstr("said nothing"));
  }
}

TEST_F(AgentCoreTest, ALongStepDoesNotCountAsAHang) {
  v1::Assignment job = Job("j1.1");
  job.set_lease_seconds(0);
  Welcome();
  Desire({job});
  core_->OnFetched({}, Now());
  Phase("train");
  PassAlive(absl::Minutes(40), 0.9);
  EXPECT_EQ(ports_.kills, 0);
  PassAlive(absl::Minutes(11), 0.00001);
  EXPECT_EQ(ports_.kills, 1);
}

TEST_F(AgentCoreTest, ATimeoutEndsAStepThatNeverEnds) {
  v1::Assignment job = Job("j1.1");
  job.mutable_spec()->set_timeout_seconds(30);
  Welcome();
  Desire({job});
  core_->OnFetched({}, Now());
  Phase("train");
  PassAlive(absl::Seconds(28), 0.9);
  EXPECT_EQ(ports_.kills, 0);
  PassAlive(absl::Seconds(4), 0.9);
  EXPECT_EQ(ports_.kills, 1);
  Killed();
  EXPECT_EQ(Last("failed").failed().failure_class(), v1::FAILURE_CLASS_JOB);
  EXPECT_THAT(Last("failed").failed().message(), HasSubstr("timeout_seconds"));
}

// While idle, saves are five minutes apart; the start of an attempt must bring the next one
// forward.
TEST_F(AgentCoreTest, AKillLosesAtMostFifteenSecondsOfTheLedger) {
  Welcome();
  Pass(absl::Minutes(6));
  StartTraining();
  Pass(absl::Seconds(103));
  const double measured = account_->ledger().attempt_energy_joules();
  Boot();
  EXPECT_NEAR(account_->ledger().attempt_energy_joules(), measured, 15 * 10 + 1);
}

// The simulation found the fault: after a power cut between a receipt and its ledger, the
// coordinator's ledger stayed below its receipts for a quarter of an hour.
TEST_F(AgentCoreTest, AStartReportsTheLedgerOfTheProcessBefore) {
  Welcome();
  StartTraining();
  Pass(absl::Seconds(40));
  Boot();
  Pass(absl::Seconds(1));
  EXPECT_GE(Last("ledger").ledger().attempt_energy_joules(), 250);
}

TEST_F(AgentCoreTest, AKillInALongFetchLosesAtMostFifteenSecondsToo) {
  Welcome();
  Pass(absl::Minutes(6));
  Desire({Job("j1.1")});
  Pass(absl::Seconds(103));
  const double measured = account_->ledger().attempt_energy_joules();
  ASSERT_GT(measured, 1000);
  Boot();
  EXPECT_NEAR(account_->ledger().attempt_energy_joules(), measured, 15 * 10 + 1);
}

// Invariant, whenever the process dies: the ledger contains each receipt on the disk or in the
// spool.
TEST_F(AgentCoreTest, TheLedgerOnTheDiskIsNeverBelowItsReceipts) {
  Welcome();
  StartTraining();
  for (int step = 1; step <= 4; ++step) {
    Pass(absl::Seconds(7));
    StepDone(step);
    Checkpoint(step);
    const double receipt =
        state_->ReadAttempts().at("j1.1").receipt().total().gross_energy_joules();
    EXPECT_GE(state_->ReadDevice().record.ledger().attempt_energy_joules(), receipt - 1e-6);
  }
  Result();
  Uploaded();
  EXPECT_GE(state_->ReadDevice().record.ledger().attempt_energy_joules(),
            Last("finished").finished().receipt().total().gross_energy_joules() - 1e-6);
}

TEST_F(AgentCoreTest, ADamagedDeviceRecordBeginsANewCounter) {
  Pass(absl::Minutes(6));
  const v1::EnergyLedger before = account_->ledger();
  EXPECT_NE(before.counter_id(), 0);
  Boot();
  EXPECT_EQ(account_->ledger().counter_id(), before.counter_id());
  ASSERT_THAT(disk_.Replace("device.pb", ""), IsOk());
  Boot();
  EXPECT_NE(account_->ledger().counter_id(), before.counter_id());
  EXPECT_NE(account_->ledger().counter_id(), 0);
  EXPECT_EQ(account_->total(), Joules(0));
  EXPECT_THAT(ports_.notes, testing::Contains(HasSubstr("new counter")));
}

TEST_F(AgentCoreTest, AHeartbeatTellsClockDiskAndSourceOfItsPower) {
  core_->SetDiskFree(123);
  const v1::Heartbeat heartbeat = core_->MakeHeartbeat(Now());
  EXPECT_EQ(heartbeat.disk_free_bytes(), 123);
  EXPECT_EQ(heartbeat.unix_seconds(), absl::ToDoubleSeconds(Now().civil - absl::UnixEpoch()));
  EXPECT_EQ(heartbeat.power_source(), account_->origin().source);
}

TEST_F(AgentCoreTest, LimitsThatCannotBeReadHoldWorkUntilTheCoordinatorSendsThem) {
  Welcome();
  Desire({Job("j1.1")}, 0.3);
  const int fetches = ports_.fetches;
  ASSERT_THAT(disk_.Replace("desired.pb", ""), IsOk());
  ASSERT_THAT(disk_.Replace("desired.pb.copy", "damaged"), IsOk());
  Boot();
  Pass(absl::Seconds(10));
  EXPECT_EQ(ports_.fetches, 0) << fetches;
  EXPECT_THAT(core_->MakeHeartbeat(Now()).guard_reason(), HasSubstr("cannot be read"));
  Welcome();
  Desire({Job("j1.1")});
  EXPECT_EQ(ports_.fetches, 1);
}

// A trial found the fault: the spool lost its records, so "started" and "finished" got numbers that
// the coordinator already had, and the job ran for ever.
TEST_F(AgentCoreTest, ADamagedSpoolIsNotedAndEveryHeldAttemptIsReportedAgain) {
  Welcome();
  StartTraining();
  StepDone(4);
  Result();
  Uploaded();
  const int64_t incarnation = spool_->incarnation();
  std::string content = *disk_.Read("spool");
  for (size_t at = 60; at < content.size(); at += 20) {
    content[at] = static_cast<char>(content[at] ^ 1);
  }
  ASSERT_THAT(disk_.Replace("spool", content), IsOk());
  Boot();
  EXPECT_NE(spool_->incarnation(), incarnation);
  EXPECT_THAT(ports_.notes, testing::Contains(HasSubstr("numbers begin anew")));
  EXPECT_TRUE(core_->Counters().spool_repaired);
  EXPECT_EQ(Last("finished").finished().receipt().output_artifact_id(), "abc");
  EXPECT_EQ(Last("finished").finished().output().artifact_id(), "abc");
}

// An SD card that loses whole records leaves a spool that looks intact.
TEST_F(AgentCoreTest, ACoordinatorThatKnowsMoreReportsThanTheSpoolGetsThemUnderNewNumbers) {
  Welcome();
  Desire({Job("j1.1")});
  const int64_t incarnation = spool_->incarnation();
  core_->OnDisconnected(Now());
  core_->OnConnected(Now());
  v1::CoordinatorMessage message;
  message.mutable_welcome()->set_acknowledged_sequence(9);
  core_->OnMessage(message, Now());
  EXPECT_EQ(ports_.reconnects, 1);
  EXPECT_NE(spool_->incarnation(), incarnation);
  EXPECT_THAT(Facts(), testing::Contains("accepted"));
}

TEST_F(AgentCoreTest, AFullDiskIsNotedOnceAndNothingIsLost) {
  Welcome();
  StartTraining();
  disk_.set_full(true);
  const size_t notes = ports_.notes.size();
  PassAlive(absl::Minutes(9), 0.5);
  Killed();
  Phase("load");
  Phase("train", 2);
  Pass(absl::Seconds(50));
  EXPECT_EQ(ports_.notes.size(), notes + 2);  // one note about the disk, one about the crash
  disk_.set_full(false);
  Pass(absl::Seconds(6));
  EXPECT_EQ(Facts(), (std::vector<std::string>{"accepted", "started", "started"}));
}

// The simulation found the fault: the attempt's record was deleted while its last report was only
// in memory.
TEST_F(AgentCoreTest, AFullDiskAndAKillLoseNoReceipt) {
  Welcome();
  StartTraining();
  Pass(absl::Seconds(30));
  disk_.set_full(true);
  Desire({});
  Killed();
  Pass(absl::Seconds(10));
  disk_.set_full(false);
  Boot();
  Welcome();
  Pass(absl::Seconds(1));
  Desire({});
  core_->OnFetched({.status = absl::CancelledError("cancelled")}, Now());
  Pass(absl::Seconds(5));
  EXPECT_GE(Last("stopped").stopped().receipt().total().gross_energy_joules(), 150);
  Boot();
  Welcome();
  Desire({});
  EXPECT_THAT(Facts(), ElementsAre("accepted", "started", "stopped"));
}

// The simulation found the fault: after a kill the ledger was below a receipt that had waited for
// the disk.
TEST_F(AgentCoreTest, AReceiptThatWaitsForTheDiskIsReportedAfterItsLedger) {
  Welcome();
  StartTraining();
  disk_.set_full(true);
  PassAlive(absl::Seconds(50), 0.5);
  v1::RunnerFrame frame;
  frame.mutable_failure()->set_failure_class(v1::FAILURE_CLASS_JOB);
  core_->OnFrame(frame, Now());
  Killed();
  Pass(absl::Seconds(2));
  disk_.set_full(false);
  Pass(absl::Seconds(5));
  EXPECT_GE(state_->ReadDevice().record.ledger().attempt_energy_joules(),
            Last("failed").failed().receipt().total().gross_energy_joules() - 1e-6);
}

TEST_F(AgentCoreTest, AnIdleWorkerWithoutACoordinatorWakesForItsRecordsAlone) {
  Pass(absl::Minutes(1));
  EXPECT_GE(core_->NextStep(Now()) - wall_, absl::Minutes(3));
  Welcome();
  Pass(absl::Seconds(2));
  EXPECT_LE(core_->NextStep(Now()) - wall_, absl::Seconds(1));
  Desire({Job("j1.1")});
  core_->OnDisconnected(Now());
  EXPECT_LE(core_->NextStep(Now()) - wall_, absl::Seconds(1));
}

TEST_F(AgentCoreTest, AFailureFrameKeepsItsClassAndIsNotRepeated) {
  Welcome();
  StartTraining();
  v1::RunnerFrame frame;
  frame.mutable_failure()->set_failure_class(v1::FAILURE_CLASS_DATA);
  frame.mutable_failure()->set_message("data.json: not SQuAD");
  core_->OnFrame(frame, Now());
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  EXPECT_EQ(Last("failed").failed().failure_class(), v1::FAILURE_CLASS_DATA);
  EXPECT_EQ(Logs().back(), "failed: data.json: not SQuAD");
  EXPECT_EQ(ports_.tasks.size(), 1U);
}

TEST_F(AgentCoreTest, AKilledAgentResumesTheAttemptBeforeTheCoordinatorIsReached) {
  Welcome();
  StartTraining();
  Pass(absl::Seconds(20));
  StepDone(1);
  Checkpoint(1);
  Pass(absl::Seconds(4));
  Boot();
  core_->Step(Now());
  EXPECT_EQ(ports_.fetches, 1);
  core_->OnFetched({}, Now());
  ASSERT_EQ(ports_.tasks.size(), 1U);
  Phase("load");
  Phase("train", 1);
  for (int step = 2; step <= 4; ++step) {
    Pass(absl::Seconds(5));
    StepDone(step);
  }
  Result();
  Uploaded();
  const v1::Receipt& receipt = Last("finished").finished().receipt();
  EXPECT_EQ(receipt.restarts(), 1);
  // 20 s before the record and 15 s after the restart were measured. The 4 s between count as
  // missing.
  EXPECT_NEAR(receipt.run().gross_energy_joules(), 350, 4);
  EXPECT_NEAR(receipt.run().seconds(), 39, 0.5);
  EXPECT_NEAR(receipt.run().coverage_ratio(), 35.0 / 39, 0.01);
  EXPECT_NEAR(receipt.run().missing_energy_joules(), 40, 2);
  ASSERT_EQ(receipt.curve_size(), 4) << "the killed process's part is in the record";
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(receipt.curve(i).step(), i + 1);
    EXPECT_NEAR(receipt.curve(i).power_watts(), 10, 0.5);
  }
}

TEST_F(AgentCoreTest, ReportsComeAgainAfterAWelcomeUntilAcknowledged) {
  Welcome();
  Desire({Job("j1.1")});
  core_->OnDisconnected(Now());
  core_->OnConnected(Now());
  ports_.sent.clear();
  v1::CoordinatorMessage message;
  message.mutable_welcome()->set_acknowledged_sequence(0);
  core_->OnMessage(message, Now());
  int reports = 0;
  for (const auto& sent : ports_.sent) {
    reports += sent.has_report() ? 1 : 0;
  }
  EXPECT_EQ(reports, 1);
  message.Clear();
  message.mutable_acknowledgement()->set_incarnation(spool_->incarnation());
  message.mutable_acknowledgement()->set_sequence(1);
  core_->OnMessage(message, Now());
  EXPECT_TRUE(spool_->pending().empty());
}

TEST_F(AgentCoreTest, AnAcknowledgementOfAnotherIncarnationIsIgnored) {
  Welcome();
  Desire({Job("j1.1")});
  v1::CoordinatorMessage message;
  message.mutable_acknowledgement()->set_incarnation(spool_->incarnation() + 1);
  message.mutable_acknowledgement()->set_sequence(1);
  core_->OnMessage(message, Now());
  EXPECT_EQ(spool_->pending().size(), 1U);
}

TEST_F(AgentCoreTest, AResultWhoseRecordWasNotWrittenIsNotRunAgain) {
  Welcome();
  StartTraining();
  StepDone(4);
  const v1::HeldAttemptRecord before = state_->ReadAttempts().at("j1.1");
  Result();
  Uploaded();
  ASSERT_THAT(state_->WriteAttempt(before),
              IsOk());  // as after a kill between the report and the record
  Boot();
  core_->Step(Now());
  EXPECT_EQ(ports_.fetches, 0);
}

TEST_F(AgentCoreTest, TheLeaseRunsInPoweredOnTimeAndEndsInACheckpoint) {
  Welcome();
  StartTraining();
  core_->OnDisconnected(Now());
  Pass(absl::Seconds(59));
  EXPECT_EQ(ports_.stops, 0);
  Pass(absl::Seconds(2));
  EXPECT_EQ(ports_.stops, 1);
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  EXPECT_THAT(Last("paused").paused().reason(), HasSubstr("lease"));
  Pass(absl::Seconds(30));
  EXPECT_EQ(ports_.fetches, 1);
  Welcome();
  Desire({Job("j1.1")});
  EXPECT_EQ(ports_.fetches, 2);
}

TEST_F(AgentCoreTest, ALeaseThatIsRenewedByContactDoesNotEnd) {
  Welcome();
  StartTraining();
  for (int i = 0; i < 5; ++i) {
    core_->OnDisconnected(Now());
    Pass(absl::Seconds(50));
    Welcome();
  }
  EXPECT_EQ(ports_.stops, 0);
}

TEST_F(AgentCoreTest, TheReserveStopsWorkOfflineAndItResumesWithTheCharge) {
  has_gauge_ = true;
  Boot();
  Welcome();
  Charge(0.5);
  v1::Assignment job = Job("j1.1");
  job.set_lease_seconds(86400);
  Desire({job}, 0.3);
  core_->OnFetched({}, Now());
  Phase("train");
  core_->OnDisconnected(Now());
  Charge(0.301);
  core_->Step(Now());
  EXPECT_EQ(ports_.stops, 1);
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  EXPECT_THAT(Last("paused").paused().reason(), HasSubstr("reserve 30 %"));
  EXPECT_THAT(core_->MakeHeartbeat(Now()).guard_reason(), HasSubstr("reserve"));
  Charge(0.32);
  Pass(absl::Seconds(10));
  EXPECT_EQ(ports_.fetches, 1);
  Charge(0.4);
  Pass(absl::Seconds(1));
  EXPECT_EQ(ports_.fetches, 2);
}

TEST_F(AgentCoreTest, TheCoordinatorLearnsAtOnceThatAPolicyStopsOrFreesTheDevice) {
  has_gauge_ = true;
  Boot();
  Welcome();
  Charge(0.5);
  for (const double reserve : {0.9, 0.0, 0.8, 0.2}) {
    ports_.sent.clear();
    Desire({}, reserve);
    const auto heartbeat =
        std::find_if(ports_.sent.begin(), ports_.sent.end(),
                     [](const v1::WorkerMessage& message) { return message.has_heartbeat(); });
    ASSERT_NE(heartbeat, ports_.sent.end()) << reserve;
    EXPECT_EQ(heartbeat->heartbeat().guard_reason().empty(), reserve < 0.5) << reserve;
  }
}

TEST_F(AgentCoreTest, ThePolicyHoldsAfterARestartWithoutTheCoordinator) {
  has_gauge_ = true;
  Boot();
  Welcome();
  Charge(0.9);
  Desire({Job("j1.1")}, 0.3);
  Boot();
  Charge(0.2);
  core_->Step(Now());
  EXPECT_EQ(ports_.fetches, 0);
}

TEST_F(AgentCoreTest, AnAttemptRunsInTheModeThatItIsPlacedForWhereThatCanBeSet) {
  v1::Assignment job = Job("j1.1");
  job.set_power_mode("15W");
  Welcome();
  Desire({job});
  EXPECT_THAT(ports_.modes, ElementsAre());  // not allowed
  Desire({});

  sets_power_modes_ = true;
  Boot();
  Welcome();
  job.set_attempt_id("j1.2");
  Desire({job});
  EXPECT_THAT(ports_.modes, ElementsAre("15W"));
  core_->OnFetched({}, Now());
  Desire({});
  Killed();
  Pass(absl::Seconds(5));
  EXPECT_EQ(Last("stopped").stopped().receipt().power_mode(), "15W");

  job.set_attempt_id("j1.3");
  Desire({job});
  EXPECT_THAT(ports_.modes, ElementsAre("15W"));  // already in that mode
  job.set_power_mode("MAXN");
  job.set_attempt_id("j1.4");
  Desire({job});
  core_->OnFetched({.status = absl::CancelledError("x")}, Now());
  Pass(absl::Seconds(5));
  EXPECT_THAT(ports_.modes, ElementsAre("15W", "MAXN"));
  EXPECT_THAT(ports_.notes,
              testing::Contains(HasSubstr("j1.4: power mode MAXN is not set: only root")));
}

TEST_F(AgentCoreTest, AHeartbeatTellsWhatWorkHasDrawnOfTheDaysBudget) {
  Welcome();
  EXPECT_FALSE(core_->MakeHeartbeat(Now()).has_budget_day());
  v1::CoordinatorMessage message;
  *message.mutable_desired()->add_assignments() = Job("j1.1");
  message.mutable_desired()->add_policies()->set_daily_energy_budget_wh(1);
  civil_ = absl::FromUnixSeconds(1'900'022'400);
  core_->OnMessage(message, Now());
  core_->OnFetched({}, Now());
  Phase("train");
  Pass(absl::Seconds(100));
  EXPECT_TRUE(core_->MakeHeartbeat(Now()).has_budget_day());
  EXPECT_NEAR(core_->MakeHeartbeat(Now()).budget_day_energy_joules(), 1000, 20);
  Boot();  // a kill loses only what was not saved
  EXPECT_NEAR(core_->MakeHeartbeat(Now()).budget_day_energy_joules(), 1000, 170);
  civil_ += absl::Hours(24);
  core_->Step(Now());
  EXPECT_NEAR(core_->MakeHeartbeat(Now()).budget_day_energy_joules(), 0, 170);
}

TEST_F(AgentCoreTest, AFetchWithoutALinkIsTriedAgainAndAMissingArtifactFails) {
  Welcome();
  Desire({Job("j1.1")});
  core_->OnFetched({.status = absl::UnavailableError("down")}, Now());
  Pass(absl::Seconds(2));
  EXPECT_EQ(ports_.fetches, 2);
  core_->OnFetched({.status = absl::NotFoundError("no such artifact")}, Now());
  EXPECT_EQ(Last("failed").failed().failure_class(), v1::FAILURE_CLASS_DATA);
}

// The checkpoint belongs to an attempt that ended here. A full disk deletes it before it fails an
// attempt.
TEST_F(AgentCoreTest, UnneededCheckpointsAreDeletedForAnArtifactThatIsNeeded) {
  ASSERT_THAT(disk_.Replace(state_->WorkDirectory("j0.1") + "/checkpoint", "old"), IsOk());
  Welcome();
  Desire({Job("j1.1")});
  const absl::Status full = absl::ResourceExhaustedError("disk full");
  core_->OnFetched({.status = full}, Now());
  EXPECT_EQ(ports_.fetches, 2);
  EXPECT_EQ(disk_.files().count("attempts/j0.1/work/checkpoint"), 0U);
  core_->OnFetched({.status = full}, Now());
  Pass(absl::Seconds(4));
  EXPECT_EQ(Last("failed").failed().failure_class(), v1::FAILURE_CLASS_DEVICE);
}

TEST_F(AgentCoreTest, RoomIsMadeForTheFirstCheckpointAndForTheNextOne) {
  Welcome();
  Desire({Job("j1.1")});
  FetchResult fetched;
  fetched.inputs = {{.field = "model", .directory = "m", .file = {}, .size_bytes = 100}};
  core_->OnFetched(fetched, Now());
  EXPECT_EQ(ports_.room_bytes, 300);
  Phase("train");
  v1::RunnerFrame frame;
  frame.mutable_checkpoint()->set_step(1);
  frame.mutable_checkpoint()->set_size_bytes(321);
  core_->OnFrame(frame, Now());
  EXPECT_EQ(ports_.room_bytes, 321);
  ASSERT_THAT(disk_.Replace(state_->WorkDirectory("j0.1") + "/checkpoint", "old"), IsOk());
  core_->OnShortOfRoom(1);
  EXPECT_EQ(disk_.files().count("attempts/j0.1/work/checkpoint"), 0U);
  EXPECT_THAT(ports_.notes.back(), HasSubstr("removed 3 B"));
}

TEST_F(AgentCoreTest, AChunkThatIsDamagedAtItsSourceIsNotFetchedForEver) {
  Welcome();
  Desire({Job("j1.1")});
  for (int i = 1; i <= 2; ++i) {
    core_->OnFetched({.status = absl::DataLossError("chunk ab was changed")}, Now());
    Pass(absl::Seconds(10));
    ASSERT_EQ(ports_.fetches, i + 1);
  }
  core_->OnFetched({.status = absl::UnavailableError("down")}, Now());
  Pass(absl::Seconds(30));
  for (int i = 1; i <= 3; ++i) {
    core_->OnFetched({.status = absl::DataLossError("chunk ab was changed")}, Now());
    Pass(absl::Seconds(31));
  }
  EXPECT_EQ(Last("failed").failed().failure_class(), v1::FAILURE_CLASS_DATA);
}

TEST_F(AgentCoreTest, ShutdownCheckpointsAndTheNextProcessGoesOn) {
  Welcome();
  StartTraining();
  core_->Shutdown(Now());
  EXPECT_EQ(ports_.stops, 1);
  EXPECT_FALSE(core_->done());
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  EXPECT_TRUE(core_->done());
  EXPECT_THAT(Facts(), ElementsAre("accepted", "started"));
  Boot();
  core_->Step(Now());
  EXPECT_EQ(ports_.fetches, 1);
}

// Steps differ in length: the first of four steps may have a tenth of the tokens.
TEST_F(AgentCoreTest, TimeLeftIsOfTheTokensToComeWhereTheRunnerKnowsThem) {
  Welcome();
  StartTraining();
  Pass(absl::Seconds(10));
  StepDone(1, /*tokens_left=*/900);
  EXPECT_NEAR(core_->MakeHeartbeat(Now()).progress(0).remaining_seconds(), 90, 1e-6);
  Pass(absl::Seconds(10));
  StepDone(2);
  EXPECT_NEAR(core_->MakeHeartbeat(Now()).progress(0).remaining_seconds(), 20, 1e-6);
}

TEST_F(AgentCoreTest, TwoAttemptsRunOneAfterTheOther) {
  Welcome();
  Desire({Job("j1.1"), Job("j2.1")});
  EXPECT_EQ(ports_.fetches, 1);
  core_->OnFetched({.status = absl::NotFoundError("gone")}, Now());
  EXPECT_EQ(ports_.fetches, 2);
}

// Emulation: the runner's gate opens when the wall clock has caught up with the board.
class EmulatedCoreTest : public AgentCoreTest {
 protected:
  EmulatedCoreTest() {
    board_ = *ReadBoardFile(WATTLE_SOURCE_DIR "/deploy/emulated", "jetson-orin-nano");
    board_->start_time = absl::Seconds(7);
    clock_ = DeviceClock(wall_, 2.0);
    Boot();
  }
};

TEST_F(EmulatedCoreTest, StepsArePacedByTheBoardAndTheReceiptIsInDeviceTime) {
  Welcome();
  Desire({Job("j1.1")});
  core_->OnFetched({}, Now());
  ASSERT_TRUE(ports_.tasks.at(0).gated());
  Phase("load");
  Phase("train");
  // The start takes 7 s and each step 1 s, times two.
  StepDone(1);
  // This machine is ahead of the board, so the step counts with the board's time.
  const v1::AttemptProgress progress = core_->MakeHeartbeat(Now()).progress(0);
  EXPECT_NEAR(progress.remaining_seconds(), 3, 0.2);
  EXPECT_NEAR(progress.tokens_per_second(), 100, 6);
  Pass(absl::Seconds(15));
  EXPECT_EQ(ports_.continues, 0);
  Pass(absl::Seconds(1.5));
  EXPECT_EQ(ports_.continues, 1);
  for (int step = 2; step <= 4; ++step) {
    StepDone(step);
    while (ports_.continues < step) {
      Pass(absl::Milliseconds(100));
    }
  }
  Phase("save");
  Result();
  EXPECT_TRUE(ports_.uploads.empty());  // the board still writes
  Pass(absl::Seconds(1));
  Uploaded();
  Pass(absl::Seconds(0.5));
  const v1::Receipt& receipt = Last("finished").finished().receipt();
  EXPECT_NEAR(receipt.start_seconds(), 7, 0.1);
  EXPECT_NEAR(receipt.run().seconds(), 4.1, 0.2);
  EXPECT_NEAR(receipt.wall_seconds(), 8.2, 0.4);
  EXPECT_FALSE(receipt.emulation_overrun());
}

TEST_F(EmulatedCoreTest, TheReceiptSaysThatTheHostWasTooSlow) {
  Welcome();
  Desire({Job("j1.1")});
  core_->OnFetched({}, Now());
  Phase("load");
  Pass(absl::Seconds(14));
  Phase("train");
  for (int step = 1; step <= 4; ++step) {
    Pass(absl::Seconds(5));
    StepDone(step);
  }
  Phase("save");
  Result();
  Pass(absl::Seconds(1));
  Uploaded();
  Pass(absl::Seconds(0.5));
  EXPECT_TRUE(Last("finished").finished().receipt().emulation_overrun());
}

// This machine keeps the board's pace during the run, but not during the evaluation after it.
TEST_F(EmulatedCoreTest, TheReceiptSaysThatTheHostWasTooSlowForTheHeldOutEvaluation) {
  Welcome();
  Desire({Job("j1.1")});
  core_->OnFetched({}, Now());
  Phase("load");
  Phase("train");
  for (int step = 1; step <= 4; ++step) {
    StepDone(step);
    while (ports_.continues < step) {
      Pass(absl::Milliseconds(100));
    }
  }
  Phase("evaluate");
  Pass(absl::Seconds(20));
  v1::RunnerFrame frame;
  frame.mutable_step()->set_phase("evaluate");
  frame.mutable_step()->set_flops(330e9);
  core_->OnFrame(frame, Now());
  Phase("save");
  Result();
  Pass(absl::Seconds(1));
  Uploaded();
  Pass(absl::Seconds(0.5));
  EXPECT_TRUE(Last("finished").finished().receipt().emulation_overrun());
}

TEST_F(EmulatedCoreTest, ASlowLoadOfTheHostIsNeitherStartNorOverrun) {
  Welcome();
  Desire({Job("j1.1")});
  core_->OnFetched({}, Now());
  Phase("load");
  Pass(absl::Seconds(40));
  Phase("train");
  for (int step = 1; step <= 4; ++step) {
    StepDone(step);
    Pass(absl::Seconds(2.2));
  }
  Phase("save");
  Result();
  Pass(absl::Seconds(1));
  Uploaded();
  Pass(absl::Seconds(0.5));
  const v1::Receipt& receipt = Last("finished").finished().receipt();
  EXPECT_NEAR(receipt.start_seconds(), 7, 0.1);
  EXPECT_FALSE(receipt.emulation_overrun());
}

}  // namespace
}  // namespace wattle::agent
