// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Two fleets that reach one another: neither takes anything from the other's boards and people, who
// get one line that says so, and no state changes.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/rpc/testing/server_fixture.h"
#include "wattle/v1/access.grpc.pb.h"
#include "wattle/v1/service.grpc.pb.h"
#include "worker/agent/link/credentials.h"

namespace wattle::attacks {
namespace {

using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

class Fleet final : public rpc::ServerFixture {
 public:
  void TestBody() override {}

  [[nodiscard]] const std::string& address() const { return server_->address(); }
  [[nodiscard]] std::string roots_pem() const { return authority_->roots_pem(); }
  [[nodiscard]] std::string coordinator_uri() const {
    return absl::StrCat("spiffe://", authority_->fleet(), "/coordinator");
  }
  [[nodiscard]] SequenceNumber events() const {
    return runtime_->Read([](const core::State& state) { return state.last_sequence; });
  }
  std::string NewDeviceToken() { return DeviceToken(); }
  // The folder of a board, or of a person, who enrolled here.
  std::string BoardFolder(const std::string& state) {
    (void)ChannelOf(agent::IdentityFolder(Path(state)), DeviceToken(), "board");
    return Path(state);
  }
  std::string PersonFolder(const std::string& person) {
    (void)PersonChannel(person, "admin");
    return Path("person-" + person);
  }
};

// Lines that gRPC's threads report.
class Lines {
 public:
  void Add(const std::string& line) {
    absl::MutexLock lock(&mutex_);
    lines_.push_back(line);
  }
  std::vector<std::string> all() const {
    absl::MutexLock lock(&mutex_);
    return lines_;
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mutex_);
};

class TwoFleets : public testing::TestWithParam<bool> {
 protected:
  // home: whose boards and people call at the other one.
  Fleet& home() { return GetParam() ? north_ : south_; }
  Fleet& other() { return GetParam() ? south_ : north_; }

  Fleet north_;
  Fleet south_;
};

TEST_P(TwoFleets, AWorkerAtTheOtherCoordinatorIsToldOnce) {
  const std::string state = home().BoardFolder("state");
  const SequenceNumber before = other().events();
  Lines lines;
  const auto credentials = agent::Credentials::Open(
      {.state_directory = state, .device_id = "board", .coordinators = {other().address()}},
      [&](const std::string& line) { lines.Add(line); }, [](const std::string&) {});
  ASSERT_THAT(credentials, IsOk());
  for (int attempt = 0; attempt < 3; ++attempt) {  // As its link does, for ever.
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // A handshake each time.
    rpc::HandWorker worker(
        grpc::CreateCustomChannel(other().address(), (*credentials)->channel(), arguments),
        runtime::HelloOf("board"));
    EXPECT_EQ(worker.FinishAsIs().error_code(), grpc::StatusCode::UNAVAILABLE);
  }
  EXPECT_THAT(lines.all(), SizeIs(1));
  EXPECT_THAT(lines.all(), Each(AllOf(HasSubstr("coordinator: refused: its certificate is not of "
                                                "this fleet"),
                                      Not(HasSubstr("\n")))));
  EXPECT_EQ(other().events(), before);
}

// Whoever trusts the other coordinator by mistake is refused by it.
TEST_P(TwoFleets, ACoordinatorTakesNoCertificateOfTheOtherFleet) {
  const std::string folder = agent::IdentityFolder(home().BoardFolder("state"));
  const std::string person = home().PersonFolder("mia");
  const SequenceNumber before = other().events();
  for (const std::string& one : {folder, person}) {
    auto identity = identity::Load(one);
    ASSERT_THAT(identity, IsOk());
    const auto credentials = tls::ChannelCredentials(identity::FilesOf(*identity),
                                                     {.roots = tls::FixedRoots(other().roots_pem()),
                                                      .uri = other().coordinator_uri(),
                                                      .now = [] { return absl::Now(); }});
    rpc::HandWorker worker(grpc::CreateChannel(other().address(), credentials),
                           runtime::HelloOf("board"));
    EXPECT_EQ(worker.FinishAsIs().error_code(), grpc::StatusCode::UNAVAILABLE);
  }
  EXPECT_EQ(other().events(), before);
}

TEST_P(TwoFleets, AContextOfOneFleetDoesNothingAtTheOther) {
  const auto mia = identity::Load(home().PersonFolder("mia"));
  ASSERT_THAT(mia, IsOk());
  const SequenceNumber before = other().events();
  Lines lines;
  const auto credentials = identity::CredentialsOf(
      *mia, Clock::Real(),
      {.on_refused = [&](const absl::Status& why) { lines.Add(std::string(why.message())); }});
  const auto stub = v1::PolicyService::NewStub(grpc::CreateChannel(other().address(), credentials));
  grpc::ClientContext context;
  rpc::SetDeadline(context);
  v1::ApplyPolicyRequest request;
  request.mutable_policy()->set_name("field");
  request.mutable_policy()->set_max_temperature_celsius(70);
  v1::Policy policy;
  const grpc::Status status = stub->ApplyPolicy(&context, request, &policy);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), AllOf(HasSubstr("not of this fleet"), Not(HasSubstr("\n"))));
  EXPECT_THAT(lines.all(), Each(HasSubstr("not of this fleet")));
  EXPECT_EQ(other().events(), before);
}

// A token has its fleet's pin: nobody enrols elsewhere by it, and its secret stays unsaid.
TEST_P(TwoFleets, ATokenOfOneFleetDoesNotEnrolAtTheOther) {
  const SequenceNumber before = other().events();
  auto token = tls::ParseToken(home().NewDeviceToken());
  ASSERT_THAT(token, IsOk());
  token->address = other().address();
  const TestDirectory directory;
  const auto enrolled =
      identity::Enroll(directory.File("board"), tls::FormatToken(*token), "board");
  EXPECT_FALSE(enrolled.ok());
  // Said after the handshake, the secret would be one of a token that the other fleet never made.
  EXPECT_THAT(std::string(enrolled.status().message()),
              AllOf(HasSubstr("another coordinator answers there"), Not(HasSubstr("\n"))));
  EXPECT_EQ(other().events(), before);
}

INSTANTIATE_TEST_SUITE_P(EachWay, TwoFleets, testing::Bool());

}  // namespace
}  // namespace wattle::attacks
