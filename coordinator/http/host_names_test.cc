// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/http/host_names.h"

#include <unistd.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"

namespace wattle::http {
namespace {

using testing::_;
using testing::HasSubstr;

TEST(HostNamesTest, AddressesAndOwnNamesAreServed) {
  const HostNames names({"Hub", "fleet.example.org"});
  for (const char* host : {"127.0.0.1", "127.0.0.1:7411", "10.1.2.3:80", "[::1]", "[::1]:7411",
                           "[2001:db8::7]:7411", "localhost", "LocalHost:7411", "hub", "HUB:7411",
                           "fleet.example.org", "fleet.example.org.:7411"}) {
    EXPECT_THAT(names.Check(host), IsOk()) << host;
  }
}

TEST(HostNamesTest, OtherNamesAreRefusedWithTheRemedy) {
  const HostNames names({"hub"});
  EXPECT_THAT(names.Check("Evil.Example:7411"),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("--http-name evil.example")));
  for (const char* host :
       {"127.example.com", "localhost.evil.example", "hub.evil.example", "evil-hub", "127.0.0.1.x",
        "", ":7411", "[::1", "[hub]:7411", "::1", "hub:port", "hub:1:2", "hub/x", "hub local"}) {
    EXPECT_THAT(names.Check(host), StatusIs(absl::StatusCode::kPermissionDenied, _)) << host;
  }
}

TEST(HostNamesTest, AFlagIsANameAlone) {
  EXPECT_THAT(CheckHostName("--http-name", "hub.example.org"), IsOk());
  for (const char* name : {"", "hub:7411", "http://hub", "hub local", "[::1]"}) {
    EXPECT_THAT(CheckHostName("--http-name", name),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--http-name")))
        << name;
  }
}

TEST(HostNamesTest, TheMachinesNamesAreItsOwnAndThatOfMdns) {
  char name[256] = {};
  ASSERT_EQ(gethostname(name, sizeof(name) - 1), 0);
  const HostNames names(MachineNames());
  EXPECT_THAT(names.Check(name), IsOk());
  const std::string label = std::string(name).substr(0, std::string(name).find('.'));
  EXPECT_THAT(names.Check(label + ":7411"), IsOk());
  EXPECT_THAT(names.Check(label + ".local"), IsOk());
}

}  // namespace
}  // namespace wattle::http
