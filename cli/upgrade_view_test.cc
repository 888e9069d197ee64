// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/upgrade_view.h"

#include "cli/artifact_view.h"
#include "cli/fleet_view.h"
#include "cli/testing/golden_text.h"
#include "cli/testing/sample_messages.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

absl::Time SampleNow() {
  return absl::UnixEpoch() + absl::Seconds(kSampleNowUnixSeconds);
}

TEST(UpgradeViewTest, Golden) {
  ExpectGolden("upgrade.txt", RenderUpgrade(SampleUpgrade(), SampleNow(), {}));
  ExpectGolden("releases.txt", RenderReleases(SampleReleases(), SampleNow(), {}));
}

TEST(UpgradeViewTest, APlanSaysThatNothingWasStarted) {
  v1::Upgrade plan = SampleUpgrade();
  plan.clear_upgrade_id();
  EXPECT_THAT(RenderUpgradeState(plan),
              AllOf(HasSubstr("plan to 0.3.0"), HasSubstr("nothing was started")));
}

TEST(UpgradeViewTest, DevicesTellTheirVersionsWhereTheyDiffer) {
  v1::ListDevicesResponse devices = SampleDevices();
  EXPECT_THAT(RenderDevices(devices, SampleNow(), {}), Not(HasSubstr("worker")));
  devices.mutable_devices(0)->mutable_info()->set_worker_version("0.9.0");
  devices.mutable_devices(0)->set_problem("nano-1 speaks protocol 4 to 5; update the coordinator");
  EXPECT_THAT(RenderDevices(devices, SampleNow(), {}),
              AllOf(HasSubstr("worker"), HasSubstr("0.9.0"), HasSubstr("update the coordinator")));
}

}  // namespace
}  // namespace wattle::cli
