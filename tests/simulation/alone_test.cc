// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A board without a link for weeks, with jobs that wait on it, on the real coordinator and agent.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
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

using testing::ElementsAre;

constexpr double kHour = 3600.0;
constexpr double kDay = 24 * kHour;
constexpr double kAloneFrom = 1 * kHour;
constexpr double kAloneUntil = 30 * kDay;
constexpr int kJobs = 3;
constexpr int kReboots = 200;
// Per job: 100 h of work at 12 W, 1200 Wh. A day's budget of 250 Wh allows about 20 h.
constexpr int64_t kSteps = 18'000;
constexpr double kStepSeconds = 20.0;
constexpr double kBudgetWh = 250.0;
constexpr double kLookSeconds = 60.0;
// For questions whose answer does not depend on the time.
const agent::Instant kSomeTime = {Monotonic(absl::Hours(1)), Monotonic(absl::Hours(1)), {}};

Options AloneOptions(uint64_t seed) {
  Options options = ScriptedOptions(seed);
  options.step_seconds = 20.0;
  options.heartbeat_seconds = 60.0;
  options.sample_seconds = 10.0;
  options.day_seconds = kDay;
  options.tick_seconds = 60.0;
  options.plan_seconds = 300.0;
  return options;
}

Machine AloneMachine() {
  return ScriptedMachine("barn", ScriptedWork(kSteps, kStepSeconds));
}

class AloneBoardTest : public ScriptedBoards {
 protected:
  AloneBoardTest() : ScriptedBoards(AloneOptions(7)) {}

  const v1::Job& Job(int number) { return fleet_.coordinator().durable().jobs.at(number).job(); }
  std::vector<std::string> Phases() {
    std::vector<std::string> phases;
    const v1::Heartbeat heartbeat = board().core()->MakeHeartbeat(kSomeTime);
    for (const v1::AttemptProgress& progress : heartbeat.progress()) {
      phases.push_back(absl::StrCat(progress.attempt_id(), " ", progress.phase()));
    }
    return phases;
  }

  // The board gets its jobs and a policy, and then loses its link.
  void Begin() {
    fleet_.Start({AloneMachine()});
    RunUntil(60);
    PushInputs();
    v1::Policy policy;
    policy.set_name("budget");
    policy.set_daily_energy_budget_wh(kBudgetWh);
    Post(core::ApplyPolicy{policy});
    for (int job = 1; job <= kJobs; ++job) {
      v1::JobSpec spec = core::Finetune();
      spec.mutable_finetune()->set_checkpoint_every_steps(36);
      Post(core::SubmitJob{spec, absl::StrCat("key", job)});
    }
    RunUntil(kAloneFrom);
    ASSERT_THAT(Phases(), ElementsAre("j1.1 train", "j2.1 queued", "j3.1 queued"));
    fleet_.network().SetPartitioned(0, true);
    fleet_.network().BreakSome(1.0);
  }

  void BeAlone() {
    for (int reboot = 1; reboot <= kReboots; ++reboot) {
      const double at = kAloneFrom + (kAloneUntil - kAloneFrom) * reboot / (kReboots + 1);
      loop_.At(at, [this] { board().Stop(ProcessStop::kPowerCut); });
      loop_.At(at + random_.Between(20, 600), [this] { board().Start(); });
    }
    for (double at = kAloneFrom; at < kAloneUntil; at += kLookSeconds) {
      loop_.At(at, [this] { Look(); });
    }
    RunUntil(kAloneFrom + kDay);
    disk_bytes_of_a_day_ = DiskBytes();
    RunUntil(kAloneUntil);
    // ./dev bench field reads this line.
    absl::PrintF(
        "alone: works at %d looks, idles over work at %d; its files have %d bytes after a day "
        "and %d after 30\n",
        works_, idles_, disk_bytes_of_a_day_, DiskBytes());
  }

  int64_t DiskBytes() {
    int64_t bytes = 0;
    for (const auto& [name, content] : board().disk().files()) {
      bytes += static_cast<int64_t>(name.size() + content.size());
    }
    return bytes;
  }

  // Counts the samples at which the board works, and those at which it idles over work.
  void Look() {
    if (board().alive()) {
      works_ += board().core()->busy() ? 1 : 0;
      idles_ += board().core()->IdlesOverWork(kSomeTime) ? 1 : 0;
    }
  }

  void ComeBack() {
    fleet_.network().SetPartitioned(0, false);
    RunUntil(kAloneUntil + kDay);
  }

  int64_t works_ = 0;
  int64_t idles_ = 0;
  int64_t disk_bytes_of_a_day_ = 0;
};

TEST_F(AloneBoardTest, ThirtyDaysThreeJobsTwoHundredReboots) {
  Begin();
  BeAlone();
  ASSERT_EQ(fleet_.invariants().breach(), "");
  // All jobs have ended without a link, within each day's budget, which sim/policy_watch.cc checks.
  EXPECT_FALSE(board().core()->busy());
  EXPECT_THAT(Phases(), ElementsAre("j1.1 upload", "j2.1 upload", "j3.1 upload"));
  EXPECT_GT(works_, 300 * 60 * 0.9) << "of 300 hours";
  EXPECT_LE(static_cast<double>(idles_), 0.01 * static_cast<double>(works_));
  const int64_t events = counts_.events;
  ComeBack();
  ASSERT_EQ(fleet_.invariants().breach(), "");
  EXPECT_GT(counts_.events, events);
  EXPECT_EQ(counts_.succeeded_jobs, kJobs);
  double receipts = 0;
  for (int job = 1; job <= kJobs; ++job) {
    EXPECT_EQ(Job(job).state(), v1::JOB_STATE_SUCCEEDED) << Job(job).reason();
    ASSERT_EQ(Job(job).attempts_size(), 1) << "reported once, run once";
    receipts += Job(job).attempts(0).receipt().total().gross_energy_joules();
  }
  const v1::EnergyLedger& ledger =
      core::FindDevice(fleet_.coordinator().durable(), DeviceId(board().device_id()))->ledger();
  EXPECT_NEAR(ledger.attempt_energy_joules(), receipts, 1e-6 * receipts);
  // Each reboot loses everything after the last save: 15 s of work or 5 min of idling.
  const double drawn = board().board().energy().value();
  const double counted = ledger.attempt_energy_joules() + ledger.idle_energy_joules() +
                         ledger.overhead_energy_joules();
  EXPECT_LE(counted, drawn * (1 + 1e-9));
  EXPECT_NEAR(counted, drawn, kReboots * 300 * 3.0);
}

TEST_F(AloneBoardTest, AQueueOfOneIsFound) {
  TurnOnFaultPoint("queue of one");
  Begin();
  BeAlone();
  EXPECT_THAT(fleet_.invariants().breach(),
              testing::HasSubstr("although it holds work that it may do"));
}

}  // namespace
}  // namespace wattle::sim
