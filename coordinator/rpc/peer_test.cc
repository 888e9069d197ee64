// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/peer.h"

#include "gtest/gtest.h"

namespace wattle::rpc {
namespace {

TEST(PeerTest, TheHostIsReadFromGrpcsAddress) {
  EXPECT_EQ(PeerHost("ipv4:10.0.0.7:41234"), "10.0.0.7");
  EXPECT_EQ(PeerHost("ipv6:%5B2001:db8::7%5D:41234"), "2001:db8::7");
  EXPECT_EQ(PeerHost("ipv6:[::1]:41234"), "::1");
  for (const char* peer : {"", "unix:/run/wattle", "unknown", "ipv4:", "ipv4:10.0.0.7", "inproc",
                           "ipv6:%5Bfe80::1%25eth0%5D:41234"}) {
    EXPECT_EQ(PeerHost(peer), "") << peer;
  }
}

TEST(PeerTest, AScrapeAddressIsThePeersOwn) {
  EXPECT_EQ(ScrapeAddress("10.0.0.7", "10.0.0.7:9100"), "10.0.0.7:9100");
  EXPECT_EQ(ScrapeAddress("10.0.0.7", "169.254.169.254:80"), "10.0.0.7:80");
  EXPECT_EQ(ScrapeAddress("10.0.0.7", "0.0.0.0:9100"), "10.0.0.7:9100");
  EXPECT_EQ(ScrapeAddress("2001:db8::7", "hub.local:9100"), "[2001:db8::7]:9100");
  EXPECT_EQ(ScrapeAddress("::1", "127.0.0.1:9100"), "127.0.0.1:9100") << "the same machine";
}

TEST(PeerTest, WhatNobodyCanScrapeIsNoAddress) {
  EXPECT_EQ(ScrapeAddress("10.0.0.7", "127.0.0.1:9100"), "") << "the other machine's loopback";
  for (const char* told : {"", "9100", "host:port", "10.0.0.7:0", "http://10.0.0.7:9100"}) {
    EXPECT_EQ(ScrapeAddress("10.0.0.7", told), "") << told;
  }
  EXPECT_EQ(ScrapeAddress("", "10.0.0.7:9100"), "");
}

}  // namespace
}  // namespace wattle::rpc
