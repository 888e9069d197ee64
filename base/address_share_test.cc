// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/address_share.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "gtest/gtest.h"

namespace wattle {
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

TEST(AddressShareTest, AnAddressOrANetworkOfSixtyFourBits) {
  EXPECT_EQ(ShareOf(V4("10.0.0.7")), "10.0.0.7");
  EXPECT_EQ(ShareOf(V6("::ffff:10.0.0.7")), "10.0.0.7");
  EXPECT_EQ(ShareOf(V6("2001:db8:1:2:3:4:5:6")), "2001:db8:1:2::/64");
  EXPECT_EQ(ShareOf(V6("2001:db8:1:2:ffff::9")), ShareOf(V6("2001:db8:1:2::1")));
  EXPECT_NE(ShareOf(V6("2001:db8:1:3::1")), ShareOf(V6("2001:db8:1:2::1")));
}

TEST(AddressShareTest, AHostsShareIsItsAddressOrItsNetwork) {
  EXPECT_EQ(ShareOfHost("10.0.0.7"), "10.0.0.7");
  EXPECT_EQ(ShareOfHost("::ffff:10.0.0.7"), "10.0.0.7");
  EXPECT_EQ(ShareOfHost("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
  EXPECT_EQ(ShareOfHost("fe80::1%eth0"), "fe80::/64");
  EXPECT_EQ(ShareOfHost(""), "");
  EXPECT_EQ(ShareOfHost("mast3"), "mast3");
}

}  // namespace
}  // namespace wattle
