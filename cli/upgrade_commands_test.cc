// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle release and wattle upgrade against a fake coordinator.
#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "cli/artifact_view.h"
#include "cli/testing/program_fixture.h"
#include "cli/upgrade_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "artifacts/manifest.h"

namespace wattle::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class UpgradeCommandsTest : public ProgramTest {
 protected:
  // A folder with the heads of programs for aarch64.
  std::string WriteRelease() {
    std::string head = std::string("\x7f") + "ELF\x02\x01";
    head.resize(64);
    head[18] = static_cast<char>(183);
    const std::string worker = Write("release/bin/wattle-worker", head + "worker");
    Write("release/bin/wattle-runner", head + "runner");
    return std::filesystem::path(worker).parent_path().parent_path().string();
  }
  void ExpectBadInput(const std::vector<std::string>& arguments, const std::string& text) {
    const Result result = Run(arguments);
    EXPECT_EQ(result.code, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr(text));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(coordinator_.state().commits, IsEmpty());
    EXPECT_THAT(coordinator_.state().upgrades, IsEmpty());
  }
};

TEST_F(UpgradeCommandsTest, AReleaseIsPushedListedAndRemoved) {
  const std::string release = WriteRelease();
  const std::string id = artifacts::IdOf(*artifacts::BuildManifest(release)).value();
  const Result pushed = Run({"release", "push", release, "--version", "v0.3.0", "--digest", id});
  EXPECT_EQ(pushed.code, 0) << pushed.err;
  EXPECT_THAT(pushed.out, HasSubstr("release wattle-0.3.0-aarch64: " + id.substr(0, 12)));
  ASSERT_THAT(coordinator_.state().commits, SizeIs(1));
  const v1::ArtifactInfo& info = coordinator_.state().commits[0].info();
  EXPECT_EQ(info.kind(), v1::ARTIFACT_KIND_RELEASE);
  EXPECT_EQ(info.release_version(), "0.3.0");
  EXPECT_EQ(info.release_architecture(), "aarch64");
  EXPECT_THAT(Run({"release", "ls"}).out, HasSubstr("wattle-0.3.0-aarch64"));
  EXPECT_EQ(Run({"release", "rm", "wattle-0.3.0-aarch64"}).code, 0);
  ASSERT_THAT(coordinator_.state().artifact_removals, SizeIs(1));
  EXPECT_EQ(coordinator_.state().artifact_removals[0].kind(), v1::ARTIFACT_KIND_RELEASE);
}

TEST_F(UpgradeCommandsTest, BadReleasesAreNotSent) {
  const std::string release = WriteRelease();
  ExpectBadInput({"release", "push", release, "--version", "new"}, "--version new: wants");
  ExpectBadInput({"release", "push", release, "--version", "0.3.0", "--architecture", "x86_64"},
                 "has programs for aarch64");
  ExpectBadInput({"release", "push", release, "--version", "0.3.0", "--digest", "abc"},
                 "not abc; fetch the release again");
  ExpectBadInput({"release", "push", release + "/bin", "--version", "0.3.0"},
                 "bin/wattle-worker: cannot be read");
}

TEST_F(UpgradeCommandsTest, StagesGoToTheCoordinatorInTheirOrder) {
  const Result plan =
      Run({"upgrade", "plan", "--to", "v0.3.0", "--stage", "label=canary,20%,100%"});
  EXPECT_EQ(plan.code, 0) << plan.err;
  EXPECT_THAT(plan.out, HasSubstr("nothing was started"));
  ASSERT_THAT(coordinator_.state().upgrades, SizeIs(1));
  const v1::StartUpgradeRequest& request = coordinator_.state().upgrades[0];
  EXPECT_EQ(request.version(), "0.3.0");
  ASSERT_EQ(request.stages_size(), 3);
  EXPECT_EQ(request.stages(0).labels(0).key(), "canary");
  EXPECT_DOUBLE_EQ(request.stages(1).fleet_ratio(), 0.2);
  EXPECT_FALSE(request.allow_downgrade());
  EXPECT_EQ(Run({"upgrade", "start", "--to", "0.3.0", "--allow-downgrade"}).out,
            RenderUpgrade(SampleUpgrade(), FixedClock().Now(), {}));
  EXPECT_TRUE(coordinator_.state().upgrades[1].allow_downgrade());
}

TEST_F(UpgradeCommandsTest, AnUpgradeIsShownPausedResumedAndAborted) {
  EXPECT_EQ(Run({"upgrade", "status"}).out, RenderUpgrade(SampleUpgrade(), FixedClock().Now(), {}));
  EXPECT_THAT(Run({"-o", "json", "upgrade", "status", "u3"}).out,
              HasSubstr("\"upgrade_id\": \"u3\""));
  EXPECT_EQ(Run({"upgrade", "status", "u9"}).code, 3);
  EXPECT_THAT(Run({"upgrade", "pause", "--reason", "rain"}).out, HasSubstr("u3 to 0.3.0 paused"));
  EXPECT_THAT(Run({"upgrade", "resume"}).out, HasSubstr("u3 to 0.3.0 running"));
  EXPECT_THAT(Run({"upgrade", "abort"}).out, HasSubstr("u3 to 0.3.0 aborted"));
  EXPECT_THAT(coordinator_.state().upgrade_reasons, ElementsAre("rain", "", ""));
}

TEST_F(UpgradeCommandsTest, BadUpgradesAreOneLine) {
  ExpectBadInput({"upgrade", "start", "--to", "newest"}, "--to newest: wants a version");
  ExpectBadInput({"upgrade", "start", "--to", "0.3.0", "--stage", "canary,0%"},
                 "--stage: stage \"0%\": wants a share");
  ExpectBadInput({"upgrade", "start", "--to", "0.4.0"}, "0.4.0: no release of it is here");
  ExpectBadInput({"upgrade", "start"}, "--to is required");
}

}  // namespace
}  // namespace wattle::cli
