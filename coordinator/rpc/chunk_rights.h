// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Who has a chunk: whoever may read an artifact with it, and whoever sent its bytes a short time
// ago. A person reads the artifacts of his projects, and a board those that its work needs. The
// store keeps one copy for all, and knowing a hash gives nothing. Thread-safe.
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

  struct Reader {
    core::Scope scope;
    std::string who;          // From NoteSent.
    std::string device = {};  // Its id; empty: of a person, whose scope counts.
  };

  // Before there is a second project every person has everything.
  static bool Restricts(const core::State& state, const Reader& reader) {
    return !reader.device.empty() || (!reader.scope.all() && !state.projects.empty());
  }
  static bool MayRead(const core::State& state, const Reader& reader, const ArtifactId& id);

  // Those of the chunks that the reader has not.
  [[nodiscard]] std::vector<artifacts::ChunkId> WithoutRight(
      const core::State& state, const Reader& reader,
      const std::vector<artifacts::ChunkId>& chunks);
  // The caller sent the bytes of the chunk, and the store has checked them.
  void NoteSent(const std::string& who, const artifacts::ChunkId& chunk, Monotonic now);

 private:
  struct Sent {
    std::set<artifacts::ChunkId> chunks;
    Monotonic last;
  };
  // Reads the manifests of all artifacts that the reader may read.
  void ReadManifestsLocked(const core::State& state, const std::set<ArtifactId>& ids)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

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
