// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/tls_terminator/peer_table.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle {
namespace {

TEST(PeerTableTest, APeerIsFoundByItsNameOnly) {
  PeerTable table;
  const std::string ann = *table.Add({.host = "10.0.0.1", .certificate_pem = "ann's"});
  const std::string bob = *table.Add({.host = "10.0.0.2", .certificate_pem = "bob's"});
  EXPECT_EQ(table.Find(ann)->certificate_pem, "ann's");
  EXPECT_EQ(table.Find(bob)->host, "10.0.0.2");
  EXPECT_NE(ann, bob);
  EXPECT_EQ(ann.size(), 32);
  EXPECT_EQ(table.Find(""), nullptr);
  EXPECT_EQ(table.Find("1"), nullptr);
}

// A handler that still works asks who called.
TEST(PeerTableTest, APeerStaysKnownForAWhileAfterItsEnd) {
  PeerTable table;
  const std::string first = *table.Add({.host = "10.0.0.1", .certificate_pem = ""});
  table.Ended(first);
  EXPECT_NE(table.Find(first), nullptr);
  for (int i = 0; i < 4096; ++i) {
    table.Ended(*table.Add({}));
  }
  EXPECT_EQ(table.Find(first), nullptr);
}

}  // namespace
}  // namespace wattle
