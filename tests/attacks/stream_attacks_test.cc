// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Attacks on the workers' streams by a worker, or by somebody who knows a board's id.
#include <functional>
#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/http/metrics.h"
#include "coordinator/rpc/testing/server_fixture.h"
#include "coordinator/runtime/runtime_ports.h"
#include "telemetry/export/metrics_page.h"

namespace wattle::attacks {
namespace {

using rpc::HandWorker;
using runtime::HelloOf;
using testing::HasSubstr;
using testing::Not;

class StreamAttacks : public rpc::ServerFixture {
 protected:
  static v1::Hello HelloOfProcess(const std::string& process) {
    v1::Hello hello = HelloOf("device-a");
    hello.set_process_id(process);
    return hello;
  }
  static bool IsWelcome(HandWorker& worker) {
    v1::CoordinatorMessage message;
    return worker.ReadUntil(v1::CoordinatorMessage::kWelcome, message);
  }
};

// /sd would hand Prometheus whatever address a worker names: the cloud's metadata service, say.
TEST_F(StreamAttacks, AWorkerSendsPrometheusNowhereElse) {
  v1::Hello hello = HelloOfProcess("p1");
  hello.mutable_device()->set_metrics_address("169.254.169.254:80");
  HandWorker worker(DeviceChannel(), hello);
  ASSERT_TRUE(IsWelcome(worker));
  const std::string targets = http::DiscoveryJson(*api_);
  EXPECT_THAT(targets, Not(HasSubstr("169.254")));
  EXPECT_THAT(targets, HasSubstr("\"127.0.0.1:80\"")) << "the peer's own host, the port told";
}

TEST_F(StreamAttacks, AnImpostorDoesNotTakeOverALiveBoard) {
  HandWorker board(DeviceChannel(), HelloOfProcess("p1"));
  ASSERT_TRUE(IsWelcome(board));
  for (const char* process : {"p2", ""}) {
    v1::Hello hello = HelloOfProcess(process);
    hello.mutable_device()->set_name("impostor");
    HandWorker impostor(DeviceChannel(), hello);
    const grpc::Status status = impostor.FinishAsIs();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_THAT(status.error_message(), HasSubstr("a worker at 127.0.0.1 is connected"));
  }
  v1::GetDeviceRequest get;
  get.set_device("device-a");
  EXPECT_EQ(api_->GetDevice(get)->info().name(), "name-of-device-a");
  EXPECT_TRUE(api_->GetDevice(get)->connected());
  v1::Report ledger;
  ledger.mutable_ledger()->set_idle_energy_joules(1);
  board.Report(ledger);
  ASSERT_TRUE(board.ReadUntilAcknowledged()) << "the board's own stream goes on";
}

// Both go on, so that it is no restart: neither has work until the operator decides.
TEST_F(StreamAttacks, ACopiedCardHasNoWork) {
  HandWorker board(DeviceChannel(), HelloOfProcess("p1"));
  ASSERT_TRUE(IsWelcome(board));
  std::string told;
  for (const absl::Time begun = absl::Now();
       told.find("wattle device approve") == std::string::npos &&
       absl::Now() - begun < runtime::kPatience;) {
    board.Beat(v1::Heartbeat());
    HandWorker copy(DeviceChannel(), HelloOfProcess("p2"));
    const grpc::Status refused = copy.FinishAsIs();
    ASSERT_EQ(refused.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    told = refused.error_message();
  }
  EXPECT_THAT(told, HasSubstr("a worker at 127.0.0.1 is connected with it, and one at 127.0.0.1"));
  EXPECT_THAT(told, HasSubstr("wattle device approve name-of-device-a"));
  v1::GetDeviceRequest get;
  get.set_device("device-a");
  EXPECT_TRUE(api_->GetDevice(get)->waits_for_approval());
  EXPECT_TRUE(api_->GetDevice(get)->connected()) << "the first one is told of its state";
}

// A board whose link was cut dials again before the coordinator knows that the old link is dead.
TEST_F(StreamAttacks, TheBoardItselfComesBackAtOnce) {
  HandWorker cut(DeviceChannel(), HelloOfProcess("p1"));
  ASSERT_TRUE(IsWelcome(cut));
  HandWorker again(DeviceChannel(), HelloOfProcess("p1"));
  EXPECT_TRUE(IsWelcome(again));
  v1::CoordinatorMessage message;
  EXPECT_TRUE(cut.ReadUntil(v1::CoordinatorMessage::kClosing, message));
}

// A board that lost power cannot end its connection. Its restarted worker waits for the silence.
TEST_F(StreamAttacks, ARestartedBoardComesBackOnceTheOldStreamIsSilent) {
  HandWorker dead(DeviceChannel(), HelloOfProcess("p1"));
  ASSERT_TRUE(IsWelcome(dead));
  bool welcome = false;
  for (const absl::Time begun = absl::Now();
       !welcome && absl::Now() - begun < runtime::kPatience;) {
    HandWorker restarted(DeviceChannel(), HelloOfProcess("p2"));
    welcome = IsWelcome(restarted);
  }
  EXPECT_TRUE(welcome);
  v1::CoordinatorMessage message;
  EXPECT_TRUE(dead.ReadUntil(v1::CoordinatorMessage::kClosing, message))
      << "it did not wait for the old stream's end";
}

// Its reports wait for one another, and take no place of others in the coordinator's queue.
class ReportFlood : public StreamAttacks {
 protected:
  static constexpr size_t kPlaces = 300;
  ReportFlood() {
    End();
    adjust_ = [](runtime::RuntimeOptions& options) { options.command_queue_capacity = kPlaces; };
    Begin();
  }
};

TEST_F(ReportFlood, TakesNoPlaceOfAnyoneElse) {
  constexpr int kReports = 5000;
  HandWorker board(DeviceChannel("device-b"), HelloOf("device-b"));
  ASSERT_TRUE(IsWelcome(board));
  HandWorker flooder(DeviceChannel(), HelloOfProcess("p1"));
  ASSERT_TRUE(IsWelcome(flooder));
  v1::Report ledger;
  ledger.mutable_ledger()->set_idle_energy_joules(1);
  std::thread flood([&] {
    for (int i = 0; i < kReports; ++i) {
      flooder.Report(ledger);
    }
  });
  board.Report(ledger);
  EXPECT_TRUE(board.ReadUntilAcknowledged());
  v1::CoordinatorMessage message;
  int64_t acknowledged = 0;
  while (acknowledged < kReports &&
         flooder.ReadUntil(v1::CoordinatorMessage::kAcknowledgement, message)) {
    acknowledged = message.acknowledgement().sequence();
  }
  flood.join();
  EXPECT_EQ(acknowledged, kReports) << "a board that has much to tell is heard out";
  EXPECT_EQ(runtime_->counters().refused_commands, 0U);
}

// Each batch of samples has an acknowledgement. Whoever reads none of them keeps none of them here.
class SampleFlood : public StreamAttacks {
 protected:
  // The acknowledgements that ten sinks would give; the connection itself holds thousands.
  static constexpr int kEach = 10;
  class Sink : public runtime::MetricSink {
   public:
    void Take(const DeviceId& /*device*/, v1::MetricBatch /*batch*/,
              std::function<void()> done) override {
      for (int i = 0; i < kEach; ++i) {
        done();
      }
    }
    void AddMetrics(telemetry::MetricsPage& /*page*/) const override {}
  };
  SampleFlood() {
    End();
    metric_sink_ = &sink_;
    Begin();
  }
  ~SampleFlood() override { End(); }
  Sink sink_;
};

TEST_F(SampleFlood, AcknowledgementsThatNobodyReadsDoNotPileUp) {
  constexpr int kBatches = 5000;
  HandWorker hoarder(DeviceChannel(), HelloOfProcess("p1"));
  ASSERT_TRUE(IsWelcome(hoarder));
  v1::WorkerMessage batch;
  for (int i = 1; i <= kBatches; ++i) {
    batch.mutable_metrics()->set_number(i);
    hoarder.Send(batch);
  }
  int read = 0;
  v1::CoordinatorMessage message;
  while (hoarder.ReadUntil(v1::CoordinatorMessage::kMetricsAcknowledgement, message)) {
    ++read;
  }
  EXPECT_LT(read, kBatches * kEach);
  const grpc::Status status = hoarder.FinishAsIs();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
  EXPECT_THAT(status.error_message(), HasSubstr("reads no acknowledgement"));
}

TEST_F(StreamAttacks, AMessageBeyondTheLimitEndsItsStreamAlone) {
  HandWorker board(DeviceChannel("device-b"), HelloOf("device-b"));
  ASSERT_TRUE(IsWelcome(board));
  HandWorker large(DeviceChannel(), HelloOfProcess("p1"));
  ASSERT_TRUE(IsWelcome(large));
  v1::WorkerMessage log;
  log.mutable_log()->set_text(std::string(size_t{5} << 20, 'x'));
  large.Send(log);
  EXPECT_EQ(large.FinishAsIs().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  v1::Report ledger;
  ledger.mutable_ledger()->set_idle_energy_joules(1);
  board.Report(ledger);
  EXPECT_TRUE(board.ReadUntilAcknowledged());
}

}  // namespace
}  // namespace wattle::attacks
