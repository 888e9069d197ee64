// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests the event loop's promises: no outcome leaves before it is durable, each effect appears
// once, and a start recovers the journal's state.
#include "coordinator/event_loop/event_loop.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/state.h"

namespace wattle::event_loop {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

core::Instant Now() {
  return {absl::FromUnixSeconds(1'000'000), Monotonic(absl::Seconds(1000))};
}

core::WorkerHello Hello(const std::string& device) {
  core::WorkerHello command;
  v1::DeviceInfo& info = *command.hello.mutable_device();
  info.set_device_id(device);
  info.set_name(absl::StrCat("name-of-", device));
  info.set_device_class("jetson-orin-nano");
  info.set_architecture("aarch64");
  info.set_memory_bytes(int64_t{8} << 30);
  info.set_cores(4);
  command.hello.set_incarnation(7);
  return command;
}

core::WorkerReport Ledger(const std::string& device, int64_t sequence) {
  core::WorkerReport command;
  command.device = DeviceId(device);
  command.incarnation = 7;
  command.report.set_sequence(sequence);
  command.report.mutable_ledger()->set_idle_energy_joules(static_cast<double>(sequence));
  return command;
}

class EventLoopTest : public testing::Test {
 protected:
  // Steps the command. Notes the answer under `name` when it is released.
  Ready Step(core::Command command, const std::string& name) {
    return loop_.Step(
        {std::move(command),
         [this, name](const Answer& answer) {
           answers_.push_back(absl::StrCat(name, ":", answer.status.ok() ? answer.id : "refused"));
         }},
        observations_, Now());
  }
  static void Tell(const Released& released) {
    for (const Released::Answered& answered : released.answers) {
      answered.done(answered.answer);
    }
  }

  core::Observations observations_;
  EventLoop loop_{core::State()};
  std::vector<std::string> answers_;
};

TEST_F(EventLoopTest, LiveStateIsAheadAndAnswersComeInTheOrderOfTheCommands) {
  Ready ready = Step(Hello("d1"), "first");
  ready.Add(Step(core::DrainDevice{DeviceId("nobody"), ""}, "second"));
  ready.Add(Step(Hello("d2"), "third"));
  EXPECT_THAT(loop_.state().devices, SizeIs(2));
  EXPECT_THAT(answers_, IsEmpty());

  const SequenceNumber last(ready.events().back().sequence());
  Tell(std::move(ready).Durable(last));

  EXPECT_THAT(answers_, ElementsAre("first:d1", "second:refused", "third:d2"));
}

// Only the audit reads the caller: a journal of before, which has none, gives the same state.
TEST_F(EventLoopTest, EveryEventOfACommandNamesItsCallerAndTheStateDoesNot) {
  v1::EventCaller caller;
  caller.set_identity("device d1");
  caller.set_address("10.0.0.7");
  const Ready ready = loop_.Step({Hello("d1"), nullptr, caller}, observations_, Now());
  ASSERT_FALSE(ready.events().empty());
  for (const v1::Event& event : ready.events()) {
    EXPECT_EQ(event.caller().identity(), "device d1") << event.ShortDebugString();
    EXPECT_EQ(event.caller().address(), "10.0.0.7");
  }
  EventLoop nobodys{core::State()};
  const Ready without = nobodys.Step({Hello("d1"), nullptr}, observations_, Now());
  ASSERT_THAT(without.events(), SizeIs(ready.events().size()));
  EXPECT_FALSE(without.events()[0].has_caller());
  const auto digest = core::SnapshotDigest(loop_.state());
  ASSERT_THAT(digest, IsOk());
  EXPECT_EQ(*core::SnapshotDigest(nobodys.state()), *digest);
}

TEST_F(EventLoopTest, NoAnswerLeavesBeforeItsEventsAreDurable) {
  Ready ready = Step(Hello("d1"), "first");
  const SequenceNumber before_last(ready.events().back().sequence() - 1);
  EXPECT_DEATH(static_cast<void>(std::move(ready).Durable(before_last)),
               "nothing is told before it is durable");
}

TEST_F(EventLoopTest, EffectsOfABatchAreSentOnce) {
  Ready ready = Step(Hello("d1"), "hello");
  ready.Add(Step(Hello("d1"), "hello again"));
  ready.Add(Step(Ledger("d1", 1), "one"));
  ready.Add(Step(Ledger("d1", 2), "two"));
  const SequenceNumber last(ready.events().back().sequence());

  const Released released = std::move(ready).Durable(last);

  EXPECT_THAT(released.desired, ElementsAre(DeviceId("d1")));
  ASSERT_THAT(released.acknowledgements, SizeIs(1));
  EXPECT_EQ(released.acknowledgements[0].sequence, 2);
  EXPECT_TRUE(released.queue_changed);
}

TEST_F(EventLoopTest, ATickThatChangesNothingIsEmpty) {
  const Ready ready = loop_.Step({core::Tick{}, nullptr}, observations_, Now());
  EXPECT_TRUE(ready.empty());
  // A caller waits for an answer, so there is something to release.
  EXPECT_FALSE(Step(core::Tick{}, "tick").empty());
}

TEST_F(EventLoopTest, RecoveryGivesTheLiveStateFromSnapshotAndEvents) {
  Ready ready = Step(Hello("d1"), "hello");
  const core::State snapshot = loop_.state();
  ready.Add(Step(Ledger("d1", 1), "one"));
  const auto replay = [&](int64_t after, const auto& take) {
    for (const v1::Event& event : ready.events()) {
      if (event.sequence() > after) {
        EXPECT_THAT(take(event), IsOk());
      }
    }
    return absl::OkStatus();
  };

  const auto read = [&](int64_t, const TakeRow& take) {
    return core::GiveSnapshotRows(snapshot, take);
  };
  const int64_t sequence = snapshot.last_sequence.value();
  for (const std::vector<int64_t>& snapshots : {std::vector<int64_t>(), {sequence}}) {
    Recorded recorded;
    recorded.snapshots = snapshots;
    recorded.read_snapshot = read;
    recorded.replay = replay;
    const absl::StatusOr<core::State> state = Recover(recorded);
    ASSERT_THAT(state.status(), IsOk());
    EXPECT_EQ(core::SnapshotBytes(*state), core::SnapshotBytes(loop_.state()));
  }
  EXPECT_THAT(CheckSnapshot(snapshot, [&](const TakeRow& take) { return read(0, take); }), IsOk());
  EXPECT_THAT(CheckSnapshot(loop_.state(), [&](const TakeRow& take) { return read(0, take); }),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("another state")));
}

TEST_F(EventLoopTest, RecoveryReportsTheJournalsProblems) {
  const auto damaged = [](int64_t, const auto&) { return absl::DataLossError("event 3"); };
  Recorded recorded;
  recorded.replay = damaged;
  EXPECT_THAT(Recover(recorded).status(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("event 3")));
}

// Snapshot 2 is damaged, or its checksum refuses every event after it. Recovery then starts from
// snapshot 1.
TEST_F(EventLoopTest, RecoveryPassesOverASnapshotThatLeadsNowhere) {
  for (const bool rows_damaged : {true, false}) {
    std::vector<int64_t> passed_over;
    Recorded recorded;
    recorded.snapshots = {2, 1};
    recorded.read_snapshot = [&](int64_t sequence, const TakeRow& take) -> absl::Status {
      if (sequence == 2 && rows_damaged) {
        return absl::DataLossError("snapshot 2 is damaged");
      }
      core::State state;
      state.last_sequence = SequenceNumber(sequence);
      return core::GiveSnapshotRows(state, take);
    };
    recorded.replay = [](int64_t after, const auto&) {
      return after == 2 ? absl::DataLossError("event 3 is damaged") : absl::OkStatus();
    };
    recorded.passed_over = [&](int64_t sequence, const absl::Status&) {
      passed_over.push_back(sequence);
    };
    const absl::StatusOr<core::State> state = Recover(recorded);
    ASSERT_THAT(state, IsOk());
    EXPECT_EQ(state->last_sequence.value(), 1);
    EXPECT_THAT(passed_over, ElementsAre(2));

    recorded.snapshots = {2};
    EXPECT_THAT(Recover(recorded).status(),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("; restore a backup")));
    EXPECT_THAT(std::string(Recover(recorded).status().message()), testing::Not(HasSubstr("\n")));
  }
}

TEST_F(EventLoopTest, WelcomeAcknowledgesTheDurableReportsOfThisIncarnation) {
  static_cast<void>(Step(Hello("d1"), "hello"));
  static_cast<void>(Step(Ledger("d1", 1), "one"));
  const WelcomeSettings settings = {.now = Now().wall, .heartbeat_interval = absl::Seconds(2)};
  const v1::Welcome welcome = WelcomeFor(loop_.state(), DeviceId("d1"), 7, settings);
  EXPECT_EQ(welcome.acknowledged_sequence(), 1);
  EXPECT_EQ(welcome.heartbeat_seconds(), 2);
  EXPECT_EQ(WelcomeFor(loop_.state(), DeviceId("d1"), 8, settings).acknowledged_sequence(), 0);
}

TEST(PlanFilterTest, APlanThatSaysTheSameIsPostedOnlyWhileItStartsSomething) {
  core::PlanComputed waits;
  waits.jobs.emplace_back().job = JobId("j1");
  PlanFilter filter;
  EXPECT_TRUE(filter.WorthPosting(waits));
  EXPECT_FALSE(filter.WorthPosting(waits));
  filter.Forget();
  EXPECT_TRUE(filter.WorthPosting(waits));
  core::PlanComputed starts = waits;
  starts.jobs[0].placement.set_device_id("d1");
  EXPECT_TRUE(filter.WorthPosting(starts));
  EXPECT_TRUE(filter.WorthPosting(starts));
  core::PlanComputed moves = waits;
  scheduler::GainfulMove& move = moves.moves.emplace_back();
  move.attempt = AttemptId("j2.1");
  move.device = DeviceId("d1");
  move.reason = "r";
  EXPECT_TRUE(filter.WorthPosting(moves));
  EXPECT_TRUE(filter.WorthPosting(moves));
}

}  // namespace
}  // namespace wattle::event_loop
