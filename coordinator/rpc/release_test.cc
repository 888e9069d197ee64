// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Who may push a release and who may fetch it, and an upgrade over real connections.
#include <fstream>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "artifacts/transfer/transfer.h"
#include "base/testing/status_matchers.h"
#include "coordinator/rpc/testing/server_fixture.h"
#include "wattle/v1/artifact.grpc.pb.h"
#include "wattle/v1/service.grpc.pb.h"
#include "wattle/v1/upgrade.grpc.pb.h"

namespace wattle::rpc {
namespace {

using runtime::HelloOf;
using testing::HasSubstr;
using Artifacts = v1::ArtifactService::Stub;
using Upgrades = v1::UpgradeService::Stub;

constexpr auto kDenied = absl::StatusCode::kPermissionDenied;

class ReleaseTest : public ServerFixture {
 protected:
  ReleaseTest() : upgrades_(v1::UpgradeService::NewStub(channel_)) {}

  absl::StatusOr<v1::ArtifactInfo> Push(const std::shared_ptr<grpc::Channel>& channel) {
    std::ofstream(Path("wattle-worker"), std::ios::binary) << std::string(2 << 20, 'w') << "end";
    v1::ArtifactInfo info;
    info.set_kind(v1::ARTIFACT_KIND_RELEASE);
    info.set_name("wattle-0.2.0-aarch64");
    info.set_release_version("0.2.0");
    info.set_release_architecture("aarch64");
    return artifacts::Push(*v1::ArtifactService::NewStub(channel), Path("wattle-worker"), info);
  }
  static absl::Status FetchManifest(Artifacts& stub, const std::string& id,
                                    v1::Manifest& manifest) {
    v1::GetManifestRequest request;
    request.set_artifact_id(id);
    return Call(stub, &Artifacts::GetManifest, request, manifest);
  }
  static absl::Status FetchChunk(Artifacts& stub, const v1::Manifest& manifest) {
    grpc::ClientContext context;
    SetDeadline(context);
    v1::GetChunksRequest request;
    request.add_sha256(manifest.files(0).chunk_sha256(0));
    const auto reader = stub.GetChunks(&context, request);
    v1::Chunk chunk;
    while (reader->Read(&chunk)) {
    }
    return FromGrpc(reader->Finish());
  }
  static v1::StartUpgradeRequest ToDevice(const std::string& device) {
    v1::StartUpgradeRequest request;
    request.set_version("0.2.0");
    v1::Label& label = *request.add_stages()->add_labels();
    label.set_key("device");
    label.set_value(device);
    return request;
  }

  std::unique_ptr<Upgrades> upgrades_;
};

TEST_F(ReleaseTest, OnlyOperatorsPushReleases) {
  EXPECT_THAT(Push(PersonChannel("sam", "submitter")), StatusIs(kDenied, HasSubstr("an operator")));
  const auto board_channel = DeviceChannel("device-a");
  EXPECT_THAT(Push(board_channel),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no open job had an attempt")));
  v1::CommitArtifactRequest commit;  // A board that sends no bytes before.
  commit.mutable_info()->set_kind(v1::ARTIFACT_KIND_RELEASE);
  v1::ArtifactInfo committed;
  EXPECT_THAT(Call(*v1::ArtifactService::NewStub(board_channel), &Artifacts::CommitArtifact, commit,
                   committed),
              StatusIs(kDenied, HasSubstr("an operator")));
  EXPECT_THAT(Push(PersonChannel("olga", "operator")), IsOk());
}

TEST_F(ReleaseTest, ABoardFetchesTheReleaseOfItsOrderAlone) {
  const auto pushed = Push(channel_);
  ASSERT_THAT(pushed, IsOk());
  const auto channel_a = DeviceChannel("device-a");
  const auto channel_b = DeviceChannel("device-b");
  HandWorker board_a(channel_a, HelloOf("device-a"));
  HandWorker board_b(channel_b, HelloOf("device-b"));
  v1::CoordinatorMessage message;
  ASSERT_TRUE(board_a.ReadUntil(v1::CoordinatorMessage::kDesired, message));
  ASSERT_TRUE(board_b.ReadUntil(v1::CoordinatorMessage::kDesired, message));
  const auto artifacts_a = v1::ArtifactService::NewStub(channel_a);
  const auto artifacts_b = v1::ArtifactService::NewStub(channel_b);
  v1::Manifest manifest;
  EXPECT_THAT(FetchManifest(*artifacts_a, pushed->artifact_id(), manifest),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("no attempt that this board shall run uses it")));

  v1::Upgrade upgrade;
  ASSERT_THAT(Call(*upgrades_, &Upgrades::StartUpgrade, ToDevice("name-of-device-a"), upgrade),
              IsOk());
  EXPECT_EQ(upgrade.upgrade_id(), "u1");
  do {
    ASSERT_TRUE(board_a.ReadUntil(v1::CoordinatorMessage::kDesired, message));
  } while (!message.desired().has_upgrade());
  EXPECT_EQ(message.desired().upgrade().artifact_id(), pushed->artifact_id());
  EXPECT_THAT(FetchManifest(*artifacts_a, pushed->artifact_id(), manifest), IsOk());
  EXPECT_THAT(FetchChunk(*artifacts_a, manifest), IsOk());
  v1::Manifest none;
  EXPECT_THAT(FetchManifest(*artifacts_b, pushed->artifact_id(), none),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("no attempt that this board shall run uses it")));
  EXPECT_THAT(FetchChunk(*artifacts_b, manifest),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("no attempt that this board shall run uses it")));

  v1::Report report;
  report.mutable_upgrade_ended()->set_upgrade_id("u1");
  report.mutable_upgrade_ended()->set_version("0.2.0");
  report.mutable_upgrade_ended()->set_active(true);
  board_a.Report(report);
  do {
    ASSERT_TRUE(board_a.ReadUntil(v1::CoordinatorMessage::kDesired, message));
  } while (message.desired().has_upgrade());
  EXPECT_THAT(FetchManifest(*artifacts_a, pushed->artifact_id(), manifest),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("no attempt that this board shall run uses it")));
}

TEST_F(ReleaseTest, OperatorsUpgradeAndViewersLook) {
  ASSERT_THAT(Push(channel_), IsOk());
  HandWorker board(DeviceChannel("device-a"), HelloOf("device-a"));
  v1::CoordinatorMessage message;
  ASSERT_TRUE(board.ReadUntil(v1::CoordinatorMessage::kDesired, message));
  const auto viewer = v1::UpgradeService::NewStub(PersonChannel("vera", "viewer"));
  v1::Upgrade upgrade;
  const v1::StartUpgradeRequest request = ToDevice("name-of-device-a");
  EXPECT_THAT(Call(*viewer, &Upgrades::PlanUpgrade, request, upgrade), IsOk());
  EXPECT_EQ(upgrade.devices_size(), 1);
  EXPECT_EQ(upgrade.upgrade_id(), "");
  EXPECT_EQ(Call(*viewer, &Upgrades::StartUpgrade, request, upgrade).code(), kDenied);
  ASSERT_THAT(Call(*upgrades_, &Upgrades::StartUpgrade, request, upgrade), IsOk());
  v1::PauseUpgradeRequest pause;
  pause.set_reason("lunch");
  EXPECT_EQ(Call(*viewer, &Upgrades::PauseUpgrade, pause, upgrade).code(), kDenied);
  ASSERT_THAT(Call(*upgrades_, &Upgrades::PauseUpgrade, pause, upgrade), IsOk());
  EXPECT_EQ(upgrade.reason(), "by ann: lunch");
  ASSERT_THAT(Call(*upgrades_, &Upgrades::AbortUpgrade, v1::AbortUpgradeRequest(), upgrade),
              IsOk());
  EXPECT_THAT(Call(*viewer, &Upgrades::GetUpgrade, v1::GetUpgradeRequest(), upgrade), IsOk());
  EXPECT_EQ(upgrade.state(), v1::UPGRADE_STATE_ABORTED);
  EXPECT_EQ(upgrade.reason(), "by ann");
}

}  // namespace
}  // namespace wattle::rpc
