// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/runtime/runtime.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/state.h"
#include "coordinator/runtime/testing/runtime_fixture.h"
#include "coordinator/store/journal.h"
#include "coordinator/store/sqlite.h"
#include "coordinator/store/testing/schema_1_fixture.h"

namespace wattle::runtime {
namespace {

using testing::HasSubstr;

class RuntimeTest : public RuntimeFixture {
 protected:
  static std::vector<std::string> PolicyNames(Runtime& runtime) {
    return runtime.Read([](const core::State& state) {
      std::vector<std::string> names;
      for (const auto& [name, policy] : state.policies) {
        names.push_back(name);
      }
      return names;
    });
  }
};

TEST_F(RuntimeTest, AnAnswerComesOnlyWhenItsEventIsInTheJournal) {
  const auto runtime = StartRuntime();
  absl::Notification answered;
  absl::Status copied = absl::UnknownError("no answer");
  ASSERT_THAT(runtime->Post(core::ApplyPolicy{PolicyOf("solar")},
                            [&](const Answer& answer) {
                              // A backup at the moment of the answer has the event.
                              copied = answer.status;
                              if (copied.ok()) {
                                copied = runtime->Backup(Path("at-answer.db"));
                              }
                              answered.Notify();
                            }),
              IsOk());
  ASSERT_TRUE(answered.WaitForNotificationWithTimeout(kPatience));
  ASSERT_THAT(copied, IsOk());
  RuntimeOptions options;
  options.journal_path = Path("at-answer.db");
  const auto copy = Runtime::Start(options, nullptr);
  ASSERT_THAT(copy, IsOk());
  EXPECT_THAT(PolicyNames(**copy), testing::ElementsAre("solar"));
}

TEST_F(RuntimeTest, AnAnsweredCommandSurvivesARestart) {
  {
    const auto runtime = StartRuntime();
    ASSERT_THAT(Ask(*runtime, core::ApplyPolicy{PolicyOf("solar")}).status, IsOk());
    AddModel(*runtime, "tiny");
    const Answer submitted = Ask(*runtime, core::SubmitJob{GenerateSpecOf("tiny"), "key-1"});
    ASSERT_THAT(submitted.status, IsOk());
    EXPECT_EQ(submitted.id, "j1");
  }
  const auto runtime = StartRuntime();
  EXPECT_THAT(PolicyNames(*runtime), testing::ElementsAre("solar"));
  const Answer repeated = Ask(*runtime, core::SubmitJob{GenerateSpecOf("tiny"), "key-1"});
  ASSERT_THAT(repeated.status, IsOk());
  EXPECT_EQ(repeated.id, "j1");
  EXPECT_TRUE(repeated.existed);
}

TEST_F(RuntimeTest, AFailedCommandChangesNothing) {
  const auto runtime = StartRuntime();
  EXPECT_THAT(Ask(*runtime, core::DeletePolicy{"none"}).status,
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
  EXPECT_EQ(runtime->counters().events, 0U);
}

// The child writes a byte for each answer of the runtime. The parent kills the child meanwhile.
TEST_F(RuntimeTest, KillAtAnyMomentLosesNothingThatWasAnswered) {
  for (const int kill_after : {1, 7, 40}) {
    std::filesystem::remove_all(Path("journal.db"));
    std::filesystem::remove_all(Path("journal.db-wal"));
    std::filesystem::remove_all(Path("journal.db-shm"));
    int pipes[2] = {};
    ASSERT_EQ(pipe(pipes), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      RuntimeOptions options;
      options.journal_path = Path("journal.db");
      auto runtime = Runtime::Start(options, nullptr);
      for (int i = 0; runtime.ok() && i < 100'000; ++i) {
        const std::string name = absl::StrCat("policy-", i);
        if ((*runtime)->PostAndWait(core::ApplyPolicy{PolicyOf(name)}, kPatience).status.ok()) {
          const char byte = 1;
          if (write(pipes[1], &byte, 1) != 1) {
            break;
          }
        }
      }
      _exit(1);
    }
    close(pipes[1]);
    int acknowledged = 0;
    char byte = 0;
    while (acknowledged < kill_after && read(pipes[0], &byte, 1) == 1) {
      ++acknowledged;
    }
    kill(child, SIGKILL);
    while (read(pipes[0], &byte, 1) == 1) {
      ++acknowledged;  // The runtime answered before the kill took effect.
    }
    close(pipes[0]);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    ASSERT_GE(acknowledged, kill_after);

    const auto runtime = StartRuntime();
    const std::vector<std::string> names = PolicyNames(*runtime);
    for (int i = 0; i < acknowledged; ++i) {
      EXPECT_THAT(names, testing::Contains(absl::StrCat("policy-", i)));
    }
    EXPECT_LE(names.size(), static_cast<size_t>(acknowledged) + 1) << "one may have been under way";
  }
}

// A file size limit of 0 acts like a full disk.
TEST_F(RuntimeTest, AFailedCommitEndsTheProcessWithoutAnAnswer) {
  absl::Notification failed;
  absl::Status failure;
  std::atomic<int> answers = 0;
  RuntimeOptions options;
  options.on_commit_failure = [&](const absl::Status& status) {
    failure = status;
    failed.Notify();
  };
  const auto runtime = StartRuntime(options);
  ASSERT_THAT(Ask(*runtime, core::ApplyPolicy{PolicyOf("before")}).status, IsOk());
  signal(SIGXFSZ, SIG_IGN);
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit full = {0, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &full), 0);
  ASSERT_THAT(
      runtime->Post(core::ApplyPolicy{PolicyOf("after")}, [&answers](const Answer&) { ++answers; }),
      IsOk());
  const bool notified = failed.WaitForNotificationWithTimeout(kPatience);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  ASSERT_TRUE(notified);
  EXPECT_FALSE(failure.ok());
  EXPECT_EQ(answers, 0);
  EXPECT_THAT(PolicyNames(*runtime), testing::ElementsAre("before")) << "readers never saw it";
}

TEST_F(RuntimeTest, ASubmittedJobIsPlannedAndAssigned) {
  LinkRecorder links;
  const auto runtime = StartRuntime({}, &links);
  AddModel(*runtime, "tiny");
  Connect(*runtime, "device-a");
  ASSERT_THAT(Ask(*runtime, core::SubmitJob{GenerateSpecOf("tiny"), "key"}).status, IsOk());
  v1::Assignment assignment;
  ASSERT_TRUE(links.WaitForAssignment("device-a", assignment));
  EXPECT_EQ(assignment.job_id(), "j1");
  EXPECT_GT(assignment.fencing_token(), 0);
}

TEST_F(RuntimeTest, AReportIsAcknowledgedAfterItsCommit) {
  LinkRecorder links;
  const auto runtime = StartRuntime({}, &links);
  Connect(*runtime, "device-a");
  core::WorkerReport command;
  command.device = DeviceId("device-a");
  command.incarnation = 1;
  command.report.set_sequence(1);
  command.report.mutable_ledger()->set_idle_energy_joules(5);
  ASSERT_THAT(Ask(*runtime, command).status, IsOk());
  EXPECT_TRUE(links.WaitForAcknowledgement("device-a", 1));
  command.report.set_sequence(3);
  EXPECT_THAT(Ask(*runtime, command).status,
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("2")));
}

TEST_F(RuntimeTest, ManyCallersShareCommits) {
  const auto runtime = StartRuntime();
  constexpr int kCallers = 4;
  constexpr int kEach = 50;
  std::vector<std::thread> callers;
  for (int caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back([&runtime, caller] {
      for (int i = 0; i < kEach; ++i) {
        EXPECT_TRUE(Ask(*runtime, core::ApplyPolicy{PolicyOf(absl::StrCat("p", caller, "-", i))})
                        .status.ok());
      }
    });
  }
  for (std::thread& caller : callers) {
    caller.join();
  }
  EXPECT_EQ(PolicyNames(*runtime).size(), size_t{kCallers * kEach});
  EXPECT_LE(runtime->counters().commits, runtime->counters().events);
}

// A storm of hellos while the core is at work: here in a check that waits for the test.
class StormTest : public RuntimeTest {
 protected:
  void Start(size_t queue_capacity) {
    RuntimeOptions options;
    options.command_queue_capacity = queue_capacity;
    options.tick_interval = options.plan_interval = absl::Hours(1);  // the queue is the test's
    options.check_model = [this](const v1::ArtifactInfo&) {
      if (waits_.exchange(false)) {
        reached_.Notify();
        go_on_.WaitForNotification();
      }
      return absl::OkStatus();
    };
    runtime_ = StartRuntime(options);
    AddModel(*runtime_, "tiny");
    waits_ = true;
    ASSERT_THAT(Post("submit", core::SubmitJob{GenerateSpecOf("tiny"), "key"}), IsOk());
    ASSERT_TRUE(reached_.WaitForNotificationWithTimeout(kPatience));
  }
  absl::Status Post(const std::string& name, core::Command command) {
    return runtime_->Post(std::move(command), [this, name](const Answer& answer) {
      EXPECT_THAT(answer.status, IsOk());
      answered_.push_back(name);
    });
  }
  absl::Status PostHello(int number) {
    const std::string device = absl::StrCat("device-", number);
    return Post(device, core::WorkerHello{HelloOf(device)});
  }
  // The answers in their order, once all have arrived.
  const std::vector<std::string>& Answered() {
    go_on_.Notify();
    runtime_->Stop();
    return answered_;
  }

  std::atomic<bool> waits_ = false;
  absl::Notification reached_;
  absl::Notification go_on_;
  std::vector<std::string> answered_;  // the outbound thread's until Stop
  std::unique_ptr<Runtime> runtime_;
};

TEST_F(StormTest, WhatPeopleAskForGoesAheadOfBoards) {
  Start(8192);
  for (int i = 0; i < 300; ++i) {
    ASSERT_THAT(PostHello(i), IsOk());
  }
  ASSERT_THAT(Post("policy", core::ApplyPolicy{PolicyOf("solar")}), IsOk());
  ASSERT_THAT(Answered(), testing::SizeIs(302));
  EXPECT_EQ(answered_[1], "policy");
  EXPECT_EQ(answered_[2], "device-0") << "boards keep their order";
  EXPECT_EQ(answered_[301], "device-299");
}

TEST_F(StormTest, NoFloodOfBoardsRefusesAPerson) {
  Start(4);
  for (int i = 0; i < 4; ++i) {
    ASSERT_THAT(PostHello(i), IsOk());
  }
  EXPECT_THAT(PostHello(4), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("busy")));
  EXPECT_THAT(Post("policy", core::ApplyPolicy{PolicyOf("solar")}), IsOk());
  EXPECT_THAT(Answered(), testing::SizeIs(6));
}

TEST_F(RuntimeTest, StopAnswersWhatWasTakenAndThenRefuses) {
  const auto runtime = StartRuntime();
  std::atomic<int> answers = 0;
  for (int i = 0; i < 20; ++i) {
    ASSERT_THAT(runtime->Post(core::ApplyPolicy{PolicyOf(absl::StrCat("p", i))},
                              [&answers](const Answer&) { ++answers; }),
                IsOk());
  }
  runtime->Stop();
  EXPECT_EQ(answers, 20);
  EXPECT_THAT(runtime->Post(core::Tick{}, nullptr),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("stopping")));
}

TEST_F(RuntimeTest, ASecondRuntimeOnTheJournalIsRefused) {
  const auto runtime = StartRuntime();
  RuntimeOptions options;
  options.journal_path = Path("journal.db");
  EXPECT_THAT(Runtime::Start(options, nullptr),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another")));
}

class DamagedSnapshotTest : public RuntimeTest {
 protected:
  // Writes the policies p0 to p9, one event each, and snapshots after p3 and p7.
  DamagedSnapshotTest() {
    const auto journal = store::Journal::Open(Path("journal.db"));
    EXPECT_THAT(journal, IsOk());
    core::State state;
    for (int i = 0; i < 10; ++i) {
      const core::Decision decision = core::Decide(
          state, core::ApplyPolicy{PolicyOf(absl::StrCat("p", i))}, {}, core::Instant());
      for (const v1::Event& event : decision.events) {
        core::Apply(state, event, core::kReplayed);
      }
      EXPECT_THAT((*journal)->Append(decision.events), IsOk());
      if (i == 3 || i == 7) {
        store::SnapshotToWrite snapshot;
        snapshot.sequence = state.last_sequence.value();
        snapshot.rows = [&state](const store::TakeRow& take) {
          return core::GiveSnapshotRows(state, take);
        };
        snapshot.check = [](const store::GiveRows&) { return absl::OkStatus(); };
        EXPECT_THAT((*journal)->WriteSnapshot(snapshot), IsOk());
      }
    }
  }
  void Damage(const std::string& where) {
    auto database = store::Database::Open(Path("journal.db"), SQLITE_OPEN_READWRITE);
    ASSERT_THAT(database, IsOk());
    ASSERT_THAT(
        database->Execute(absl::StrCat("UPDATE snapshot_rows SET record = x'00' WHERE ", where)),
        IsOk());
  }
};

TEST_F(DamagedSnapshotTest, TheOneBeforeIsUsedWithTheEventsSinceThen) {
  Damage("row = 2 AND sequence = (SELECT max(sequence) FROM snapshots)");
  EXPECT_EQ(PolicyNames(*StartRuntime()).size(), 10U);
}

TEST_F(DamagedSnapshotTest, WhereBothAreDamagedTheStartIsRefusedAndSaysWhatToDo) {
  Damage("row = 2");
  RuntimeOptions options;
  options.journal_path = Path("journal.db");
  EXPECT_THAT(Runtime::Start(options, nullptr),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("restore a backup")));
}

// The first start converts the file; the second finds it converted.
TEST_F(RuntimeTest, AJournalOfSchemaVersion1GoesOn) {
  core::State state;
  std::string snapshot;
  std::vector<v1::Event> after;
  for (int i = 0; i < 6; ++i) {
    const core::Decision decision =
        core::Decide(state, core::ApplyPolicy{PolicyOf(absl::StrCat("p", i))}, {}, core::Instant());
    for (const v1::Event& event : decision.events) {
      core::Apply(state, event, core::kReplayed);
    }
    if (i == 2) {
      snapshot = core::SnapshotBytes(state);
    } else if (i > 2) {
      after.insert(after.end(), decision.events.begin(), decision.events.end());
    }
  }
  ASSERT_THAT(
      store::MakeSchema1(Path("journal.db"), snapshot, store::Schema1Checksum(snapshot), after),
      IsOk());
  for (int start = 0; start < 2; ++start) {
    const auto runtime = StartRuntime();
    EXPECT_THAT(PolicyNames(*runtime), testing::IsSupersetOf({"p0", "p1", "p2", "p3", "p4", "p5"}));
    EXPECT_EQ(PolicyNames(*runtime).size(), 6U + static_cast<size_t>(start));
    ASSERT_THAT(Ask(*runtime, core::ApplyPolicy{PolicyOf(absl::StrCat("later-", start))}).status,
                IsOk());
  }
}

TEST_F(RuntimeTest, ASnapshotAndTheEventsAfterItGiveTheSameState) {
  RuntimeOptions options;
  options.snapshot_every_events = 5;
  {
    const auto runtime = StartRuntime(options);
    for (int i = 0; i < 12; ++i) {
      ASSERT_THAT(Ask(*runtime, core::ApplyPolicy{PolicyOf(absl::StrCat("p", i))}).status, IsOk());
    }
  }
  EXPECT_EQ(PolicyNames(*StartRuntime(options)).size(), 12U);
}

}  // namespace
}  // namespace wattle::runtime
