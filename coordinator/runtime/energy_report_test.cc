// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/runtime/energy_report.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::runtime {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr double kDay = 86400.0;

struct Spent {
  double at = 0.0;
  double gross = 0.0;
  double net = 0.0;
  bool idle_known = true;
  std::string device = "nano";
};

v1::Job JobOf(const std::string& id, const std::string& owner, const std::vector<Spent>& attempts) {
  v1::Job job;
  job.set_job_id(id);
  job.mutable_spec()->set_owner(owner);
  job.mutable_spec()->set_name("name of " + id);
  for (const Spent& spent : attempts) {
    v1::Attempt& attempt = *job.add_attempts();
    attempt.set_device_id(spent.device);
    attempt.set_finished_unix_seconds(spent.at);
    v1::EnergyMeasurement& total = *attempt.mutable_receipt()->mutable_total();
    attempt.mutable_receipt()->set_device_class(spent.device == "nano" ? "orin" : "pi");
    total.set_gross_energy_joules(spent.gross);
    total.set_net_energy_joules(spent.net);
    total.set_idle_known(spent.idle_known);
    total.set_missing_energy_joules(1.0);
    total.set_seconds(10.0);
    total.set_source(spent.device == "nano" ? v1::ENERGY_SOURCE_INA3221 : v1::ENERGY_SOURCE_MODEL);
  }
  return job;
}

store::LedgerAt LedgerOf(const std::string& device, int64_t day, double idle, double overhead) {
  store::LedgerAt at;
  at.device_id = device;
  at.day = day;
  at.ledger.set_idle_energy_joules(idle);
  at.ledger.set_overhead_energy_joules(overhead);
  return at;
}

class EnergyReportTest : public testing::Test {
 protected:
  v1::EnergyReport Report(v1::EnergyGrouping by, double since = 0.0, double until = 0.0) {
    v1::ReportEnergyRequest request;
    request.set_by(by);
    request.set_since_unix_seconds(since);
    request.set_until_unix_seconds(until);
    v1::DeviceInfo nano;
    nano.set_name("nano-1");
    nano.set_device_class("orin");
    nano.set_energy_source(v1::ENERGY_SOURCE_INA3221);
    EnergyReportBuilder builder(request, {{"nano", nano}});
    // j1 failed once on the Pi, then ran on the Nano a day later.
    builder.Add(JobOf("j1", "ada", {{100.0, 45.2, 0.0, false, "pi"}, {kDay + 100, 3.8, 2.0}}));
    builder.Add(JobOf("j2", "bob", {{kDay + 200, 60.0, 40.0}}));
    builder.Add(span_);
    return builder.Build();
  }
  LedgerSpan span_;
};

TEST_F(EnergyReportTest, AJobIsAllOfItsAttempts) {
  const v1::EnergyReport report = Report(v1::ENERGY_GROUPING_JOB);
  ASSERT_EQ(report.rows_size(), 2);
  EXPECT_EQ(report.rows(0).key(), "j2") << "the most joules first";
  EXPECT_EQ(report.rows(1).key(), "j1");
  EXPECT_EQ(report.rows(1).label(), "name of j1");
  EXPECT_DOUBLE_EQ(report.rows(1).gross_energy_joules(), 49.0);
  EXPECT_EQ(report.rows(1).attempts(), 2);
  EXPECT_DOUBLE_EQ(report.rows(1).missing_energy_joules(), 2.0);
  EXPECT_THAT(report.rows(1).sources(),
              ElementsAre(v1::ENERGY_SOURCE_INA3221, v1::ENERGY_SOURCE_MODEL));
  EXPECT_FALSE(report.rows(1).net_known()) << "the Pi's idle draw was not known";
  EXPECT_TRUE(report.rows(0).net_known());
  EXPECT_FALSE(report.rows(0).has_ledger());
  EXPECT_DOUBLE_EQ(report.total().gross_energy_joules(), 109.0);
}

// Old journals hold such receipts, of attempts that never began.
TEST_F(EnergyReportTest, AReceiptOfNoWorkIsNoAttempt) {
  v1::Job job = JobOf("j1", "ada", {{100.0, 60.0, 40.0}});
  v1::Attempt& withdrawn = *job.add_attempts();
  withdrawn.set_device_id("pi");
  withdrawn.set_finished_unix_seconds(90.0);
  withdrawn.mutable_receipt()->set_attempt_id("j1.0");
  v1::ReportEnergyRequest request;
  request.set_by(v1::ENERGY_GROUPING_CLASS);
  EnergyReportBuilder builder(request, {});
  builder.Add(job);
  const v1::EnergyReport report = builder.Build();
  ASSERT_EQ(report.rows_size(), 1);
  EXPECT_EQ(report.rows(0).key(), "orin");
  EXPECT_EQ(report.total().attempts(), 1);
  EXPECT_TRUE(report.total().net_known());
  EXPECT_THAT(report.total().sources(), ElementsAre(v1::ENERGY_SOURCE_INA3221));
}

TEST_F(EnergyReportTest, TheSpanCutsAttempts) {
  EXPECT_DOUBLE_EQ(Report(v1::ENERGY_GROUPING_OWNER, kDay).total().gross_energy_joules(), 63.8);
  EXPECT_DOUBLE_EQ(Report(v1::ENERGY_GROUPING_OWNER, 0.0, kDay).total().gross_energy_joules(),
                   45.2);
  EXPECT_THAT(Report(v1::ENERGY_GROUPING_OWNER, 9 * kDay).rows(), IsEmpty());
}

TEST_F(EnergyReportTest, DaysHaveIdleJoulesFromTheLedgersGrowth) {
  span_.before = {LedgerOf("nano", -1, 100.0, 10.0)};
  span_.by_day = {LedgerOf("nano", 0, 130.0, 11.0), LedgerOf("nano", 1, 170.0, 15.0)};
  const v1::EnergyReport report = Report(v1::ENERGY_GROUPING_DAY);
  ASSERT_EQ(report.rows_size(), 2);
  EXPECT_EQ(report.rows(0).key(), "1970-01-01");
  EXPECT_DOUBLE_EQ(report.rows(0).idle_energy_joules(), 30.0);
  EXPECT_DOUBLE_EQ(report.rows(1).idle_energy_joules(), 40.0);
  EXPECT_DOUBLE_EQ(report.rows(1).overhead_energy_joules(), 4.0);
  EXPECT_DOUBLE_EQ(report.rows(1).gross_energy_joules(), 63.8);
  EXPECT_DOUBLE_EQ(report.total().idle_energy_joules(), 70.0);
}

TEST_F(EnergyReportTest, ALedgerThatBeganAnewIsNotNegative) {
  span_.before = {LedgerOf("nano", -1, 1000.0, 10.0)};
  span_.by_day = {LedgerOf("nano", 0, 5.0, 1.0)};
  const v1::EnergyReport report = Report(v1::ENERGY_GROUPING_DEVICE);
  EXPECT_DOUBLE_EQ(report.total().idle_energy_joules(), 5.0);
  EXPECT_EQ(report.rows(0).label(), "nano-1");
}

}  // namespace
}  // namespace wattle::runtime
