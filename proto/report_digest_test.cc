// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/report_digest.h"

#include "gtest/gtest.h"

namespace wattle {
namespace {

v1::Report Finished() {
  v1::Report report;
  report.set_sequence(7);
  report.set_at_unix_seconds(1.8e9 + 0.25);
  report.mutable_finished()->set_attempt_id("j3.1");
  report.mutable_finished()->set_fencing_token(5);
  return report;
}

TEST(ReportDigestTest, TwoBoardsThatCountAlikeAreToldApart) {
  v1::Report later = Finished();
  later.set_at_unix_seconds(later.at_unix_seconds() + 0.001);
  v1::Report other = Finished();
  other.mutable_finished()->set_attempt_id("j4.1");
  EXPECT_NE(ReportDigest(Finished()), ReportDigest(later));
  EXPECT_NE(ReportDigest(Finished()), ReportDigest(other));
}

TEST(ReportDigestTest, WhatANewerVersionAddsChangesNothing) {
  v1::Report newer = Finished();
  newer.GetReflection()->MutableUnknownFields(&newer)->AddVarint(999, 1);
  newer.mutable_finished()->mutable_receipt()->set_threads(4);
  EXPECT_EQ(ReportDigest(Finished()), ReportDigest(newer));
  // The value is part of the protocol: no version may change it. Computed independently of this
  // code, as FNV-1a over sequence, time, length and bytes of the attempt's id, and token, each
  // number as 8 bytes, little-endian.
  EXPECT_EQ(ReportDigest(Finished()), 13616328997164489286U);
}

}  // namespace
}  // namespace wattle
