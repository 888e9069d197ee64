// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Who has a chunk: whoever may read an artifact with it, and whoever sent its bytes a short time
// ago. A device reads all artifacts but the releases that it is not ordered to run. The store keeps
// one copy for all, and knowing a hash gives nothing. Thread-safe.
#ifndef WATTLE_COORDINATOR_RPC_CHUNK_RIGHTS_H_
#define WATTLE_COORDINATOR_RPC_CHUNK_RIGHTS_H_

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "artifacts/blob_store.h"
#include "artifacts/sha256.h"
#include "base/clock.h"
#include "coordinator/core/projects.h"
#include "coordinator/core/state.h"

namespace wattle::rpc {

class ChunkRights {
 public:
  // store: must outlive the object.
  explicit ChunkRights(const artifacts::BlobStore& store) : store_(store) {}

  // Before there is a second project everybody has everything.
  static bool Restricts(const core::State& state, const core::Scope& scope) {
    return !scope.all() && !state.projects.empty();
  }

  // Those of the chunks that the caller has not. who: as in NoteSent.
  [[nodiscard]] std::vector<artifacts::ChunkId> WithoutRight(
      const core::State& state, const core::Scope& scope, const std::string& who,
      const std::vector<artifacts::ChunkId>& chunks);
  // Those of the chunks that only releases have which the device is not ordered to run.
  [[nodiscard]] std::vector<artifacts::ChunkId> OfOtherReleases(
      const core::State& state, const DeviceId& device,
      const std::vector<artifacts::ChunkId>& chunks);
  // The caller sent the bytes of the chunk, and the store has checked them.
  void NoteSent(const std::string& who, const artifacts::ChunkId& chunk, Monotonic now);

 private:
  struct Sent {
    std::set<artifacts::ChunkId> chunks;
    Monotonic last;
  };
  void ReadManifestsLocked(const core::State& state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const artifacts::BlobStore& store_;
  absl::Mutex mutex_;
  std::map<std::string, Sent> sent_ ABSL_GUARDED_BY(mutex_);  // Key: who.
  size_t sent_count_ ABSL_GUARDED_BY(mutex_) = 0;             // Over all callers.
  // An artifact's id hashes its manifest, so that what was read once stays true.
  std::set<ArtifactId> read_ ABSL_GUARDED_BY(mutex_);
  std::map<artifacts::ChunkId, std::vector<ArtifactId>> artifacts_of_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wattle::rpc

#endif  // WATTLE_COORDINATOR_RPC_CHUNK_RIGHTS_H_
