// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Each failure of a board's disk at each moment of a job, on the real coordinator and agent: the
// coordinator names it, the job waits or goes elsewhere, nothing is deleted, and everything
// recovers by itself.
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "coordinator/core/testing/spec_for_test.h"
#include "sim/event_loop.h"
#include "sim/fleet.h"
#include "sim/options.h"
#include "sim/random.h"
#include "tests/simulation/boards_for_test.h"
#include "tests/simulation/fault_points.h"

namespace wattle::sim {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

enum class Moment { kIdle, kStart, kFetch, kCheckpoint, kReport };
constexpr const char* kMoments[] = {"Idle", "Start", "Fetch", "Checkpoint", "Report"};

struct Kind {
  Worker::Disk disk;
  const char* name;
  const char* told;
};
constexpr Kind kKinds[] = {
    {Worker::Disk::kFull, "Full", "disk full: "},
    {Worker::Disk::kReadOnly, "ReadOnly", "disk read-only: "},
    {Worker::Disk::kError, "Error", "disk error: "},
    {Worker::Disk::kSlow, "Slow", "disk slow: "},
};

constexpr int64_t kSickSteps = 60;
constexpr double kSickStepSeconds = 20.0;
// A fetch of 300 s, and as long an upload.
constexpr int64_t kSickArtifactBytes = 300'000'000;
constexpr double kSickSeconds = 900.0;
constexpr double kNamedSeconds = 90.0;
constexpr double kHealedSeconds = 60.0;

Options SickOptions() {
  Options options = ScriptedOptions(23);
  options.step_seconds = kSickStepSeconds;
  options.heartbeat_seconds = 10.0;
  options.sample_seconds = 5.0;
  return options;
}

Machine MachineNamed(const std::string& name) {
  Workload workload = ScriptedWork(kSickSteps, kSickStepSeconds);
  workload.result_bytes = kSickArtifactBytes;
  Machine machine = ScriptedMachine(name, workload);
  machine.artifact_bytes = [](const std::string& /*id*/) { return kSickArtifactBytes; };
  return machine;
}

class SickDiskTest : public ScriptedBoards,
                     public testing::WithParamInterface<std::tuple<Kind, Moment>> {
 protected:
  SickDiskTest() : ScriptedBoards(SickOptions()) {}

  // Returns false if the condition did not become true within this many seconds.
  template <typename Condition>
  bool Until(double seconds, const Condition& condition) {
    const double end = loop_.now_seconds() + seconds;
    while (loop_.now_seconds() < end && !condition()) {
      loop_.RunUntil(loop_.now_seconds() + 1.0,
                     [this] { return !fleet_.invariants().breach().empty(); });
      if (!fleet_.invariants().breach().empty()) {
        return condition();
      }
    }
    return condition();
  }
  const v1::Job& Job() { return fleet_.coordinator().durable().jobs.at(1).job(); }
  std::string PhaseOfJob() {
    for (const auto& [id, progress] : fleet_.coordinator().observations().progress) {
      return progress.phase();
    }
    return "";
  }
  // The output of `wattle devices`.
  std::string Named() {
    const auto& devices = fleet_.coordinator().observations().devices;
    const auto seen = devices.find(DeviceId(board().device_id()));
    return seen == devices.end() ? "" : seen->second.heartbeat.storage_problem();
  }
  // The step of the newest checkpoint on the board's disk; 0: it has none.
  int Checkpoints() {
    int count = 0;
    for (const auto& [name, content] : board().disk().files()) {
      count += absl::StrContains(name, "/checkpoint-") ? 1 : 0;
    }
    return count;
  }

  void Begin() {
    fleet_.Start({MachineNamed("barn")});
    Until(30, [] { return false; });
    PushInputs();
    Until(90, [] { return false; });
  }
  void Submit() {
    v1::JobSpec spec = core::Finetune();
    spec.mutable_finetune()->set_checkpoint_every_steps(10);
    Post(core::SubmitJob{spec, "key"});
  }
  // Runs until the moment at which the disk fails.
  void Reach(Moment moment) {
    Begin();
    if (moment != Moment::kIdle) {
      Submit();
    }
    const bool reached = moment == Moment::kIdle || Until(2400, [&] {
                           const std::string phase = PhaseOfJob();
                           return moment == Moment::kFetch ? phase == "fetch"
                                  : moment == Moment::kReport
                                      ? phase == "upload"
                                      : phase == "train" && Checkpoints() > 0;
                         });
    ASSERT_TRUE(reached) << "the job is in the phase " << PhaseOfJob();
    if (moment == Moment::kStart) {
      board().Stop(ProcessStop::kPowerCut);
    }
  }
  void GetSick(const Kind& kind, Moment moment) {
    board().SetDisk(kind.disk);
    if (moment == Moment::kStart) {
      board().Start();
    }
  }
};

TEST_P(SickDiskTest, IsNamedAndTheJobWaitsAndAllHealsAlone) {
  const auto& [kind, moment] = GetParam();
  ASSERT_NO_FATAL_FAILURE(Reach(moment));
  const std::string device_id = board().device_id();
  const int checkpoints = Checkpoints();
  GetSick(kind, moment);
  const double sick_from = loop_.now_seconds();
  EXPECT_TRUE(Until(kNamedSeconds, [&] { return !Named().empty(); }));
  EXPECT_THAT(Named(), StartsWith(kind.told));
  if (moment == Moment::kIdle) {
    Submit();
  }
  Until(sick_from + kSickSeconds - loop_.now_seconds(), [] { return false; });
  ASSERT_EQ(fleet_.invariants().breach(), "");
  // A complete result may still arrive; anything else waits.
  if (moment != Moment::kReport) {
    EXPECT_FALSE(IsTerminal(Job().state())) << Job().reason();
    EXPECT_FALSE(board().core()->busy());
    EXPECT_GE(Checkpoints(), checkpoints) << "nothing is deleted";
  }
  board().SetDisk(Worker::Disk::kHealthy);
  EXPECT_TRUE(Until(kHealedSeconds, [&] { return Named().empty(); })) << Named();
  EXPECT_TRUE(Until(4 * 3600, [&] { return Job().state() == v1::JOB_STATE_SUCCEEDED; }))
      << Job().reason();
  EXPECT_EQ(fleet_.invariants().breach(), "");
  EXPECT_EQ(board().device_id(), device_id) << "the board has its identity still";
}

INSTANTIATE_TEST_SUITE_P(Rows, SickDiskTest,
                         testing::Combine(testing::ValuesIn(kKinds),
                                          testing::Values(Moment::kIdle, Moment::kStart,
                                                          Moment::kFetch, Moment::kCheckpoint,
                                                          Moment::kReport)),
                         [](const auto& test) {
                           return absl::StrCat(std::get<0>(test.param).name,
                                               kMoments[static_cast<int>(std::get<1>(test.param))]);
                         });

// If there is a second board, the job does not wait.
TEST(SickDiskOfTwoTest, TheJobGoesElsewhere) {
  for (const Kind& kind : kKinds) {
    SCOPED_TRACE(kind.name);
    Options options = SickOptions();
    options.devices = 2;
    Random random(23);
    EventLoop loop;
    Counts counts;
    Fleet fleet({options, random, loop, counts}, {}, [](const std::string& /*id*/) {});
    const auto broken = [&fleet] { return !fleet.invariants().breach().empty(); };
    const auto post = [&fleet](core::Command command) {
      fleet.coordinator().Post(std::move(command), [](const event_loop::Answer& answer) {
        EXPECT_TRUE(answer.status.ok()) << answer.status;
      });
    };
    fleet.Start({MachineNamed("barn"), MachineNamed("mast")});
    loop.RunUntil(30, broken);
    post(core::CommitArtifact{core::TinyModel()});
    post(core::CommitArtifact{core::Questions(1000)});
    post(core::SubmitJob{core::Finetune(), "key"});
    loop.RunUntil(900, broken);  // it trains
    const auto& jobs = fleet.coordinator().durable().jobs;
    ASSERT_EQ(jobs.at(1).job().attempts_size(), 1);
    const std::string first = jobs.at(1).job().attempts(0).device_id();
    for (const auto& worker : fleet.workers()) {
      if (worker->device_id() == first) {
        worker->SetDisk(kind.disk);
      }
    }
    loop.RunUntil(3 * 3600, broken);
    EXPECT_EQ(fleet.invariants().breach(), "");
    const v1::Job& job = jobs.at(1).job();
    EXPECT_EQ(job.state(), v1::JOB_STATE_SUCCEEDED) << job.reason();
    EXPECT_NE(job.attempts().rbegin()->device_id(), first);
  }
}

TEST(SickDiskMutantTest, ARecordThatIsRefusedIsNotEnough) {
  Options options = SickOptions();
  Random random(23);
  EventLoop loop;
  Counts counts;
  Fleet fleet({options, random, loop, counts}, {}, [](const std::string& /*id*/) {});
  TurnOnFaultPoint("NoteDisk alone");
  fleet.Start({MachineNamed("barn")});
  loop.RunUntil(300, [] { return false; });
  fleet.workers().front()->SetDisk(Worker::Disk::kReadOnly);
  loop.RunUntil(600, [&] { return !fleet.invariants().breach().empty(); });
  TurnOnFaultPoint("");
  EXPECT_THAT(fleet.invariants().breach(), HasSubstr("says of its disk \"\" when it was sick"));
}

}  // namespace
}  // namespace wattle::sim
