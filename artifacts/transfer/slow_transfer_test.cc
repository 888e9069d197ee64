// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Fetches over the worst supported links: minutes of contact a day, and 1 kB/s.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"

#include "artifacts/manifest.h"
#include "artifacts/testing/store_fixture.h"
#include "artifacts/transfer/transfer.h"
#include "base/testing/status_matchers.h"

namespace wattle::artifacts {
namespace {

constexpr int64_t kPayloadBytes = 600'000'000;
constexpr int64_t kSlowestBytesPerSecond = 1000;
// Ten minutes at 50 kB/s.
constexpr int64_t kContactBytes = 30'000'000;
// Overhead of a message: gRPC's prefix and the header of HTTP/2.
constexpr int64_t kFrameBytes = 14;

// Serves an artifact whose chunks all differ, and counts the bytes on its link. The link breaks in
// the middle of a message, once the contact's bytes are used up.
class RareService final : public v1::ArtifactService::Service {
 public:
  RareService() {
    v1::ManifestFile& file = *manifest_.add_files();
    file.set_path("weights");
    file.set_size_bytes(kPayloadBytes);
    for (int64_t at = 0; at < kPayloadBytes; at += kChunkSizeBytes) {
      const std::string chunk = ChunkAt(at);
      chunks_[Sha256(chunk).value()] = at;
      file.add_chunk_sha256(Sha256(chunk).value());
    }
  }

  grpc::Status GetManifest(grpc::ServerContext* context, const v1::GetManifestRequest*,
                           v1::Manifest* response) override {
    manifest_time = context->deadline() - std::chrono::system_clock::now();
    *response = manifest_;
    return Pass(manifest_) ? grpc::Status::OK : Broken();
  }
  grpc::Status GetChunks(grpc::ServerContext* context, const v1::GetChunksRequest* request,
                         grpc::ServerWriter<v1::Chunk>* writer) override {
    chunks_time = context->deadline() - std::chrono::system_clock::now();
    chunks_of_call = request->sha256_size();
    for (const std::string& digest : request->sha256()) {
      v1::Chunk chunk;
      chunk.set_sha256(digest);
      chunk.set_data(ChunkAt(chunks_.at(digest)));
      if (!Pass(chunk)) {
        return Broken();
      }
      writer->Write(chunk);
    }
    return grpc::Status::OK;
  }

  void BeginContact(int64_t bytes) { left_bytes_ = bytes; }
  [[nodiscard]] ArtifactId id() const { return IdOf(manifest_); }
  [[nodiscard]] const v1::Manifest& manifest() const { return manifest_; }

  int64_t passed_bytes = 0;
  std::chrono::duration<double> manifest_time{};
  std::chrono::duration<double> chunks_time{};
  int64_t chunks_of_call = 0;

 private:
  static std::string ChunkAt(int64_t at) {
    std::string bytes(static_cast<size_t>(std::min(kChunkSizeBytes, kPayloadBytes - at)), 'w');
    const std::string own = absl::StrCat(at);
    return bytes.replace(0, own.size(), own);
  }
  static grpc::Status Broken() { return {grpc::StatusCode::UNAVAILABLE, "link broke"}; }
  bool Pass(const google::protobuf::MessageLite& message) {
    const int64_t bytes = static_cast<int64_t>(message.ByteSizeLong()) + kFrameBytes;
    const int64_t passed = std::min(bytes, left_bytes_);
    passed_bytes += passed;
    left_bytes_ -= passed;
    return passed == bytes;
  }

  v1::Manifest manifest_;
  std::map<std::string, int64_t> chunks_;
  int64_t left_bytes_ = 0;
};

class SlowTransferTest : public StoreFixture {
 protected:
  SlowTransferTest() {
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = v1::ArtifactService::NewStub(server_->InProcessChannel({}));
  }
  // The board was off in the night: the fetch continues from the disk only.
  std::unique_ptr<FileCache> OpenCache() {
    auto cache = FileCache::Open({.directory = Path("cache")}, clock_);
    EXPECT_THAT(cache, IsOk());
    return *std::move(cache);
  }

  RareService service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::ArtifactService::Stub> stub_;
};

TEST_F(SlowTransferTest, SixHundredMegabytesResumeDailyWithTenMinutesOfContact) {
  int days = 0;
  absl::Status status = absl::UnavailableError("not begun");
  while (!status.ok() && days < 30) {
    ++days;
    service_.BeginContact(kContactBytes);
    const int64_t before_bytes = service_.passed_bytes;
    const std::unique_ptr<FileCache> cache = OpenCache();
    status = Fetch(*stub_, service_.id(), *cache);
    EXPECT_LE(service_.passed_bytes - before_bytes, kContactBytes);
    clock_.now += absl::Hours(24);
  }
  ASSERT_THAT(status, IsOk());
  EXPECT_EQ(days, 21) << "20 days of contact bring 600 MB, and what broke off comes again";
  EXPECT_LE(static_cast<double>(service_.passed_bytes), 1.05 * kPayloadBytes);
  std::cout << "rare link: " << days << " days, "
            << static_cast<double>(service_.passed_bytes) / kPayloadBytes << " of the payload\n";
}

// A call cut off by its deadline would send its last chunk again; at 1 kB/s that would be every
// second chunk.
TEST_F(SlowTransferTest, NoCallEndsBeforeItsBytesCameOverAKilobyteASecond) {
  const auto needs = [](int64_t bytes) {
    return std::chrono::duration<double>(static_cast<double>(bytes) / kSlowestBytesPerSecond);
  };
  service_.BeginContact(kContactBytes);
  EXPECT_FALSE(Fetch(*stub_, service_.id(), *OpenCache()).ok());
  EXPECT_GT(service_.manifest_time,
            needs(static_cast<int64_t>(service_.manifest().ByteSizeLong())));
  EXPECT_GT(service_.chunks_time, needs(service_.chunks_of_call * kChunkSizeBytes));
}

}  // namespace
}  // namespace wattle::artifacts
