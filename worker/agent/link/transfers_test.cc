// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/link/transfers.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"

#include "artifacts/testing/store_fixture.h"
#include "artifacts/transfer/grpc_status.h"
#include "base/testing/status_matchers.h"
#include "worker/agent/link/testing/slow_link.h"

namespace wattle::agent {
namespace {

// The two calls of a fetch.
class StoreService final : public v1::ArtifactService::Service {
 public:
  explicit StoreService(artifacts::BlobStore& store) : store_(store) {}

  grpc::Status GetManifest(grpc::ServerContext*, const v1::GetManifestRequest* request,
                           v1::Manifest* response) override {
    const auto manifest = store_.ReadManifest(ArtifactId(request->artifact_id()));
    if (manifest.ok()) {
      *response = *manifest;
    }
    return ToGrpc(manifest.status());
  }
  grpc::Status GetChunks(grpc::ServerContext*, const v1::GetChunksRequest* request,
                         grpc::ServerWriter<v1::Chunk>* writer) override {
    for (const std::string& digest : request->sha256()) {
      v1::Chunk chunk;
      chunk.set_sha256(digest);
      chunk.set_data(*store_.ReadChunk(artifacts::ChunkId(digest)));
      writer->Write(chunk);
    }
    return grpc::Status::OK;
  }

 private:
  artifacts::BlobStore& store_;
};

class TransfersTest : public artifacts::StoreFixture {
 protected:
  TransfersTest() : service_(*store_) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &server_port_);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
  }

  // Fetches the artifact as an attempt's only input.
  FetchResult Fetch(Transfers& transfers, const std::string& artifact_id) {
    v1::Assignment assignment;
    v1::ResolvedInput& input = *assignment.add_inputs();
    input.set_field("model");
    input.set_artifact_id(artifact_id);
    {
      absl::MutexLock lock(&mutex_);
      fetched_.reset();
    }
    transfers.Fetch(assignment, {artifact_id}, Path("checkpoint"));
    absl::MutexLock lock(&mutex_);
    auto done = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return fetched_.has_value(); };
    mutex_.Await(absl::Condition(&done));
    return *fetched_;
  }
  std::unique_ptr<Transfers> Open(int port) {
    TransferCallbacks callbacks;
    callbacks.on_fetched = [this](FetchResult result) {
      absl::MutexLock lock(&mutex_);
      fetched_ = std::move(result);
    };
    callbacks.on_uploaded = [](const UploadResult&) {};
    callbacks.on_upload_progress = [](const UploadProgress&) {};
    callbacks.on_cache = [](const std::vector<std::string>&, int64_t) {};
    callbacks.on_short_of_room = [](int64_t) {};
    callbacks.on_link_bytes = [this](const v1::LinkBytes& bytes) {
      absl::MutexLock lock(&mutex_);
      fetched_bytes_ += bytes.fetched();
    };
    artifacts::DiskBudget budget;
    budget.directory = Path("cache");
    auto transfers =
        Transfers::Open(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials(),
                        std::move(budget), callbacks);
    return *std::move(transfers);
  }

  std::unique_ptr<artifacts::BlobStore> store_ = OpenStore();
  StoreService service_;
  int server_port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  absl::Mutex mutex_;
  std::optional<FetchResult> fetched_ ABSL_GUARDED_BY(mutex_);
  int64_t fetched_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

// From connect to HTTP/2's settings takes two round trips: a try that gives up after 0.2 s never
// ends.
TEST_F(TransfersTest, AnArtifactArrivesOverALinkOfALongRoundTrip) {
  SlowLink link(server_port_, absl::Milliseconds(300));
  const std::string id = Add(*store_, WriteFile("w", Bytes(3000, 'w'))).value();
  const auto transfers = Open(link.port());
  const FetchResult result = Fetch(*transfers, id);
  EXPECT_THAT(result.status, IsOk());
  EXPECT_EQ(result.inputs.size(), 1);
  absl::MutexLock lock(&mutex_);
  EXPECT_EQ(fetched_bytes_, 3000);
}

TEST_F(TransfersTest, OneConnectionIsKeptFromTryToTry) {
  SlowLink link(server_port_, absl::ZeroDuration());
  const auto transfers = Open(link.port());
  const std::string unknown(64, 'a');
  EXPECT_THAT(Fetch(*transfers, unknown).status, StatusIs(absl::StatusCode::kNotFound, testing::_));
  EXPECT_THAT(Fetch(*transfers, unknown).status, StatusIs(absl::StatusCode::kNotFound, testing::_));
  EXPECT_EQ(link.connections(), 1);
}

}  // namespace
}  // namespace wattle::agent
