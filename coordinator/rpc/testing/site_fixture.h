// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: boards of sites at a real coordinator, each with a job on one model.
#ifndef WATTLE_COORDINATOR_RPC_TESTING_SITE_FIXTURE_H_
#define WATTLE_COORDINATOR_RPC_TESTING_SITE_FIXTURE_H_

#include <fstream>
#include <map>
#include <memory>
#include <string>

#include "gtest/gtest.h"

#include "artifacts/transfer/transfer.h"
#include "coordinator/rpc/testing/server_fixture.h"
#include "wattle/v1/artifact.grpc.pb.h"
#include "wattle/v1/peer.grpc.pb.h"
#include "wattle/v1/service.grpc.pb.h"

namespace wattle::rpc {

class SiteFixture : public ServerFixture {
 protected:
  static constexpr size_t kModelBytes = (2 << 20) + 3;

  struct Board {
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<v1::PeerDirectory::Stub> directory;
    std::unique_ptr<HandWorker> worker;
  };

  void Join(const std::string& id, const std::string& site) {
    Board& board = boards_[id];
    board.channel = DeviceChannel(id);
    board.directory = v1::PeerDirectory::NewStub(board.channel);
    v1::Hello hello = runtime::HelloOf(id);
    if (!site.empty()) {
      v1::Label& label = *hello.mutable_device()->add_labels();
      label.set_key("site");
      label.set_value(site);
    }
    board.worker = std::make_unique<HandWorker>(board.channel, hello);
    v1::CoordinatorMessage message;
    EXPECT_TRUE(board.worker->ReadUntil(v1::CoordinatorMessage::kDesired, message));
  }
  // Each board that has joined gets a job on one model, and may read that from then on.
  void LeaseModel() {
    std::ofstream(Path("model"), std::ios::binary)
        << std::string(1 << 20, 'w') << std::string(1 << 20, 'v') << "end";
    const auto pushed = artifacts::Push(*v1::ArtifactService::NewStub(channel_), Path("model"),
                                        runtime::ModelInfoOf("tiny"));
    ASSERT_TRUE(pushed.ok()) << pushed.status();
    artifact_ = pushed->artifact_id();
    const auto jobs = v1::JobService::NewStub(channel_);
    for (auto& [id, board] : boards_) {
      v1::SubmitJobRequest submit;
      *submit.mutable_spec() = runtime::GenerateSpecOf("tiny");
      submit.mutable_spec()->add_required_labels("device=name-of-" + id);
      submit.set_idempotency_key(id);
      v1::SubmitJobResponse submitted;
      const absl::Status taken = Call(*jobs, &v1::JobService::Stub::SubmitJob, submit, submitted);
      ASSERT_TRUE(taken.ok()) << taken;
      v1::Assignment assignment;
      ASSERT_TRUE(board.worker->ReadUntilAssigned(assignment)) << id;
    }
  }

  std::map<std::string, Board> boards_;
  std::string artifact_;  // the model
};

}  // namespace wattle::rpc

#endif  // WATTLE_COORDINATOR_RPC_TESTING_SITE_FIXTURE_H_
