// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A worker's cache of artifacts, each stored once, as the files that a job reads:
//
//   DIR/files/ID/…       the files of an artifact, read-only
//   DIR/manifests/ID     its manifest in canonical form; the file's change time is the last use
//   DIR/incoming/ID/…    files of an artifact that is being fetched, with holes
//   DIR/received/ID      its received chunks (chunk_list.h)
//
// An artifact exists once its manifest stands beside its files. Chunks are written to their places
// in the files on arrival. A resumed fetch relies on the list of received chunks without reading
// them, because OpenVerified compares every byte anyway. A power cut loses the chunks of the last
// few seconds, which travel again. A chunk that another artifact of the cache holds is copied from
// it, so that it does not travel again. One thread owns a cache; one process owns the directory.
#ifndef WATTLE_ARTIFACTS_FILE_CACHE_H_
#define WATTLE_ARTIFACTS_FILE_CACHE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "artifacts/disk_budget.h"
#include "artifacts/sha256.h"
#include "base/clock.h"
#include "units/id.h"
#include "wattle/v1/artifact.pb.h"

namespace wattle::artifacts {

class FileCache {
 public:
  // Makes a missing directory (its parent must exist) and drops incomplete artifacts.
  // budget.directory is the cache's own. clock: outlives the cache. Errors: those of base/file.h.
  static absl::StatusOr<std::unique_ptr<FileCache>> Open(DiskBudget budget, const Clock& clock);
  ~FileCache();

  [[nodiscard]] bool HasArtifact(const ArtifactId& id) const;
  void Touch(const ArtifactId& id);  // counts as a use
  // Prepares the fetch of an artifact: makes room, and returns the missing chunks, each once, in
  // order of first use. manifest: valid. kResourceExhausted: no room, with the missing amount.
  absl::StatusOr<std::vector<ChunkId>> BeginFetch(const v1::Manifest& manifest);
  // kDataLoss: the bytes are not those of `id`. kFailedPrecondition: the artifact being fetched
  // does not need this chunk.
  absl::Status PutChunk(const ChunkId& id, absl::string_view bytes);
  // Makes the artifact exist, durably. kFailedPrecondition: chunks are missing.
  absl::StatusOr<ArtifactId> CommitManifest(const v1::Manifest& manifest);

  // The directory with the files of an artifact that the cache has.
  [[nodiscard]] std::string FilesOf(const ArtifactId& id) const;

  struct Files {
    std::string directory;
    v1::Manifest manifest;
  };
  // The files of an artifact, after a check of every byte against the checksums, because a job must
  // never use a model that the card has changed. cancelled: asked between chunks; may be empty.
  // kNotFound; kDataLoss: the disk changed or lost a file, the artifact is removed, fetch it again;
  // kInternal: the disk refuses to read, the artifact stays; kCancelled.
  absl::StatusOr<Files> OpenVerified(const ArtifactId& id, const std::function<bool()>& cancelled);

  // Artifacts that making room never removes, from now on.
  void KeepOnly(std::set<ArtifactId> needed) { needed_ = std::move(needed); }
  // Makes room for `wanted_bytes` of another writer on the same disk: removes artifacts that are
  // not needed, the longest unused first, until the budget has room. Returns the bytes still
  // missing.
  absl::StatusOr<int64_t> GiveWay(int64_t wanted_bytes);
  absl::Status Remove(const ArtifactId& id);

  [[nodiscard]] std::vector<ArtifactId> ListArtifacts() const;
  // Bytes of whole artifacts, of the one being fetched, and of interrupted fetches.
  [[nodiscard]] int64_t used_bytes() const;

 private:
  struct Entry {
    v1::Manifest manifest;
    int64_t size_bytes = 0;
    absl::Time last_used;
  };
  // The place of a chunk.
  struct Place {
    std::string path;
    int64_t offset_bytes = 0;
    int64_t size_bytes = 0;
  };
  using Places = std::map<ChunkId, std::vector<Place>>;

  FileCache(DiskBudget budget, const Clock& clock) : budget_(std::move(budget)), clock_(clock) {}
  absl::Status Load();
  absl::Status LoadManifest(const std::string& name);
  [[nodiscard]] Places PlacesOf(const v1::Manifest& manifest, const std::string& directory) const;
  absl::Status MakeFiles(const v1::Manifest& manifest, const std::string& directory);
  absl::Status MakeRoom(int64_t wanted_bytes);
  void CopyKnownChunks();
  // The chunks of the resumed fetch that need not travel: those of the list, or without a list,
  // which older workers did not keep, those whose bytes have the right checksum.
  absl::StatusOr<std::set<ChunkId>> FindReceived();
  void NoteReceived(const ChunkId& id, const std::vector<Place>& places);
  // Makes the chunks received since the last call durable, and lists them.
  absl::Status ListReceived();
  // The artifacts whose fetch was interrupted before incoming_'s began.
  [[nodiscard]] std::vector<ArtifactId> Interrupted() const;
  // Drops interrupted fetches until the budget has room for `wanted_bytes` and the excess is 0.
  // needed: those of artifacts that jobs need, or the others.
  absl::Status DropInterrupted(bool needed, int64_t wanted_bytes, int64_t& excess);
  absl::StatusOr<std::string> ReadPlace(const ChunkId& id, const Place& place) const;
  absl::Status WritePlaces(absl::string_view bytes, const std::vector<Place>& places);
  [[nodiscard]] std::string PathOf(absl::string_view folder, absl::string_view name) const;

  const DiskBudget budget_;
  const Clock& clock_;
  std::map<ArtifactId, Entry> artifacts_;
  std::set<ArtifactId> needed_;
  ArtifactId incoming_;             // the artifact that is being fetched; empty: none
  Places missing_;                  // its missing chunks and their places
  int64_t incoming_bytes_ = 0;      // received bytes of it
  std::vector<ChunkId> unlisted_;   // its chunks received since the list was last written
  std::set<std::string> unsynced_;  // the files with these chunks
  Monotonic listed_;                // when the list was last written
};

}  // namespace wattle::artifacts

#endif  // WATTLE_ARTIFACTS_FILE_CACHE_H_
