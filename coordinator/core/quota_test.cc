// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/quota.h"

#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/testing/fleet_for_test.h"

namespace wattle::core {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// A fleet of one board, of which ann and bob are people.
class QuotaTest : public testing::Test {
 protected:
  QuotaTest() {
    for (const char* person : {"ann", "bob"}) {
      v1::EnrolmentToken token;
      token.set_token_id(person);
      token.set_kind(kPersonKind);
      token.set_person(person);
      token.set_uses(1);
      token.set_expires_unix_seconds(ToUnix(Now().wall) + 60);
      Enrol enrol;
      enrol.identity.set_token_id(person);
      Do(fleet_.state, fleet_.observations, CreateTokens{{token}});
      Do(fleet_.state, fleet_.observations, enrol);
    }
  }
  absl::Status Set(const v1::Quota& quota) {
    const Decision decision =
        Decide(fleet_.state, SetQuota{quota, "root"}, fleet_.observations, Now());
    for (const v1::Event& event : decision.events) {
      Apply(fleet_.state, event, Now().monotonic);
    }
    events_ = decision.events.size();
    // A snapshot keeps the quotas.
    fleet_.state = *ParseSnapshot(SnapshotBytes(fleet_.state));
    return decision.status;
  }
  absl::Status Submit(const std::string& owner, double seconds = 0) {
    return SubmitAt(owner, Now(seconds));
  }
  absl::Status SubmitAt(const std::string& owner, const Instant& now) {
    SubmitJob submit = {Finetune(), absl::StrCat("key-", ++keys_)};
    submit.spec.set_owner(owner);
    const Decision decision = Decide(fleet_.state, submit, fleet_.observations, now);
    for (const v1::Event& event : decision.events) {
      Apply(fleet_.state, event, now.monotonic);
    }
    return decision.status;
  }
  // The first attempt of job j1 ends with these joules.
  void RunFirst(double joules, double seconds, v1::FailureClass failure) {
    Do(fleet_.state, fleet_.observations,
       ComputePlan(MakeSnapshot(fleet_.state, fleet_.observations, {}, Now())));
    WorkerReport report = {DeviceId("device-1"), 1, {}};
    report.report.set_sequence(1);
    v1::AttemptFailed& failed = *report.report.mutable_failed();
    failed.set_attempt_id("j1.1");
    failed.set_fencing_token(FindAttempt(fleet_.state, AttemptId("j1.1"))->fencing_token());
    failed.set_failure_class(failure);
    failed.mutable_receipt()->mutable_total()->set_gross_energy_joules(joules);
    Do(fleet_.state, fleet_.observations, report, Now(seconds));
  }
  static v1::Quota Of(const std::string& owner) {
    v1::Quota quota;
    quota.set_owner(owner);
    return quota;
  }

  Fleet fleet_;
  size_t events_ = 0;
  int keys_ = 0;
};

TEST_F(QuotaTest, OpenJobsAreCountedByOwner) {
  v1::Quota quota = Of("ann");
  quota.set_open_jobs_max(2);
  ASSERT_THAT(Set(quota), IsOk());
  EXPECT_THAT(Submit("ann"), IsOk());
  EXPECT_THAT(Submit("ann"), IsOk());
  EXPECT_THAT(Submit("ann"),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       "quota of ann: 2 of 2 open jobs; an admin raises it: wattle quota set ann "
                       "--open-jobs N"));
  EXPECT_THAT(Submit("bob"), IsOk()) << "bob has no quota";
  Do(fleet_.state, fleet_.observations, CancelJob{JobId("j1"), ""});
  EXPECT_THAT(Submit("ann"), IsOk()) << "a job of hers has ended";
}

TEST_F(QuotaTest, ARepeatedSubmitIsAnsweredBeyondTheQuota) {
  v1::Quota quota = Of("ann");
  quota.set_open_jobs_max(1);
  ASSERT_THAT(Set(quota), IsOk());
  ASSERT_THAT(Submit("ann"), IsOk());
  keys_ = 0;
  EXPECT_THAT(Submit("ann"), IsOk()) << "the same job, whose answer was lost";
}

TEST_F(QuotaTest, SubmitsOfAMinuteAreCountedByTheTimesOfTheirEvents) {
  v1::Quota quota = Of("ann");
  quota.set_submits_per_minute_max(2);
  ASSERT_THAT(Set(quota), IsOk());
  EXPECT_THAT(Submit("ann", 0), IsOk());
  EXPECT_THAT(Submit("ann", 30), IsOk());
  EXPECT_THAT(Submit("bob", 31), IsOk());
  EXPECT_THAT(Submit("ann", 59), StatusIs(absl::StatusCode::kResourceExhausted,
                                          AllOf(HasSubstr("2 of 2 submits in the last minute"),
                                                HasSubstr("--submits-per-minute N"))));
  // An ended job was submitted all the same.
  Do(fleet_.state, fleet_.observations, CancelJob{JobId("j2"), ""}, Now(59));
  EXPECT_THAT(Submit("ann", 59), StatusIs(absl::StatusCode::kResourceExhausted, testing::_));
  EXPECT_THAT(Submit("ann", 60), IsOk());
  // The clock is set back by a day: jobs of the future do not keep her out for a day.
  EXPECT_THAT(SubmitAt("ann", Stepped(Now(61), -absl::Hours(24))), IsOk());
}

TEST_F(QuotaTest, EnergyCountsWhatEndedTodayAndWhatOpenJobsAreExpectedToTake) {
  ASSERT_THAT(Submit("ann"), IsOk());
  const Joules expected = EnergyOfToday(fleet_.state, fleet_.observations, {.owner = "ann"}, Now());
  ASSERT_GT(expected.value(), 0) << "a queued job of which no plan has told yet";
  EXPECT_EQ(EnergyOfToday(fleet_.state, fleet_.observations, {.owner = "bob"}, Now()).value(), 0);

  Do(fleet_.state, fleet_.observations,
     ComputePlan(MakeSnapshot(fleet_.state, fleet_.observations, {}, Now())));
  ASSERT_NE(FindAttempt(fleet_.state, AttemptId("j1.1")), nullptr);
  EXPECT_NEAR(EnergyOfToday(fleet_.state, fleet_.observations, {.owner = "ann"}, Now()).value(),
              expected.value(), 0.01 * expected.value())
      << "a placed job";

  RunFirst(500, 10, v1::FAILURE_CLASS_JOB);
  ASSERT_TRUE(IsTerminal(FindJob(fleet_.state, JobId("j1"))->job().state()));
  EXPECT_EQ(EnergyOfToday(fleet_.state, fleet_.observations, {.owner = "ann"}, Now(20)).value(),
            500);
  // Now() is 13:46:40 UTC: ten hours and 13:20 minutes are left of its day.
  EXPECT_EQ(EnergyOfToday(fleet_.state, fleet_.observations, {.owner = "ann"}, Now(36'799)).value(),
            500);
  EXPECT_EQ(EnergyOfToday(fleet_.state, fleet_.observations, {.owner = "ann"}, Now(36'800)).value(),
            0);
}

TEST_F(QuotaTest, AnOpenJobCountsWhatItsAttemptsTookTodayAndWhatIsToCome) {
  ASSERT_THAT(Submit("ann"), IsOk());
  const Joules expected = EnergyOfToday(fleet_.state, fleet_.observations, {.owner = "ann"}, Now());
  RunFirst(500, 10, v1::FAILURE_CLASS_DEVICE);
  ASSERT_FALSE(IsTerminal(FindJob(fleet_.state, JobId("j1"))->job().state()));
  const auto energy = [&](double seconds) {
    return EnergyOfToday(fleet_.state, fleet_.observations, {.owner = "ann"}, Now(seconds)).value();
  };
  EXPECT_NEAR(energy(20), 500 + expected.value(), 0.01 * expected.value());
  EXPECT_NEAR(energy(36'800), expected.value(), 0.01 * expected.value()) << "the next day";
}

TEST_F(QuotaTest, AJobThatWouldExceedTheDaysEnergyIsRefused) {
  ASSERT_THAT(Submit("bob"), IsOk());
  const Joules one = EnergyOfToday(fleet_.state, fleet_.observations, {.owner = "bob"}, Now());
  v1::Quota quota = Of("ann");
  quota.set_energy_wh_per_day_max(ToWattHours(one) * 2.5);
  ASSERT_THAT(Set(quota), IsOk());
  EXPECT_THAT(Submit("ann"), IsOk());
  EXPECT_THAT(Submit("ann"), IsOk());
  EXPECT_THAT(Submit("ann"),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("of this day (UTC) are used or promised to open jobs"),
                             HasSubstr("wattle quota set ann --energy-wh-per-day X"))));
}

TEST_F(QuotaTest, EverybodysQuotaIsForThoseWithoutTheirOwn) {
  v1::Quota everybody = Of(kEverybodysQuota);
  everybody.set_open_jobs_max(1);
  v1::Quota ann = Of("ann");
  ann.set_open_jobs_max(3);
  ASSERT_THAT(Set(everybody), IsOk());
  ASSERT_THAT(Set(ann), IsOk());
  EXPECT_THAT(Submit("ann"), IsOk());
  EXPECT_THAT(Submit("ann"), IsOk());
  EXPECT_THAT(Submit("bob"), IsOk()) << "ann's jobs are not his";
  EXPECT_THAT(Submit("bob"), StatusIs(absl::StatusCode::kResourceExhausted,
                                      HasSubstr("quota of bob: 1 of 1 open jobs")));
  const v1::QuotaUse use =
      DescribeQuota(fleet_.state, fleet_.observations, {.owner = "bob"}, Now());
  EXPECT_EQ(use.quota().owner(), "bob");
  EXPECT_EQ(use.quota().open_jobs_max(), 1);
  EXPECT_EQ(use.open_jobs(), 1);
  // A quota without a limit removes it.
  ASSERT_THAT(Set(Of(kEverybodysQuota)), IsOk());
  EXPECT_THAT(Submit("bob"), IsOk());
  EXPECT_THAT(Set(Of(kEverybodysQuota)), StatusIs(absl::StatusCode::kNotFound, testing::_));
}

TEST_F(QuotaTest, BytesOfArtifactsCountWhatAPersonPushedAndWhatTheirJobsMade) {
  v1::Quota quota;
  quota.set_owner("ann");
  quota.set_artifact_bytes_max(1000);
  ASSERT_THAT(Set(quota), IsOk());
  const auto push = [&](const std::string& id, const std::string& by, int64_t bytes) {
    v1::ArtifactInfo info;
    info.set_artifact_id(id);
    info.set_kind(v1::ARTIFACT_KIND_RESULT);
    info.set_pushed_by(by);
    info.set_job_id(by.empty() ? "j1" : "");
    info.set_size_bytes(bytes);
    const Decision decision =
        Decide(fleet_.state, CommitArtifact{info}, fleet_.observations, Now());
    for (const v1::Event& event : decision.events) {
      Apply(fleet_.state, event, Now().monotonic);
    }
    return decision.status;
  };
  EXPECT_THAT(push("a1", "ann", 600), IsOk());
  EXPECT_THAT(push("a2", "ann", 401),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("quota of ann: 600 B of 1000 B of artifacts, and this one "
                                       "has 401 B"),
                             HasSubstr("wattle quota set ann --artifact-gib X"))));
  EXPECT_THAT(push("a1", "ann", 600), IsOk());  // The same bytes again.
  EXPECT_THAT(push("a3", "bob", 5000), IsOk());
  ASSERT_THAT(Submit("ann"), IsOk());
  EXPECT_THAT(push("a4", "", 5000), IsOk());  // The output of ann's job is kept and counts.
  EXPECT_EQ(ArtifactBytesOf(fleet_.state, {.owner = "ann"}), 5600);
  EXPECT_EQ(
      DescribeQuota(fleet_.state, fleet_.observations, {.owner = "ann"}, Now()).artifact_bytes(),
      5600);
  EXPECT_THAT(Submit("ann"), StatusIs(absl::StatusCode::kResourceExhausted,
                                      HasSubstr("of artifacts; remove some")));
  EXPECT_THAT(Submit("bob"), IsOk());
  quota.set_artifact_bytes_max(-1);
  EXPECT_THAT(Set(quota),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("artifact_bytes_max: -1")));
}

TEST_F(QuotaTest, BadQuotasAreRefusedByField) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double energy : {nan, -1.0, 2e6, std::numeric_limits<double>::infinity()}) {
    v1::Quota quota = Of("ann");
    quota.set_energy_wh_per_day_max(energy);
    EXPECT_THAT(Set(quota),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("energy_wh_per_day_max")));
  }
  v1::Quota quota = Of("ann");
  quota.set_open_jobs_max(-1);
  EXPECT_THAT(Set(quota),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("open_jobs_max: -1")));
  quota = Of("ann");
  quota.set_submits_per_minute_max(-1);
  EXPECT_THAT(Set(quota),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("submits_per_minute_max")));
  quota = Of("ann");
  quota.set_artifact_bytes_max(-1);
  EXPECT_THAT(Set(quota),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("artifact_bytes_max: -1")));
  quota = Of("eve");
  quota.set_open_jobs_max(1);
  EXPECT_THAT(Set(quota),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no person \"eve\" has logged in")));
  quota = Of("ann");
  quota.set_open_jobs_max(1);
  EXPECT_THAT(Set(quota), IsOk());
  EXPECT_EQ(events_, 1U);
  EXPECT_THAT(Set(quota), IsOk());
  EXPECT_EQ(events_, 0U) << "nothing changes";
}

}  // namespace
}  // namespace wattle::core
