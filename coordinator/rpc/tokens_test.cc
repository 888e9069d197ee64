// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests the tokens of boards, people and services: what they may give, and who makes and ends them.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "base/testing/status_matchers.h"
#include "base/tls/certificate.h"
#include "base/tls/token.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/rpc/testing/server_fixture.h"
#include "identity/enroll.h"
#include "wattle/v1/access.grpc.pb.h"

namespace wattle::rpc {
namespace {

using testing::HasSubstr;

class TokensTest : public ServerFixture {
 protected:
  absl::Status Make(const std::vector<std::pair<std::string, std::string>>& labels) {
    v1::CreateDeviceTokensRequest request;
    request.set_uses(1);
    request.set_count(1);
    request.set_ttl_seconds(3600);
    for (const auto& [key, value] : labels) {
      v1::Label& label = *request.add_labels();
      label.set_key(key);
      label.set_value(value);
    }
    const auto access = v1::AccessService::NewStub(channel_);
    v1::CreateTokensResponse made;
    return Call(*access, &v1::AccessService::Stub::CreateDeviceTokens, request, made);
  }
};

TEST_F(TokensTest, ATokenGivesNoLabelThatTheBoardTellsItself) {
  EXPECT_THAT(Make({{"site", "north"}, {"row", "3"}}), IsOk());
  for (const char* own : {"device", "class", "isolation"}) {
    EXPECT_THAT(Make({{own, "full"}}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("the worker finds it out")))
        << own;
  }
}

TEST_F(TokensTest, ATokenGivesEachLabelOnce) {
  EXPECT_THAT(Make({{"site", "a"}, {"site", "b"}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("site=a is given too")));
}

TEST_F(TokensTest, AnOperatorEndsTokensOfBoardsAlone) {
  const auto ann = v1::AccessService::NewStub(channel_);
  const auto otto = v1::AccessService::NewStub(PersonChannel("otto", "operator"));
  const auto revoke = [](v1::AccessService::Stub& who, const std::string& token_id) {
    v1::RevokeTokenRequest request;
    request.set_token_id(token_id);
    v1::RevokeTokenResponse response;
    return Call(who, &v1::AccessService::Stub::RevokeToken, request, response);
  };
  v1::CreateTokensResponse service;
  v1::CreateServiceTokenRequest of_service;
  of_service.set_service("prometheus");
  of_service.set_ttl_seconds(60);
  ASSERT_THAT(Call(*ann, &v1::AccessService::Stub::CreateServiceToken, of_service, service),
              IsOk());
  v1::CreateTokensResponse person;
  v1::CreatePersonTokenRequest of_person;
  of_person.set_person("bob");
  of_person.set_role("viewer");
  of_person.set_ttl_seconds(60);
  ASSERT_THAT(Call(*ann, &v1::AccessService::Stub::CreatePersonToken, of_person, person), IsOk());
  for (const auto& made : {service, person}) {
    const std::string& id = made.tokens(0).token_id();
    EXPECT_THAT(revoke(*otto, id),
                StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("which an admin ends")));
    EXPECT_THAT(revoke(*ann, id), IsOk());
    EXPECT_THAT(revoke(*ann, id),
                StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("was revoked already")));
  }
  EXPECT_THAT(revoke(*otto, tls::ParseToken(DeviceToken())->id), IsOk());
}

TEST_F(TokensTest, AServicesTokenIsMadeForAYearAtMostAndKeptAsAHash) {
  const auto access = v1::AccessService::NewStub(channel_);
  v1::CreateServiceTokenRequest request;
  request.set_service("prometheus");
  request.set_ttl_seconds(90.0 * 24 * 3600);
  v1::CreateTokensResponse made;
  ASSERT_THAT(Call(*access, &v1::AccessService::Stub::CreateServiceToken, request, made), IsOk());
  const auto token = tls::ParseServiceToken(made.tokens(0).token());
  ASSERT_THAT(token, IsOk());
  EXPECT_EQ(token->id, made.tokens(0).token_id());
  const auto check = [&] {
    return runtime_->Read([&](const core::State& state) {
      return core::CheckServiceToken(state, token->id, tls::Sha256(token->secret), absl::Now());
    });
  };
  ASSERT_THAT(check(), IsOk());
  EXPECT_EQ(*check(), "prometheus");
  for (const char* file : {"journal.db", "journal.db-wal"}) {
    EXPECT_EQ(ReadWholeFile(Path(file)).value_or("").find(token->secret), std::string::npos)
        << file;
  }
  EXPECT_THAT(identity::Enroll(Path("service"),
                               tls::FormatToken({server_->address(), token->id, token->secret,
                                                 authority_->pin()}),
                               "device-a"),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("enrols nobody")));
  v1::RevokeTokenRequest revoke;
  revoke.set_token_id(token->id);
  v1::RevokeTokenResponse revoked;
  ASSERT_THAT(Call(*access, &v1::AccessService::Stub::RevokeToken, revoke, revoked), IsOk());
  EXPECT_THAT(check(), StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("was revoked")));

  request.set_ttl_seconds(400.0 * 24 * 3600);
  EXPECT_THAT(Call(*access, &v1::AccessService::Stub::CreateServiceToken, request, made),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("ttl_seconds")));
  request.set_ttl_seconds(60);
  request.set_service("a b");
  EXPECT_THAT(Call(*access, &v1::AccessService::Stub::CreateServiceToken, request, made),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("service: \"a b\"")));
}

}  // namespace
}  // namespace wattle::rpc
