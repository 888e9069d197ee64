// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/host_port.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"

namespace wattle {
namespace {

using testing::HasSubstr;

TEST(HostPortTest, ReadsWhatItWrites) {
  for (const char* text : {"127.0.0.1:7410", "hub.local:1", "[::1]:65535", "a-b_c:0"}) {
    const absl::StatusOr<HostPort> address = ParseHostPort("--listen", text);
    ASSERT_THAT(address, IsOk());
    EXPECT_EQ(FormatHostPort(*address), text);
  }
  EXPECT_EQ(ParseHostPort("--listen", "[::1]:5")->host, "::1");
}

TEST(HostPortTest, GuessesNothing) {
  for (const auto& [text, what] : {std::pair("127.0.0.1:99999", "0 to 65535"),
                                   {"127.0.0.1:", "has no port"},
                                   {"127.0.0.1:+80", "0 to 65535"},
                                   {"127.0.0.1:8 0", "0 to 65535"},
                                   {"127.0.0.1:99999999999999999999", "0 to 65535"},
                                   {"localhost", "has no port"},
                                   {"[::1]", "has no port"},
                                   {"", "has no port"},
                                   {":7410", "has no host"},
                                   {"::1:7410", "in brackets"},
                                   {"[::1:7410", "not IPv6"},
                                   {"[hub]:7410", "not IPv6"},
                                   {"http://hub:7410", "leave \"http://\" out"},
                                   {"hub/x:7410", "odd characters"}}) {
    EXPECT_THAT(ParseHostPort("--listen", text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(what)))
        << text;
  }
}

TEST(HostPortTest, KnowsNumbersFromNames) {
  for (const char* number : {"127.0.0.1", "10.0.0.7", "::", "fd00::7"}) {
    EXPECT_TRUE(IsIpAddress(number)) << number;
  }
  for (const char* name :
       {"", "localhost", "10.0.0", "10.0.0.7.example.com", "[::1]", "fe80::1%eth0"}) {
    EXPECT_FALSE(IsIpAddress(name)) << name;
  }
}

TEST(HostPortTest, KnowsLoopback) {
  EXPECT_TRUE(IsLoopback(*ParseHostPort("", "127.9.9.9:1")));
  EXPECT_TRUE(IsLoopback(*ParseHostPort("", "[::1]:1")));
  EXPECT_TRUE(IsLoopback(*ParseHostPort("", "[0:0:0:0:0:0:0:1]:1")));
  EXPECT_TRUE(IsLoopback(*ParseHostPort("", "localhost:1")));
  for (const char* other :
       {"0.0.0.0:1", "[::]:1", "[::2]:1", "10.127.0.1:1", "127.0.0.1.example.com:1",
        "127.example.com:1", "localhost.example.com:1", "mylocalhost:1"}) {
    EXPECT_FALSE(IsLoopback(*ParseHostPort("", other))) << other;
  }
}

}  // namespace
}  // namespace wattle
