// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/status_matchers.h"

namespace wattle::rpc {
namespace {

sockaddr_storage V4(const char* text) {
  sockaddr_storage peer = {};
  peer.ss_family = AF_INET;
  inet_pton(AF_INET, text, &reinterpret_cast<sockaddr_in&>(peer).sin_addr);
  return peer;
}

sockaddr_storage V6(const char* text) {
  sockaddr_storage peer = {};
  peer.ss_family = AF_INET6;
  inet_pton(AF_INET6, text, &reinterpret_cast<sockaddr_in6&>(peer).sin6_addr);
  return peer;
}

TEST(ShareOfTest, AnAddressOrANetworkOfSixtyFourBits) {
  EXPECT_EQ(ShareOf(V4("10.0.0.7")), "10.0.0.7");
  EXPECT_EQ(ShareOf(V6("::ffff:10.0.0.7")), "10.0.0.7");
  EXPECT_EQ(ShareOf(V6("2001:db8:1:2:3:4:5:6")), "2001:db8:1:2::/64");
  EXPECT_EQ(ShareOf(V6("2001:db8:1:2:ffff::9")), ShareOf(V6("2001:db8:1:2::1")));
  EXPECT_NE(ShareOf(V6("2001:db8:1:3::1")), ShareOf(V6("2001:db8:1:2::1")));
}

class OpenConnectionsTest : public testing::Test {
 protected:
  static int Socket() { return socket(AF_INET, SOCK_STREAM, 0); }

  OpenConnections open_;
};

TEST_F(OpenConnectionsTest, AClosedConnectionMakesRoom) {
  const int first = Socket();
  open_.Add(first, "a");
  open_.Add(Socket(), "a");
  EXPECT_TRUE(open_.IsFull("a", 2));
  EXPECT_FALSE(open_.IsFull("a", 3));
  EXPECT_FALSE(open_.IsFull("b", 1));
  EXPECT_TRUE(open_.IsFull(2));
  close(first);
  EXPECT_FALSE(open_.IsFull("a", 2));
  EXPECT_FALSE(open_.IsFull(2));
}

// The kernel gives the lowest free number: a file that has the number of a closed connection is no
// connection.
TEST_F(OpenConnectionsTest, ANumberThatIsUsedAgainIsAnotherConnection) {
  const int first = Socket();
  open_.Add(first, "a");
  close(first);
  const int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(file, first);
  EXPECT_FALSE(open_.IsFull("a", 1));
  close(file);
  const int second = Socket();
  ASSERT_EQ(second, first);
  open_.Add(second, "b");
  close(second);
  const int third = Socket();
  open_.Add(third, "c");
  EXPECT_FALSE(open_.IsFull("b", 1));
  EXPECT_TRUE(open_.IsFull("c", 1));
  close(third);
}

TEST(ListenerTest, TwoDoNotShareAPort) {
  auto first = Listener::Bind("127.0.0.1:0", {});
  ASSERT_THAT(first, IsOk());
  EXPECT_GT((*first)->port(), 0);
  EXPECT_THAT(Listener::Bind(absl::StrCat("127.0.0.1:", (*first)->port()), {}),
              StatusIs(absl::StatusCode::kUnavailable, testing::HasSubstr("in use")));
  EXPECT_THAT(Listener::Bind("192.0.2.1:0", {}),
              StatusIs(absl::StatusCode::kUnavailable, testing::_));
}

}  // namespace
}  // namespace wattle::rpc
