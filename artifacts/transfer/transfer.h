// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Artifacts over the wire, client side: push to and fetch from a coordinator's ArtifactService.
// Only chunks that the other side lacks travel; each is verified on arrival; repeating a call
// resumes it. Thread-safe (one call, one thread).
#ifndef WATTLE_ARTIFACTS_TRANSFER_TRANSFER_H_
#define WATTLE_ARTIFACTS_TRANSFER_TRANSFER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include "artifacts/file_cache.h"
#include "artifacts/sha256.h"
#include "units/id.h"
#include "wattle/v1/artifact.grpc.pb.h"

namespace wattle::artifacts {

struct TransferProgress {
  int64_t moved_bytes = 0;  // Bytes moved in this call.
  int64_t total_bytes = 0;  // Bytes to move, without known chunks.
  // For a fetch: the part of moved_bytes from sources other than the coordinator, and the time
  // spent on them, waiting included.
  int64_t elsewhere_bytes = 0;
  absl::Duration elsewhere{};
};

// Sources of a fetch's chunks besides the coordinator. Used on the thread of the fetch.
class ChunkSources {
 public:
  using Stream = std::unique_ptr<grpc::ClientReaderInterface<v1::Chunk>>;

  virtual ~ChunkSources() = default;
  // Opens a stream of these chunks; may wait first. context: the call's, to which the source sets a
  // deadline. Null: use the coordinator.
  virtual Stream Open(const ArtifactId& id, const std::vector<ChunkId>& chunks,
                      grpc::ClientContext& context) = 0;
  // The stream of the last Open has ended. kDataLoss: the bytes were wrong. Open must stop
  // returning a source that keeps failing, because the fetch calls Open until it returns null.
  virtual void Ended(const absl::Status& status, size_t chunks_came) = 0;
};

struct TransferOptions {
  double bytes_per_second_max = 0;                        // 0: no cap.
  std::function<void(const TransferProgress&)> progress;  // After each chunk; may be empty.
  std::function<bool()> cancelled;                        // Called before each chunk; may be empty.
  absl::Duration call_timeout = absl::Seconds(30);  // Time limit of each call, added to the time
                                                    // for its bytes.
  bool move_name = false;           // For a push: its name may be moved from another artifact.
  std::string project = {};         // For a push: the project whose members may read it; empty:
                                    // "default".
  ChunkSources* sources = nullptr;  // For a fetch: used before the coordinator.
};

// Sends a file or a directory. info: kind, name and what is known of the content. Returns the
// artifact as the coordinator committed it. Errors: those of BuildManifest and of the service,
// kDataLoss when the file changed meanwhile, kCancelled, kUnavailable (call again to resume).
absl::StatusOr<v1::ArtifactInfo> Push(v1::ArtifactService::StubInterface& stub,
                                      const std::string& path, const v1::ArtifactInfo& info,
                                      const TransferOptions& options = {});
// Push with a manifest already built from `path`, so that a retried push does not hash everything
// again.
absl::StatusOr<v1::ArtifactInfo> PushManifest(v1::ArtifactService::StubInterface& stub,
                                              const std::string& path, const v1::Manifest& manifest,
                                              const v1::ArtifactInfo& info,
                                              const TransferOptions& options = {});

// Fetches an artifact into `cache` and commits it there; returns at once if the cache has it.
// Errors: kNotFound, kResourceExhausted, kDataLoss, kCancelled, kUnavailable.
absl::Status Fetch(v1::ArtifactService::StubInterface& stub, const ArtifactId& id, FileCache& cache,
                   const TransferOptions& options = {});

}  // namespace wattle::artifacts

#endif  // WATTLE_ARTIFACTS_TRANSFER_TRANSFER_H_
