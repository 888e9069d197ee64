// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/device_artifacts.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::core {
namespace {

TEST(DeviceArtifactsTest, InputsAndCheckpointsOfLeasesAndTheOrderedRelease) {
  v1::DesiredSet desired;
  EXPECT_THAT(ArtifactsOf(desired), testing::IsEmpty());
  v1::Assignment& first = *desired.add_assignments();
  first.add_inputs()->set_artifact_id("model");
  first.add_inputs()->set_artifact_id("data");
  first.add_inputs();  // Not resolved yet.
  first.set_checkpoint_artifact_id("checkpoint");
  desired.add_assignments()->add_inputs()->set_artifact_id("model");
  desired.mutable_upgrade()->set_artifact_id("release");
  EXPECT_THAT(ArtifactsOf(desired),
              testing::ElementsAre(ArtifactId("checkpoint"), ArtifactId("data"),
                                   ArtifactId("model"), ArtifactId("release")));
}

}  // namespace
}  // namespace wattle::core
