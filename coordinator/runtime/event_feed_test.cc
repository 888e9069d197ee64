// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests events as sentences, the bounded feed of them, and the joules of a span from the journal.
#include "coordinator/runtime/event_feed.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/runtime/overview.h"
#include "coordinator/runtime/testing/runtime_fixture.h"

namespace wattle::runtime {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string Tell(const std::string& text) {
  v1::Event event;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &event)) << text;
  const std::optional<v1::FleetEvent> told =
      EventTextOf(event, {.device_name = [](const std::string& id) { return "name-of-" + id; },
                          .device_of_attempt = [](const std::string& id) -> std::string {
                            return id == "j9.1" ? "" : "d1";
                          },
                          .ended_unix_seconds = [](const std::string& /*id*/) { return 500.0; }});
  return told.has_value() ? told->text() : "";
}

TEST(EventTextTest, IsOneSentenceWithoutInternalNames) {
  EXPECT_EQ(Tell("job_submitted { job_id: 'j1' spec { owner: 'ada' name: 'n' evaluate {} } }"),
            "j1 submitted by ada: evaluate n");
  EXPECT_EQ(Tell("job_state_changed { job_id: 'j1' state: JOB_STATE_CANCELLED reason: 'by ada' }"),
            "j1 cancelled: by ada");
  EXPECT_EQ(
      Tell("attempt_state_changed { attempt_id: 'j1.2' state: ATTEMPT_STATE_FINISHED receipt { "
           "total { gross_energy_joules: 49.1 source: ENERGY_SOURCE_MODEL } } }"),
      "j1.2 finished on name-of-d1; 49.1 J modelled");
  EXPECT_EQ(Tell("attempt_state_changed { attempt_id: 'j9.1' state: ATTEMPT_STATE_FAILED }"),
            "j9.1 failed")
      << "its job has left the state";
  EXPECT_EQ(Tell("attempt_state_changed { attempt_id: 'j1.2' state: ATTEMPT_STATE_RUNNING reason: "
                 "'running' }"),
            "j1.2 running on name-of-d1");
  EXPECT_EQ(Tell("attempt_released { attempt_id: 'j1.2' reason: 'drained' }"),
            "j1.2 is to leave name-of-d1: drained");
  EXPECT_EQ(Tell("device_drained { device_id: 'd1' reason: 'fan' }"), "name-of-d1 drained: fan");
  EXPECT_EQ(Tell("device_problem_changed { device_id: 'd1' problem: 'two boards' }"),
            "name-of-d1 has a problem: two boards");
  EXPECT_EQ(Tell("artifact_removed { artifact_id: 'abc' names: 'tiny' }"), "artifact tiny removed");
  EXPECT_EQ(Tell("restore_finding { device_id: 'd1' attempt_id: 'j1.2' text: 'j1.2 goes on' }"),
            "after the restore: j1.2 goes on");
}

// The first two are of an attempt that the coordinator ended at its timeout.
TEST(EventTextTest, ALateReceiptIsNoSecondEnd) {
  const std::string failed =
      "attempt_state_changed { attempt_id: 'j1.2' state: ATTEMPT_STATE_FAILED reason: 'too long' ";
  EXPECT_EQ(Tell("at_unix_seconds: 500 " + failed + "receipt { device_id: 'd1' } }"),
            "j1.2 failed on name-of-d1: too long");
  const std::string receipt =
      "receipt { total { gross_energy_joules: 49.1 source: ENERGY_SOURCE_INA3221 } } }";
  EXPECT_EQ(Tell("at_unix_seconds: 501 " + failed + receipt),
            "the receipt of j1.2 came late from name-of-d1: 49.1 J measured");
  EXPECT_EQ(Tell("at_unix_seconds: 500 " + failed + receipt),
            "j1.2 failed on name-of-d1: too long; 49.1 J measured");
  EXPECT_EQ(Tell("report_accepted { device_id: 'd1' note: 'late: j1.2 failed; its energy is "
                 "booked' }"),
            "name-of-d1 sent a late report: j1.2 failed; its energy is booked");
  EXPECT_EQ(Tell("report_accepted { device_id: 'd1' note: 'ledger: went back' }"),
            "name-of-d1 sent a report that changed nothing: ledger: went back");
}

TEST(EventTextTest, ACheckpointIsNoOutput) {
  const std::string stored = "artifact_committed { info { job_id: 'j6' size_bytes: 1000 kind: ";
  EXPECT_EQ(Tell(stored + "ARTIFACT_KIND_CHECKPOINT } }"), "a checkpoint of j6 stored: 1000 B");
  EXPECT_EQ(Tell(stored + "ARTIFACT_KIND_RESULT } }"), "the output of j6 stored: 1000 B");
}

TEST(EventTextTest, RefusalsAreOneLineWithTheirCounts) {
  EXPECT_EQ(Tell("at_unix_seconds: 160 refusals_counted { begin_unix_seconds: 100 other_calls: 3 "
                 "callers { who: 'person eve' method: 'GET /sd' calls: 30 reason: 'no role' } "
                 "callers { who: 'address 192.0.2.7' method: 'GET /metrics' calls: 1 } }"),
            "34 calls were refused within 60 s: person eve 30 times GET /sd (no role), address "
            "192.0.2.7 GET /metrics, 3 other calls");
}

TEST(EventTextTest, ATokenOfBeforeARestoreIsNoNewOne) {
  const std::string token =
      "token_created { token { token_id: 't1' kind: 'device' created_by: "
      "'ann' uses: 4 ";
  EXPECT_EQ(Tell(token + "} }"), "ann made the token t1 for 4 devices");
  EXPECT_EQ(Tell(token + "used: 3 } }"), "the token t1 was used 3 of 4 times before the restore");
}

TEST(EventTextTest, BookkeepingEventsAreNotShown) {
  EXPECT_EQ(Tell("report_accepted { device_id: 'd1' sequence: 4 }"), "");
  EXPECT_EQ(Tell("ledger_recorded { device_id: 'd1' }"), "");
  EXPECT_EQ(Tell("journal_opened { lineage_id: 'ab' }"), "") << "a journal that began";
  EXPECT_EQ(Tell("journal_opened { epoch: 2 reason: 'restored' }"),
            "the journal goes on under epoch 2: restored");
}

class EventFeedTest : public RuntimeFixture {
 protected:
  void Start() {
    feed_.reset();
    journal_.reset();
    runtime_.reset();
    runtime_ = StartRuntime();
    auto journal = store::JournalReader::Open(Path("journal.db"));
    ASSERT_TRUE(journal.ok()) << journal.status();
    journal_ = *std::move(journal);
    feed_ = std::make_unique<EventFeed>(*runtime_, *journal_);
  }
  void Apply(const std::string& policy) {
    ASSERT_THAT(Ask(*runtime_, core::ApplyPolicy{PolicyOf(policy)}).status, IsOk());
  }
  std::vector<std::string> Texts(int64_t from = 1, size_t events_max = 2000) {
    std::vector<std::string> texts;
    for (const v1::FleetEvent& event : feed_->Read(from, events_max).events) {
      texts.push_back(event.text());
    }
    return texts;
  }

  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<store::JournalReader> journal_;
  std::unique_ptr<EventFeed> feed_;
};

TEST_F(EventFeedTest, ALookReturnsTheEventsSinceTheLastLook) {
  Start();
  ASSERT_THAT(feed_->Look(), IsOk());
  EXPECT_THAT(Texts(), IsEmpty());
  AddModel(*runtime_, "tiny");
  ASSERT_THAT(feed_->Look(), IsOk());
  ASSERT_THAT(feed_->Look(), IsOk());
  EXPECT_THAT(Texts(), ElementsAre("artifact tiny stored: 1000 B"));
}

TEST_F(EventFeedTest, OutlivesARestart) {
  Start();
  AddModel(*runtime_, "tiny");
  Start();
  ASSERT_THAT(feed_->Look(), IsOk());
  EXPECT_THAT(Texts(), ElementsAre("artifact tiny stored: 1000 B"));
}

TEST_F(EventFeedTest, ShowsConnectionsThatOpenedAndClosed) {
  Start();
  Connect(*runtime_, "device-a", "nano");
  ASSERT_THAT(feed_->Look(), IsOk());
  const auto slot = runtime_->heartbeats().SlotFor(DeviceId("device-a"));
  ASSERT_TRUE(slot->Disconnected(slot->Connected(runtime_->Now())));
  ASSERT_THAT(feed_->Look(), IsOk());
  EXPECT_THAT(Texts(), ElementsAre("nano registered: jetson-orin-nano (emulated), worker 0.1.0",
                                   "nano connected", "nano lost its connection"));
}

TEST_F(EventFeedTest, ARefusedCallIsOneLineOfTextForWhoeverSeesAll) {
  Start();
  feed_->TellRefusal("person eve was refused /Revoke: no\nrole");
  const std::vector<v1::FleetEvent> events = feed_->Read(1, 10).events;
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].kind(), "call_refused");
  EXPECT_THAT(events[0].text(), HasSubstr("person eve was refused /Revoke: no"));
  EXPECT_THAT(events[0].text(), testing::Not(HasSubstr("\n")));
  EXPECT_GT(events[0].at_unix_seconds(), 0);
  const auto overview = Overview::Open(*runtime_);
  ASSERT_THAT(overview, IsOk());
  EXPECT_TRUE((*overview)->Covers(core::Scope::All(), events[0]));
  EXPECT_FALSE((*overview)->Covers(core::Scope::Of({"default"}), events[0]));
}

TEST_F(EventFeedTest, ARefusalIsToldAfterWhatMadeIt) {
  Start();
  ASSERT_THAT(feed_->Look(), IsOk());
  Apply("no-more-calls");
  feed_->TellRefusal("person mia was refused /ListJobs");
  EXPECT_THAT(Texts(),
              ElementsAre("policy no-more-calls applied", "person mia was refused /ListJobs"));
  ASSERT_THAT(feed_->Look(), IsOk());
  EXPECT_EQ(Texts().size(), 2U) << "each is told once";
}

TEST_F(EventFeedTest, AFloodOfRefusalsDisplacesNoEvent) {
  Start();
  Apply("solar");
  ASSERT_THAT(feed_->Look(), IsOk());
  constexpr int kMany = static_cast<int>(EventFeed::kEventsMax) + 100;
  for (int i = 0; i < kMany; ++i) {
    feed_->TellRefusal(absl::StrCat("stranger ", i));
  }
  Apply("wind");
  ASSERT_THAT(feed_->Look(), IsOk());
  const std::vector<std::string> texts = Texts();
  EXPECT_EQ(texts.size(), 2 + EventFeed::kRefusalsMax);
  EXPECT_EQ(texts.front(), "policy solar applied");
  EXPECT_EQ(texts[1], absl::StrCat("stranger ", kMany - EventFeed::kRefusalsMax));
  EXPECT_EQ(texts.back(), "policy wind applied");
  EXPECT_EQ(feed_->Read(feed_->FirstOf(2, 0), 1).events[0].text(), "policy solar applied");
  const EventFeed::Page page = feed_->Read(1, 3);
  EXPECT_EQ(Texts(page.next).size(), texts.size() - 3);
}

TEST_F(EventFeedTest, TheAuditReachesBackBeyondTheMemory) {
  Start();
  Apply("solar");
  Connect(*runtime_, "device-a", "nano");
  for (int i = 0; i < static_cast<int>(EventFeed::kEventsMax); ++i) {
    // Work that is no audit.
    core::WorkerReport report;
    report.device = DeviceId("device-a");
    report.incarnation = HelloOf("device-a").incarnation();
    report.report.set_sequence(i + 1);
    report.report.mutable_ledger()->set_idle_energy_joules(i);
    ASSERT_THAT(Ask(*runtime_, report).status, IsOk());
  }
  Start();
  feed_->TellRefusal("person eve was refused");
  const auto audited = feed_->Audited(10, 0);
  ASSERT_THAT(audited, IsOk());
  std::vector<std::string> texts;
  for (const v1::FleetEvent& event : audited->events) {
    texts.push_back(event.text());
  }
  EXPECT_THAT(texts, ElementsAre("policy solar applied", "person eve was refused"));
  Apply("wind");
  ASSERT_THAT(feed_->Look(), IsOk());
  EXPECT_THAT(Texts(audited->next), ElementsAre("policy wind applied"));
  EXPECT_THAT(feed_->Audited(1, 0)->events.back().text(), "policy wind applied");
  EXPECT_THAT(feed_->Audited(10, 1e18)->events, IsEmpty()) << "none is that young";
}

// A stranger makes one a minute, for as long as they like.
TEST_F(EventFeedTest, CountedRefusalsDisplaceNothingInTheAudit) {
  Start();
  Apply("solar");
  for (int i = 0; i < static_cast<int>(EventFeed::kRefusalsMax) + 1; ++i) {
    core::CountRefusals count;
    count.counted.set_other_calls(i + 1);
    ASSERT_THAT(Ask(*runtime_, count).status, IsOk());
  }
  Apply("wind");
  ASSERT_THAT(feed_->Look(), IsOk());
  EXPECT_EQ(feed_->Read(feed_->FirstOf(2, 0), 1).events[0].text(), "policy solar applied");
  EXPECT_EQ(Texts().size(), 2 + EventFeed::kRefusalsMax);
  const auto kinds = [this](size_t limit) {
    const auto page = feed_->Audited(limit, 0);
    EXPECT_THAT(page, IsOk());
    std::vector<std::string> told;
    for (const v1::FleetEvent& event : page->events) {
      told.push_back(event.kind());
    }
    return told;
  };
  const std::vector<std::string> all = kinds(1000);
  EXPECT_EQ(all.size(), 2 + EventFeed::kRefusalsMax);
  EXPECT_EQ(all.front(), "policy_applied");
  EXPECT_EQ(all[1], "refusals_counted");
  EXPECT_EQ(all.back(), "policy_applied");
  EXPECT_THAT(kinds(2), ElementsAre("policy_applied", "refusals_counted", "refusals_counted",
                                    "policy_applied"));
}

// Others get no such event, just as `access ls` is refused to them.
TEST_F(EventFeedTest, WhoMayEnterIsToldToWhoeverMayListIt) {
  Start();
  const auto overview = Overview::Open(*runtime_);
  ASSERT_THAT(overview, IsOk());
  for (const char* kind : {"token_created", "token_revoked", "identity_enrolled",
                           "identity_renewed", "identity_revoked", "authority_rotated",
                           "authority_retired", "call_refused", "refusals_counted"}) {
    v1::FleetEvent event;
    event.set_kind(kind);
    EXPECT_TRUE((*overview)->Covers(core::Scope::All(), event)) << kind;
    EXPECT_FALSE((*overview)->Covers(core::Scope::Of({"default"}), event)) << kind;
  }
  for (const char* kind : {"device_approved", "policy_applied", "upgrade_started"}) {
    v1::FleetEvent event;
    event.set_kind(kind);
    EXPECT_TRUE((*overview)->Covers(core::Scope::Of({"default"}), event)) << kind;
  }
}

TEST_F(EventFeedTest, PagesAndForgetsTheOldest) {
  Start();
  constexpr int kMore = 5;
  for (int i = 0; i < static_cast<int>(EventFeed::kEventsMax) + kMore; ++i) {
    Apply(absl::StrCat("p", i));
    if (i % 100 == 0) {
      ASSERT_THAT(feed_->Look(), IsOk());
    }
  }
  ASSERT_THAT(feed_->Look(), IsOk());
  EXPECT_THAT(Texts(1, 1), ElementsAre(absl::StrCat("policy p", kMore, " applied")));
  const int64_t first = feed_->FirstOf(3, 0);
  const EventFeed::Page page = feed_->Read(first, 2);
  EXPECT_EQ(page.events.size(), 2U);
  EXPECT_THAT(Texts(page.next), ElementsAre("policy p1004 applied"));
  EXPECT_THAT(Texts(feed_->FirstOf(10, 1e18)), IsEmpty()) << "none is that young";
  EXPECT_TRUE(feed_->WaitFor(first, absl::ZeroDuration()));
  EXPECT_FALSE(feed_->WaitFor(page.next + 1, absl::ZeroDuration()));
}

TEST_F(EventFeedTest, WhoWaitsIsWokenByTheNextLook) {
  Start();
  ASSERT_THAT(feed_->Look(), IsOk());
  std::thread looks([this] {
    Apply("later");
    EXPECT_THAT(feed_->Look(), IsOk());
  });
  EXPECT_TRUE(feed_->WaitFor(feed_->FirstOf(0, 0), kPatience));
  looks.join();
  EXPECT_THAT(Texts(), Contains("policy later applied"));
}

class OverviewTest : public RuntimeFixture {};

TEST_F(OverviewTest, TheJournalTellsTheLedgersOfASpan) {
  const auto runtime = StartRuntime();
  Connect(*runtime, "device-a", "nano");
  core::WorkerReport report;
  report.device = DeviceId("device-a");
  report.incarnation = HelloOf("device-a").incarnation();
  report.report.set_sequence(1);
  report.report.mutable_ledger()->set_idle_energy_joules(12.5);
  ASSERT_THAT(Ask(*runtime, report).status, IsOk());
  auto overview = Overview::Open(*runtime);
  ASSERT_TRUE(overview.ok()) << overview.status();
  v1::ReportEnergyRequest request;
  request.set_by(v1::ENERGY_GROUPING_DEVICE);
  const auto energy = (*overview)->ReportEnergy(request, core::Scope::All());
  ASSERT_TRUE(energy.ok()) << energy.status();
  ASSERT_EQ(energy->rows_size(), 1);
  EXPECT_EQ(energy->rows(0).label(), "nano");
  EXPECT_DOUBLE_EQ(energy->rows(0).idle_energy_joules(), 12.5);
  EXPECT_DOUBLE_EQ(energy->total().idle_energy_joules(), 12.5);
  request.set_until_unix_seconds(1.0);
  EXPECT_THAT((*overview)->ReportEnergy(request, core::Scope::All())->rows(), IsEmpty())
      << "before the record";
  request.set_since_unix_seconds(2.0);
  EXPECT_THAT((*overview)->ReportEnergy(request, core::Scope::All()).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("since before until")));
}

TEST_F(OverviewTest, AStateThatWasNeverRestoredHasEpochZero) {
  const auto runtime = StartRuntime();
  auto overview = Overview::Open(*runtime);
  ASSERT_TRUE(overview.ok()) << overview.status();
  const auto status = (*overview)->GetCoordinator({});
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->epoch(), 0);
  EXPECT_EQ(status->restored_reason(), "");
  EXPECT_TRUE(status->has_data_space());
  EXPECT_GT(status->data_size_bytes(), status->data_free_bytes());
  EXPECT_EQ(status->last_sequence(), 1) << "the journal was opened";
}

TEST_F(OverviewTest, ARestoredJournalSaysSo) {
  {
    const auto runtime = StartRuntime();
    AddModel(*runtime, "tiny");
    ASSERT_THAT(runtime->Backup(Path("copy.db")), IsOk());
  }
  RuntimeOptions options;
  options.journal_path = Path("copy.db");
  auto copy = Runtime::Start(options, nullptr);
  ASSERT_TRUE(copy.ok()) << copy.status();
  auto overview = Overview::Open(**copy);
  ASSERT_TRUE(overview.ok()) << overview.status();
  const auto status = (*overview)->GetCoordinator({});
  EXPECT_EQ(status->epoch(), 1);
  EXPECT_GT(status->restored_unix_seconds(), 0);
  EXPECT_EQ(status->restored_reason(), "started on a copy of the journal");
}

}  // namespace
}  // namespace wattle::runtime
