// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "artifacts/transfer/transfer.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"

#include "artifacts/manifest.h"
#include "artifacts/testing/store_fixture.h"
#include "artifacts/transfer/grpc_status.h"
#include "base/testing/status_matchers.h"

namespace wattle::artifacts {
namespace {

using testing::HasSubstr;

// A service over a store, with the faults of a bad link.
class FaultyService final : public v1::ArtifactService::Service {
 public:
  explicit FaultyService(BlobStore& store) : store_(store) {}

  grpc::Status MissingChunks(grpc::ServerContext*, const v1::MissingChunksRequest* request,
                             v1::MissingChunksResponse* response) override {
    for (const ChunkId& id : store_.MissingChunks(request->manifest())) {
      response->add_chunk_sha256(id.value());
    }
    return grpc::Status::OK;
  }
  grpc::Status PutChunks(grpc::ServerContext*, grpc::ServerReader<v1::PutChunkRequest>* reader,
                         v1::PutChunksResponse*) override {
    v1::PutChunkRequest request;
    while (reader->Read(&request)) {
      if (chunks_until_break-- == 0) {
        return {grpc::StatusCode::UNAVAILABLE, "link broke"};
      }
      ++chunks_received;
      const absl::Status status = store_.PutChunk(ChunkId(request.sha256()), request.data());
      if (!status.ok()) {
        return ToGrpc(status);
      }
    }
    return grpc::Status::OK;
  }
  grpc::Status CommitArtifact(grpc::ServerContext*, const v1::CommitArtifactRequest* request,
                              v1::ArtifactInfo* info) override {
    const absl::StatusOr<ArtifactId> id = store_.CommitManifest(request->manifest());
    *info = request->info();
    info->set_artifact_id(id.ok() ? id->value() : "");
    return ToGrpc(id.status());
  }
  grpc::Status GetManifest(grpc::ServerContext*, const v1::GetManifestRequest* request,
                           v1::Manifest* response) override {
    const absl::StatusOr<v1::Manifest> manifest =
        store_.ReadManifest(ArtifactId(request->artifact_id()));
    if (manifest.ok()) {
      *response = *manifest;
    }
    if (evil_path) {
      response->mutable_files(0)->set_path("../../evil");
    }
    return ToGrpc(manifest.status());
  }
  grpc::Status GetChunks(grpc::ServerContext*, const v1::GetChunksRequest* request,
                         grpc::ServerWriter<v1::Chunk>* writer) override {
    for (const std::string& digest : request->sha256()) {
      if (chunks_until_break-- == 0) {
        return grpc::Status::OK;  // Ends early without an error.
      }
      v1::Chunk chunk;
      chunk.set_sha256(digest);
      chunk.set_data(*store_.ReadChunk(ChunkId(digest)));
      if (corrupt) {
        (*chunk.mutable_data())[0] ^= 1;
      }
      ++chunks_sent;
      writer->Write(chunk);
    }
    return grpc::Status::OK;
  }

  int chunks_until_break = -1;
  bool corrupt = false;
  bool evil_path = false;
  int chunks_received = 0;
  int chunks_sent = 0;

 private:
  BlobStore& store_;
};

class TransferTest : public StoreFixture {
 protected:
  TransferTest() : service_(*remote_) {
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = v1::ArtifactService::NewStub(server_->InProcessChannel({}));
  }
  std::unique_ptr<FileCache> OpenCache(FreeSpaceProbe free_space = FreeSpaceOf) {
    auto cache =
        FileCache::Open({.directory = Path("cache"), .free_space = std::move(free_space)}, clock_);
    EXPECT_THAT(cache, IsOk());
    return *std::move(cache);
  }

  std::unique_ptr<BlobStore> remote_ = OpenStore();
  FaultyService service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::ArtifactService::Stub> stub_;
};

TEST_F(TransferTest, PushSendsEachChunkOnceAndCommits) {
  const std::string repeated = Bytes(kChunkSizeBytes, 'r');
  WriteFile("model/a", repeated + repeated + "tail");
  v1::ArtifactInfo info;
  info.set_name("tiny");
  int64_t moved_bytes = 0;
  TransferOptions options;
  options.progress = [&moved_bytes](const TransferProgress& progress) {
    moved_bytes = progress.moved_bytes;
    EXPECT_EQ(progress.total_bytes, kChunkSizeBytes + 4);
  };
  const auto committed = Push(*stub_, Path("model"), info, options);
  ASSERT_THAT(committed, IsOk());
  EXPECT_EQ(committed->name(), "tiny");
  EXPECT_TRUE(remote_->HasArtifact(ArtifactId(committed->artifact_id())));
  EXPECT_EQ(service_.chunks_received, 2);
  EXPECT_EQ(moved_bytes, kChunkSizeBytes + 4);
  ASSERT_THAT(Push(*stub_, Path("model"), info), IsOk());
  EXPECT_EQ(service_.chunks_received, 2) << "known chunks are not sent";
}

TEST_F(TransferTest, ABrokenPushLeavesNoArtifactAndResumes) {
  const std::string path = WriteFile("w", Bytes(40 * kChunkSizeBytes, 'w'));
  service_.chunks_until_break = 20;
  EXPECT_THAT(Push(*stub_, path, {}), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("link")));
  EXPECT_TRUE(remote_->ListArtifacts().empty());
  service_.chunks_until_break = -1;
  EXPECT_THAT(Push(*stub_, path, {}), IsOk());
  EXPECT_EQ(service_.chunks_received, 40) << "20 before the break, the other 20 after it";
}

TEST_F(TransferTest, FetchVerifiesAndResumes) {
  const ArtifactId id = Add(*remote_, WriteFile("w", Bytes(40 * kChunkSizeBytes, 'w')));
  const auto cache = OpenCache();
  service_.chunks_until_break = 25;
  EXPECT_THAT(Fetch(*stub_, id, *cache),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("resume")));
  EXPECT_FALSE(cache->HasArtifact(id));
  service_.chunks_until_break = -1;
  service_.chunks_sent = 0;
  ASSERT_THAT(Fetch(*stub_, id, *cache), IsOk());
  EXPECT_EQ(service_.chunks_sent, 7) << "what the second call of 16 lost";
  EXPECT_TRUE(cache->HasArtifact(id));
}

TEST_F(TransferTest, ACorruptChunkIsRefused) {
  const ArtifactId id = Add(*remote_, WriteFile("w", "bytes"));
  service_.corrupt = true;
  const auto cache = OpenCache();
  EXPECT_THAT(Fetch(*stub_, id, *cache),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("changed on the way")));
  EXPECT_FALSE(cache->HasArtifact(id));
}

TEST_F(TransferTest, AManifestThatLeadsOutIsRefused) {
  const ArtifactId id = Add(*remote_, WriteFile("w", "bytes"));
  service_.evil_path = true;
  EXPECT_THAT(Fetch(*stub_, id, *OpenCache()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("../../evil")));
}

TEST_F(TransferTest, AFullDiskIsSaidBeforeAnythingTravels) {
  const ArtifactId id = Add(*remote_, WriteFile("w", "bytes"));
  const auto full = [](const std::string&) -> absl::StatusOr<int64_t> { return 0; };
  EXPECT_THAT(Fetch(*stub_, id, *OpenCache(full)),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("disk full")));
  EXPECT_EQ(service_.chunks_sent, 0);
}

TEST_F(TransferTest, CancelStopsBetweenChunks) {
  const std::string path = WriteFile("w", Bytes(10 * kChunkSizeBytes, 'w'));
  TransferOptions options;
  int asked = 0;
  options.cancelled = [&asked] { return ++asked > 3; };
  EXPECT_THAT(PushManifest(*stub_, path, *BuildManifest(path), {}, options),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("resume")));
}

TEST_F(TransferTest, CancelStopsTheHashingToo) {
  const std::string path = WriteFile("w", Bytes(10 * kChunkSizeBytes, 'w'));
  TransferOptions options;
  int asked = 0;
  options.cancelled = [&asked] { return ++asked > 3; };
  EXPECT_THAT(Push(*stub_, path, {}, options),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("hashing")));
  EXPECT_EQ(asked, 4);
}

TEST_F(TransferTest, TheByteRateIsACap) {
  const std::string path = WriteFile("w", Bytes(kChunkSizeBytes, 'w'));
  TransferOptions options;
  options.bytes_per_second_max = 4.0 * kChunkSizeBytes;
  const Monotonic start = Clock::Real().Boottime();
  ASSERT_THAT(Push(*stub_, path, {}, options), IsOk());
  EXPECT_GE(Clock::Real().Boottime() - start, absl::Milliseconds(249));
}

// A neighbouring board over the same store, used for `calls` calls.
class Neighbour final : public ChunkSources {
 public:
  Neighbour(BlobStore& store, int calls) : service(store), calls_(calls) {
    grpc::ServerBuilder builder;
    builder.RegisterService(&service);
    server_ = builder.BuildAndStart();
    stub_ = v1::ArtifactService::NewStub(server_->InProcessChannel({}));
  }

  Stream Open(const ArtifactId&, const std::vector<ChunkId>& chunks,
              grpc::ClientContext& context) override {
    if (calls_ == 0) {
      return nullptr;
    }
    --calls_;
    v1::GetChunksRequest request;
    for (const ChunkId& chunk : chunks) {
      request.add_sha256(chunk.value());
    }
    return stub_->GetChunks(&context, request);
  }
  void Ended(const absl::Status& status, size_t chunks_came) override {
    ended.push_back(status);
    came += chunks_came;
  }

  FaultyService service;
  std::vector<absl::Status> ended;
  size_t came = 0;

 private:
  int calls_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::ArtifactService::Stub> stub_;
};

TEST_F(TransferTest, WhatANeighbourGaveTheCoordinatorDoesNotSend) {
  const ArtifactId id = Add(*remote_, WriteFile("w", Bytes(20 * kChunkSizeBytes, 'w')));
  Neighbour neighbour(*remote_, /*calls=*/1);
  neighbour.service.chunks_until_break = 5;  // then it is cut off
  TransferProgress last;
  TransferOptions options;
  options.sources = &neighbour;
  options.progress = [&last](const TransferProgress& progress) { last = progress; };
  ASSERT_THAT(Fetch(*stub_, id, *OpenCache(), options), IsOk());
  EXPECT_EQ(neighbour.came, 5u);
  EXPECT_EQ(service_.chunks_sent, 15);
  EXPECT_EQ(last.moved_bytes, 20 * kChunkSizeBytes);
  EXPECT_EQ(last.elsewhere_bytes, 5 * kChunkSizeBytes);
}

TEST_F(TransferTest, WrongBytesOfANeighbourEndNoFetch) {
  const ArtifactId id = Add(*remote_, WriteFile("w", Bytes(3 * kChunkSizeBytes, 'w')));
  Neighbour neighbour(*remote_, /*calls=*/1);
  neighbour.service.corrupt = true;
  TransferOptions options;
  options.sources = &neighbour;
  const auto cache = OpenCache();
  ASSERT_THAT(Fetch(*stub_, id, *cache, options), IsOk());
  ASSERT_EQ(neighbour.ended.size(), 1u);
  EXPECT_THAT(neighbour.ended[0], StatusIs(absl::StatusCode::kDataLoss, HasSubstr("changed")));
  EXPECT_EQ(neighbour.came, 0u);
  EXPECT_EQ(service_.chunks_sent, 3);
  EXPECT_TRUE(cache->HasArtifact(id));
}

TEST_F(TransferTest, AFetchIsCancelledAtANeighbourToo) {
  const ArtifactId id = Add(*remote_, WriteFile("w", Bytes(3 * kChunkSizeBytes, 'w')));
  Neighbour neighbour(*remote_, /*calls=*/100);
  TransferOptions options;
  options.sources = &neighbour;
  options.cancelled = [] { return true; };
  EXPECT_THAT(Fetch(*stub_, id, *OpenCache(), options),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("resume")));
  EXPECT_EQ(neighbour.came, 1u);
  EXPECT_EQ(service_.chunks_sent, 0);
}

}  // namespace
}  // namespace wattle::artifacts
