// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A directory of content-addressed artifacts as chunks: the coordinator's store.
//
//   DIR/chunks/ab/abcd…     a chunk by its SHA-256; written to partial/, fsynced, renamed
//   DIR/manifests/ID        the canonical form of a committed artifact's manifest; its change time
//                           is the artifact's last use
//   DIR/pins/ID             an artifact that eviction never takes
//   DIR/partial/            what is being written; emptied at Open
//
// An artifact exists from CommitManifest on, which requires all chunks and syncs them: a truncated
// upload never becomes an artifact. Chunks without a manifest belong to an upload in progress. For
// `upload_age` they are evicted after unused artifacts, so that a board whose link is up for
// minutes a day can resume its upload the next day. Thread-safe; one process owns a directory.
#ifndef WATTLE_ARTIFACTS_BLOB_STORE_H_
#define WATTLE_ARTIFACTS_BLOB_STORE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "artifacts/disk_budget.h"
#include "artifacts/sha256.h"
#include "base/clock.h"
#include "units/id.h"
#include "wattle/v1/artifact.pb.h"

namespace wattle::artifacts {

struct BlobStoreOptions {
  std::string directory;    // Made if missing; its parent must exist.
  int64_t quota_bytes = 0;  // Limit of all chunks together; 0: none.
  // An upload that would leave less is refused, because the journal beside the store must still be
  // able to commit.
  int64_t free_space_reserve_bytes = int64_t{256} << 20;
  // Eviction spares artifacts and chunks of uploads that were used more recently.
  absl::Duration young_age = absl::Minutes(10);
  // An upload that was not continued for this long is dropped as soon as room is needed.
  absl::Duration upload_age = absl::Hours(24 * 7);
  FreeSpaceProbe free_space = FreeSpaceOf;
};

struct StoredArtifact {
  ArtifactId id;
  int64_t size_bytes = 0;  // Size of its files; shared chunks count in each artifact.
  absl::Time last_used;
  bool pinned = false;
};

class BlobStore {
 public:
  // clock: outlives the store. Errors: kNotFound, kPermissionDenied, kResourceExhausted, kInternal.
  static absl::StatusOr<std::unique_ptr<BlobStore>> Open(BlobStoreOptions options,
                                                         const Clock& clock);

  [[nodiscard]] bool HasChunk(const ChunkId& id) const;
  // Verifies and stores a chunk; a known chunk is not written again. kDataLoss: the bytes are not
  // those of `id`; kInvalidArgument: longer than a chunk; kResourceExhausted: see CheckRoom.
  absl::Status PutChunk(const ChunkId& id, absl::string_view bytes);
  // Verifies the chunk again. kNotFound; kDataLoss: the disk changed the chunk, which is then
  // removed.
  absl::StatusOr<std::string> ReadChunk(const ChunkId& id);
  // The missing chunks of a valid manifest, each once, in order of first use. The present chunks
  // count as young from now on, because the calling upload relies on them.
  std::vector<ChunkId> MissingChunks(const v1::Manifest& manifest);

  // Whether the upload fits now. Like CouldFit, changes nothing. Errors: those of CheckRoom.
  [[nodiscard]] absl::Status Fits(int64_t upload_bytes) const;
  // Whether the upload would fit without these artifacts, and without uploads that are not young.
  [[nodiscard]] absl::Status CouldFit(int64_t upload_bytes,
                                      const std::set<ArtifactId>& removable) const;
  // Before an upload: is there room for `upload_bytes` more beside the reserve and within the
  // quota, after evicting artifacts that are not live, and uploads older than `upload_age`?
  // kResourceExhausted states the missing amount and the remedy.
  absl::Status CheckRoom(int64_t upload_bytes, const std::set<ArtifactId>& live);
  // For an upload that CheckRoom refuses: drops uploads that are not young, the longest unused
  // first, until there is room.
  absl::Status CheckRoomOfUploads(int64_t upload_bytes);

  // Makes the artifact exist, durably. kInvalidArgument: not a valid manifest; kFailedPrecondition:
  // chunks are missing (with their number), nothing changed. Repeated calls are harmless.
  absl::StatusOr<ArtifactId> CommitManifest(const v1::Manifest& manifest);
  [[nodiscard]] bool HasArtifact(const ArtifactId& id) const;
  absl::StatusOr<v1::Manifest> ReadManifest(const ArtifactId& id) const;
  [[nodiscard]] std::vector<StoredArtifact> ListArtifacts() const;  // By id.

  absl::Status Pin(const ArtifactId& id);
  absl::Status Unpin(const ArtifactId& id);
  void Touch(const ArtifactId& id);

  // Removes uploads older than `upload_age`, artifacts, the longest unused first, and then other
  // uploads, until the chunks take at most `target_bytes`. Pinned artifacts, those in `live`, and
  // young artifacts and uploads are kept. Returns the bytes freed.
  absl::StatusOr<int64_t> Evict(int64_t target_bytes, const std::set<ArtifactId>& live);
  absl::Status Remove(const ArtifactId& id);
  // Remove, except that chunks that recently arrived or were reported present stay for an upload.
  absl::Status RemoveForRoom(const ArtifactId& id);

  [[nodiscard]] int64_t used_bytes() const;  // Size of all chunks.
  [[nodiscard]] const BlobStoreOptions& options() const { return options_; }

 private:
  struct Entry {
    v1::Manifest manifest;
    int64_t size_bytes = 0;
    absl::Time last_used;  // a stamp, for people and for the order of eviction
    Monotonic touched;     // the same instant; decides whether the artifact is young
    bool pinned = false;
  };
  // A chunk on disk: how many committed artifacts use it, its size, and its arrival.
  struct ChunkEntry {
    int64_t size_bytes = 0;
    int64_t references = 0;
    Monotonic arrived;
  };

  BlobStore(BlobStoreOptions options, const Clock& clock);
  absl::Status MakeLayout();
  absl::Status LoadChunks();
  absl::Status LoadManifests();
  absl::Status SyncChunkDirectories(const v1::Manifest& manifest) const;
  void InsertLocked(const ArtifactId& id, Entry entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status RemoveLocked(const ArtifactId& id, Monotonic young)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The time of last use for a file's change time: its age by the wall clock, between zero and
  // twice `upload_age`. A stamp in the future, from before the clock was set back, ages too.
  [[nodiscard]] Monotonic UsedAt(absl::Time changed) const;
  // Makes room for the upload by `evict`, which frees chunks down to a target, and checks the
  // result.
  absl::Status CheckRoomBy(int64_t upload_bytes,
                           const std::function<absl::Status(int64_t target_bytes)>& evict);
  // Whether the upload fits once `freed_bytes` are freed.
  [[nodiscard]] absl::Status FitsAfter(int64_t upload_bytes, int64_t freed_bytes) const;
  absl::Status EvictArtifactsLocked(int64_t target_bytes, const std::set<ArtifactId>& live)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Evicts chunks of uploads that were not continued for `age`, the oldest first.
  void EvictUploadsLocked(int64_t target_bytes, absl::Duration age)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ForgetChunk(const ChunkId& id);
  std::string PathOf(absl::string_view folder, absl::string_view name) const;
  std::string ChunkPath(const ChunkId& id) const;
  std::string PartialPath();

  const BlobStoreOptions options_;
  const Clock& clock_;
  mutable absl::Mutex mutex_;  // Guards the tables below; files are written without it.
  std::map<ArtifactId, Entry> artifacts_ ABSL_GUARDED_BY(mutex_);
  std::map<ChunkId, ChunkEntry> chunks_ ABSL_GUARDED_BY(mutex_);
  int64_t used_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t partial_count_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace wattle::artifacts

#endif  // WATTLE_ARTIFACTS_BLOB_STORE_H_
