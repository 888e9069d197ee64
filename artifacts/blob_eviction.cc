// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The part of BlobStore that makes room: free space, quota, pins, eviction.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "artifacts/blob_store.h"
#include "artifacts/new_file_internal.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "units/format.h"

namespace wattle::artifacts {
namespace {

std::set<ChunkId> UniqueChunksOf(const v1::Manifest& manifest) {
  std::set<ChunkId> chunks;
  for (const v1::ManifestFile& file : manifest.files()) {
    for (const std::string& digest : file.chunk_sha256()) {
      chunks.insert(ChunkId(digest));
    }
  }
  return chunks;
}

}  // namespace

absl::Status BlobStore::CheckRoom(int64_t upload_bytes, const std::set<ArtifactId>& live) {
  return CheckRoomBy(upload_bytes, [this, &live](int64_t target_bytes) {
    absl::MutexLock lock(&mutex_);
    EvictUploadsLocked(target_bytes, options_.upload_age);
    return EvictArtifactsLocked(target_bytes, live);
  });
}

absl::Status BlobStore::CheckRoomOfUploads(int64_t upload_bytes) {
  return CheckRoomBy(upload_bytes, [this](int64_t target_bytes) {
    absl::MutexLock lock(&mutex_);
    EvictUploadsLocked(target_bytes, options_.young_age);
    return absl::OkStatus();
  });
}

absl::Status BlobStore::CheckRoomBy(
    int64_t upload_bytes, const std::function<absl::Status(int64_t target_bytes)>& evict) {
  // The quota first: freeing chunks for it may also free enough of the disk.
  if (options_.quota_bytes > 0 && used_bytes() > options_.quota_bytes - upload_bytes) {
    WATTLE_RETURN_IF_ERROR(evict(options_.quota_bytes - upload_bytes));
  }
  const int64_t wanted_bytes = upload_bytes + options_.free_space_reserve_bytes;
  WATTLE_ASSIGN_OR_RETURN(const int64_t free_bytes, options_.free_space(options_.directory));
  // Other programs may fill the disk too, so the target is relative to the store's present use.
  if (free_bytes < wanted_bytes) {
    WATTLE_RETURN_IF_ERROR(evict(used_bytes() - (wanted_bytes - free_bytes)));
  }
  return FitsAfter(upload_bytes, 0);
}

absl::Status BlobStore::FitsAfter(int64_t upload_bytes, int64_t freed_bytes) const {
  const int64_t kept_bytes = used_bytes() - freed_bytes;
  if (options_.quota_bytes > 0 && kept_bytes > options_.quota_bytes - upload_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        options_.directory, ": the upload of ", FormatBytes(upload_bytes), " does not fit: ",
        FormatBytes(kept_bytes), " of the quota of ", FormatBytes(options_.quota_bytes),
        " are pinned, in use or young; raise the quota or wait for running jobs"));
  }
  const int64_t wanted_bytes = upload_bytes + options_.free_space_reserve_bytes;
  WATTLE_ASSIGN_OR_RETURN(int64_t free_bytes, options_.free_space(options_.directory));
  free_bytes += freed_bytes;
  if (free_bytes < wanted_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(options_.directory, ": disk full: the upload of ", FormatBytes(upload_bytes),
                     " and the ", FormatBytes(options_.free_space_reserve_bytes),
                     " kept free want ", FormatBytes(wanted_bytes), ", ", FormatBytes(free_bytes),
                     " are free; free space on this file system and repeat"));
  }
  return absl::OkStatus();
}

absl::Status BlobStore::Fits(int64_t upload_bytes) const {
  return FitsAfter(upload_bytes, 0);
}

absl::Status BlobStore::CouldFit(int64_t upload_bytes,
                                 const std::set<ArtifactId>& removable) const {
  int64_t freed_bytes = 0;
  {
    absl::MutexLock lock(&mutex_);
    std::map<ChunkId, int64_t> references;  // References from removable artifacts only.
    for (const ArtifactId& id : removable) {
      const auto entry = artifacts_.find(id);
      if (entry != artifacts_.end()) {
        for (const ChunkId& chunk : UniqueChunksOf(entry->second.manifest)) {
          ++references[chunk];
        }
      }
    }
    const Monotonic young = clock_.Boottime() - options_.young_age;
    for (const auto& [id, chunk] : chunks_) {
      const auto found = references.find(id);
      const int64_t gone = found == references.end() ? 0 : found->second;
      // A chunk is freed only if every artifact with it is removable.
      freed_bytes += chunk.references == gone && chunk.arrived < young ? chunk.size_bytes : 0;
    }
  }
  return FitsAfter(upload_bytes, freed_bytes);
}

absl::Status BlobStore::Pin(const ArtifactId& id) {
  absl::MutexLock lock(&mutex_);
  const auto it = artifacts_.find(id);
  if (it == artifacts_.end()) {
    return absl::NotFoundError(absl::StrCat("artifact ", id.value(), " is not in this store"));
  }
  if (!it->second.pinned) {
    const absl::Status written = WriteNewFile(PathOf("pins", id.value()), "");
    if (!written.ok() && !absl::IsAlreadyExists(written)) {
      return written;
    }
    it->second.pinned = true;
  }
  return absl::OkStatus();
}

absl::Status BlobStore::Unpin(const ArtifactId& id) {
  absl::MutexLock lock(&mutex_);
  const auto it = artifacts_.find(id);
  if (it == artifacts_.end()) {
    return absl::NotFoundError(absl::StrCat("artifact ", id.value(), " is not in this store"));
  }
  const std::string pin = PathOf("pins", id.value());
  if (unlink(pin.c_str()) != 0 && errno != ENOENT) {
    return FileError(errno, pin, "cannot remove");
  }
  it->second.pinned = false;
  return absl::OkStatus();
}

absl::StatusOr<int64_t> BlobStore::Evict(int64_t target_bytes, const std::set<ArtifactId>& live) {
  absl::MutexLock lock(&mutex_);
  const int64_t before_bytes = used_bytes_;
  // Abandoned uploads go first, then unused artifacts, then uploads that may still be resumed.
  EvictUploadsLocked(target_bytes, options_.upload_age);
  WATTLE_RETURN_IF_ERROR(EvictArtifactsLocked(target_bytes, live));
  EvictUploadsLocked(target_bytes, options_.young_age);
  return before_bytes - used_bytes_;
}

absl::Status BlobStore::EvictArtifactsLocked(int64_t target_bytes,
                                             const std::set<ArtifactId>& live) {
  const Monotonic young = clock_.Boottime() - options_.young_age;
  std::vector<std::pair<absl::Time, ArtifactId>> oldest_first;
  for (const auto& [id, entry] : artifacts_) {
    if (!entry.pinned && entry.touched < young && !live.contains(id)) {
      // Least recently used first; the id breaks ties deterministically.
      oldest_first.emplace_back(entry.last_used, id);
    }
  }
  std::sort(oldest_first.begin(), oldest_first.end());
  for (const auto& [last_used, id] : oldest_first) {
    if (used_bytes_ <= target_bytes) {
      break;
    }
    WATTLE_RETURN_IF_ERROR(RemoveLocked(id, young));
  }
  return absl::OkStatus();
}

absl::Status BlobStore::Remove(const ArtifactId& id) {
  absl::MutexLock lock(&mutex_);
  if (!artifacts_.contains(id)) {
    return absl::NotFoundError(absl::StrCat("artifact ", id.value(), " is not in this store"));
  }
  return RemoveLocked(id, Monotonic(absl::InfiniteDuration()));
}

absl::Status BlobStore::RemoveForRoom(const ArtifactId& id) {
  absl::MutexLock lock(&mutex_);
  return artifacts_.contains(id) ? RemoveLocked(id, clock_.Boottime() - options_.young_age)
                                 : absl::OkStatus();
}

// The manifest goes first, durably: an artifact without all its chunks is never listed. Chunks that
// arrived or were reported present since `young` stay, because an upload in progress relies on
// them.
absl::Status BlobStore::RemoveLocked(const ArtifactId& id, Monotonic young) {
  const auto it = artifacts_.find(id);
  const std::string manifest = PathOf("manifests", id.value());
  if (unlink(manifest.c_str()) != 0 && errno != ENOENT) {
    return FileError(errno, manifest, "cannot remove");
  }
  WATTLE_RETURN_IF_ERROR(SyncDirectory(PathOf("manifests", "")));
  unlink(PathOf("pins", id.value()).c_str());
  for (const ChunkId& chunk : UniqueChunksOf(it->second.manifest)) {
    const auto found = chunks_.find(chunk);
    // Shared chunks stay until their last artifact is removed.
    if (found != chunks_.end() && --found->second.references == 0 &&
        found->second.arrived < young) {
      used_bytes_ -= found->second.size_bytes;
      unlink(ChunkPath(chunk).c_str());
      chunks_.erase(found);
    }
  }
  artifacts_.erase(it);
  return absl::OkStatus();
}

void BlobStore::EvictUploadsLocked(int64_t target_bytes, absl::Duration age) {
  if (used_bytes_ <= target_bytes) {
    return;
  }
  const Monotonic young = clock_.Boottime() - age;
  std::vector<std::pair<Monotonic, ChunkId>> oldest_first;
  for (const auto& [id, chunk] : chunks_) {
    if (chunk.references == 0 && chunk.arrived < young) {
      oldest_first.emplace_back(chunk.arrived, id);
    }
  }
  std::sort(oldest_first.begin(), oldest_first.end());
  for (const auto& [arrived, id] : oldest_first) {
    if (used_bytes_ <= target_bytes) {
      return;
    }
    const auto chunk = chunks_.find(id);
    used_bytes_ -= chunk->second.size_bytes;
    unlink(ChunkPath(id).c_str());
    chunks_.erase(chunk);
  }
}

}  // namespace wattle::artifacts
