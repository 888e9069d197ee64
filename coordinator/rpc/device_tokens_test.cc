// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Which labels a token may give to the boards that enrol by it.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/status_matchers.h"
#include "coordinator/rpc/server_fixture.h"
#include "wattle/v1/access.grpc.pb.h"

namespace wattle::rpc {
namespace {

using testing::HasSubstr;

class DeviceTokensTest : public ServerFixture {
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

TEST_F(DeviceTokensTest, ATokenGivesNoLabelThatTheBoardTellsItself) {
  EXPECT_THAT(Make({{"site", "north"}, {"row", "3"}}), IsOk());
  for (const char* own : {"device", "class", "isolation"}) {
    EXPECT_THAT(Make({{own, "full"}}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("the worker finds it out")))
        << own;
  }
}

TEST_F(DeviceTokensTest, ATokenGivesEachLabelOnce) {
  EXPECT_THAT(Make({{"site", "a"}, {"site", "b"}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("site=a is given too")));
}

}  // namespace
}  // namespace wattle::rpc
