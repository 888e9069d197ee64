// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "policy/selector.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "policy/given_labels.h"

namespace wattle::policy {
namespace {

using testing::HasSubstr;

void Label(const std::string& key, const std::string& value, v1::DeviceInfo& device) {
  v1::Label& label = *device.add_labels();
  label.set_key(key);
  label.set_value(value);
}

v1::DeviceInfo Board() {
  v1::DeviceInfo device;
  device.set_device_id("b0a2");
  device.set_name("mast-3");
  device.set_device_class("raspberry-pi-5");
  device.set_isolation("none");
  Label("site", "north", device);
  return device;
}

TEST(HasLabelTest, OfOwnAndOfGivenLabels) {
  const v1::DeviceInfo board = Board();
  for (const char* has : {"device=mast-3", "device=b0a2", "class=raspberry-pi-5", "isolation=none",
                          "site=north", "site", "device", "class", "isolation"}) {
    EXPECT_TRUE(HasLabel(board, has)) << has;
  }
  for (const char* lacks :
       {"device=b0a", "class=", "isolation=full", "site=", "row", "site=south"}) {
    EXPECT_FALSE(HasLabel(board, lacks)) << lacks;
  }
}

// A policy by class keeps its reserve on a board whose GPU does not answer.
TEST(HasLabelTest, TheClassOfCoresIsTheBoardsClass) {
  v1::DeviceInfo board = Board();
  board.set_device_class("jetson-orin-nano/cpu");
  EXPECT_TRUE(HasLabel(board, "class=jetson-orin-nano"));
  EXPECT_EQ(LabelValue(board, "class"), "jetson-orin-nano");
}

// A token or a worker of an older version may carry one.
TEST(HasLabelTest, NoGivenLabelStandsInForWhatTheBoardIs) {
  v1::DeviceInfo board = Board();
  Label("isolation", "full", board);
  Label("class", "jetson-xavier-nx", board);
  Label("device", "nx", board);
  for (const char* claimed : {"isolation=full", "class=jetson-xavier-nx", "device=nx"}) {
    EXPECT_FALSE(HasLabel(board, claimed)) << claimed;
  }
  board.clear_isolation();  // Not reported, so isolation is unknown.
  EXPECT_FALSE(HasLabel(board, "isolation=full"));
  EXPECT_FALSE(HasLabel(board, "isolation"));
}

TEST(GivenLabelsTest, AKeyIsGivenOnceAndIsNoneThatTheBoardTells) {
  EXPECT_THAT(CheckGivenLabels("--label", {{"site", "a"}, {"row", "a"}}), IsOk());
  for (const char* own : {"device", "class", "isolation"}) {
    EXPECT_TRUE(LabelValue(v1::DeviceInfo(), own).has_value()) << own;
    EXPECT_THAT(CheckGivenLabels("--label", {{"site", "a"}, {own, "x"}}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr(std::string("--label ") + own + "=x: the worker finds it out")))
        << own;
  }
  EXPECT_THAT(CheckGivenLabels("label", {{"site", "a"}, {"site", "b"}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "label site=b: site=a is given too; leave one of them out"));
}

}  // namespace
}  // namespace wattle::policy
