// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests the service about the coordinator through a real server: a worker's actions come out as
// events and as joules.
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/rpc/testing/server_fixture.h"
#include "wattle/v1/coordinator.grpc.pb.h"

namespace wattle::rpc {
namespace {

using testing::HasSubstr;

class CoordinatorServiceTest : public ServerFixture {
 protected:
  using Stub = v1::CoordinatorService::Stub;
  const std::unique_ptr<Stub> stub_ = v1::CoordinatorService::NewStub(channel_);
};

TEST_F(CoordinatorServiceTest, TellsItsState) {
  v1::CoordinatorStatus status;
  ASSERT_THAT(Call(*stub_, &Stub::GetCoordinator, v1::GetCoordinatorRequest(), status), IsOk());
  EXPECT_EQ(status.heartbeat_seconds(), 1.0);
  EXPECT_EQ(status.open_jobs(), 0);
  EXPECT_GE(status.unix_seconds(), status.started_unix_seconds());
}

TEST_F(CoordinatorServiceTest, AFollowerSeesADeviceComeAndGo) {
  grpc::ClientContext context;
  SetDeadline(context);
  v1::WatchEventsRequest request;
  request.set_follow(true);
  const auto stream = stub_->WatchEvents(&context, request);
  v1::FleetEvent event;
  {
    HandWorker worker(DeviceChannel(), runtime::HelloOf("device-a"));
    do {
      ASSERT_TRUE(stream->Read(&event));
    } while (event.kind() != "device_registered");  // After the tokens and the enrolments.
    EXPECT_THAT(event.text(), HasSubstr("name-of-device-a registered"));
    EXPECT_GT(event.sequence(), 0);
    ASSERT_TRUE(stream->Read(&event));
    EXPECT_EQ(event.text(), "name-of-device-a connected");
    EXPECT_EQ(event.sequence(), 0) << "not journalled";
  }
  ASSERT_TRUE(stream->Read(&event));
  EXPECT_EQ(event.kind(), "device_disconnected");
  EXPECT_EQ(event.device_id(), "device-a");
  // A stop of the coordinator ends the stream.
  std::thread stops([this] { server_->Stop(); });
  EXPECT_FALSE(stream->Read(&event));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  stops.join();
}

TEST_F(CoordinatorServiceTest, RefusesALimitOutOfRange) {
  grpc::ClientContext context;
  SetDeadline(context);
  v1::WatchEventsRequest request;
  request.set_limit(1001);
  const auto stream = stub_->WatchEvents(&context, request);
  v1::FleetEvent event;
  EXPECT_FALSE(stream->Read(&event));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(CoordinatorServiceTest, JoulesOfAReportComeOut) {
  HandWorker worker(DeviceChannel(), runtime::HelloOf("device-a"));
  v1::Report report;
  report.mutable_ledger()->set_idle_energy_joules(30.0);
  report.mutable_ledger()->set_overhead_energy_joules(2.0);
  worker.Report(report);
  v1::CoordinatorMessage message;
  do {
    ASSERT_TRUE(worker.ReadUntil(v1::CoordinatorMessage::kAcknowledgement, message));
  } while (message.acknowledgement().sequence() < 1);
  v1::ReportEnergyRequest request;
  request.set_by(v1::ENERGY_GROUPING_CLASS);
  v1::EnergyReport energy;
  ASSERT_THAT(Call(*stub_, &Stub::ReportEnergy, request, energy), IsOk());
  ASSERT_EQ(energy.rows_size(), 1);
  EXPECT_EQ(energy.rows(0).key(), "jetson-orin-nano");
  EXPECT_DOUBLE_EQ(energy.rows(0).idle_energy_joules(), 30.0);
  EXPECT_DOUBLE_EQ(energy.total().overhead_energy_joules(), 2.0);
}

}  // namespace
}  // namespace wattle::rpc
