// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Attacks on the workers' streams by a worker, or by somebody who knows a board's id.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/status_matchers.h"
#include "coordinator/http/metrics.h"
#include "coordinator/rpc/server_fixture.h"

namespace wattle::attacks {
namespace {

using rpc::HandWorker;
using runtime::HelloOf;
using testing::HasSubstr;
using testing::Not;

using StreamAttacks = rpc::ServerFixture;

// /sd would hand Prometheus whatever address a worker names: the cloud's metadata service, say.
TEST_F(StreamAttacks, AWorkerSendsPrometheusNowhereElse) {
  v1::Hello hello = HelloOf("device-a");
  hello.mutable_device()->set_metrics_address("169.254.169.254:80");
  HandWorker worker(channel_, hello);
  v1::CoordinatorMessage message;
  ASSERT_TRUE(worker.ReadUntil(v1::CoordinatorMessage::kWelcome, message));
  const std::string targets = http::DiscoveryJson(*api_);
  EXPECT_THAT(targets, Not(HasSubstr("169.254")));
  EXPECT_THAT(targets, HasSubstr("\"127.0.0.1:80\"")) << "the peer's own host, the port told";
}

}  // namespace
}  // namespace wattle::attacks
