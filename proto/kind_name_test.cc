// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/kind_name.h"

#include <gtest/gtest.h>

namespace wattle {
namespace {

TEST(KindNameTest, IsTheFieldThatIsSet) {
  v1::JobSpec spec;
  EXPECT_EQ(KindName(spec), "");
  spec.mutable_finetune();
  EXPECT_EQ(KindName(spec), "finetune");
  spec.mutable_generate();
  EXPECT_EQ(KindName(spec), "generate");

  v1::Event event;
  EXPECT_EQ(KindName(event), "");
  event.mutable_job_submitted();
  EXPECT_EQ(KindName(event), "job_submitted");
}

}  // namespace
}  // namespace wattle
