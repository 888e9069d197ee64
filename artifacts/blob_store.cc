// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "artifacts/blob_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

#include "artifacts/manifest.h"
#include "artifacts/new_file_internal.h"
#include "base/durable_file.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "units/format.h"

namespace wattle::artifacts {
namespace {

namespace fs = std::filesystem;

constexpr absl::string_view kFolders[] = {"chunks", "manifests", "pins", "partial"};

absl::Time ChangeTime(const std::string& path, absl::Time otherwise) {
  struct stat status = {};
  return stat(path.c_str(), &status) == 0 ? absl::TimeFromTimespec(status.st_mtim) : otherwise;
}

void SetChangeTime(const std::string& path, absl::Time time) {
  const timespec both[2] = {absl::ToTimespec(time), absl::ToTimespec(time)};
  // Losing the time stamp makes the artifact look older than it is, which at worst costs another
  // fetch.
  (void)utimensat(AT_FDCWD, path.c_str(), both, 0);
}

std::set<ChunkId> ChunksOf(const v1::Manifest& manifest) {
  std::set<ChunkId> chunks;
  for (const v1::ManifestFile& file : manifest.files()) {
    for (const std::string& digest : file.chunk_sha256()) {
      chunks.insert(ChunkId(digest));
    }
  }
  return chunks;
}

absl::Status NotInStore(const ArtifactId& id) {
  return absl::NotFoundError(
      absl::StrCat("artifact ", id.value(),
                   " is not in this store: it was removed, or the disk damaged "
                   "its files; push or fetch it again"));
}

}  // namespace

BlobStore::BlobStore(BlobStoreOptions options, const Clock& clock)
    : options_(std::move(options)), clock_(clock) {}

absl::StatusOr<std::unique_ptr<BlobStore>> BlobStore::Open(BlobStoreOptions options,
                                                           const Clock& clock) {
  auto store = std::unique_ptr<BlobStore>(new BlobStore(std::move(options), clock));
  WATTLE_RETURN_IF_ERROR(store->MakeLayout());
  WATTLE_RETURN_IF_ERROR(store->LoadChunks());
  WATTLE_RETURN_IF_ERROR(store->LoadManifests());
  return store;
}

absl::Status BlobStore::MakeLayout() {
  WATTLE_RETURN_IF_ERROR(MakeDirectory(options_.directory));
  RemoveTree(PathOf("partial", ""));
  for (const absl::string_view folder : kFolders) {
    WATTLE_RETURN_IF_ERROR(MakeDirectory(PathOf(folder, "")));
  }
  return SyncDirectory(options_.directory);
}

absl::Status BlobStore::LoadChunks() {
  absl::MutexLock lock(&mutex_);
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(PathOf("chunks", ""), error);
       !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!IsArtifactId(name)) {
      continue;
    }
    ChunkEntry entry;
    entry.size_bytes = static_cast<int64_t>(it->file_size(error));
    entry.arrived = UsedAt(ChangeTime(it->path().string(), clock_.Now()));
    used_bytes_ += entry.size_bytes;
    chunks_.emplace(ChunkId(absl::HexStringToBytes(name)), entry);
  }
  return error ? FileError(error.value(), PathOf("chunks", ""), "cannot list") : absl::OkStatus();
}

Monotonic BlobStore::UsedAt(absl::Time changed) const {
  return clock_.Boottime() -
         std::clamp(clock_.Now() - changed, absl::ZeroDuration(), 2 * options_.upload_age);
}

absl::Status BlobStore::LoadManifests() {
  absl::MutexLock lock(&mutex_);
  std::error_code error;
  for (auto it = fs::directory_iterator(PathOf("manifests", ""), error);
       !error && it != fs::directory_iterator(); it.increment(error)) {
    const ArtifactId id(it->path().filename().string());
    WATTLE_ASSIGN_OR_RETURN(const std::string form, ReadWholeFile(it->path().string()));
    absl::StatusOr<v1::Manifest> manifest = ParseCanonicalForm(form);
    // A manifest that the disk changed no longer makes an artifact, which must be fetched or pushed
    // again.
    if (!manifest.ok() || Sha256Hex(form) != id.value()) {
      continue;
    }
    const std::set<ChunkId> chunks = ChunksOf(*manifest);
    // An artifact with a lost chunk is left out; its other chunks then count as an upload that can
    // be completed.
    if (!std::all_of(chunks.begin(), chunks.end(),
                     [this](const ChunkId& chunk)
                         ABSL_NO_THREAD_SAFETY_ANALYSIS { return chunks_.contains(chunk); })) {
      continue;
    }
    Entry entry;
    entry.size_bytes = SizeBytes(*manifest);
    entry.last_used = ChangeTime(it->path().string(), clock_.Now());
    entry.touched = UsedAt(entry.last_used);
    entry.pinned = fs::exists(PathOf("pins", id.value()), error);
    entry.manifest = *std::move(manifest);
    InsertLocked(id, std::move(entry));
  }
  return error ? FileError(error.value(), options_.directory, "cannot list") : absl::OkStatus();
}

bool BlobStore::HasChunk(const ChunkId& id) const {
  absl::MutexLock lock(&mutex_);
  return chunks_.contains(id);
}

absl::Status BlobStore::PutChunk(const ChunkId& id, absl::string_view bytes) {
  if (bytes.empty() || static_cast<int64_t>(bytes.size()) > kChunkSizeBytes) {
    return absl::InvalidArgumentError(absl::StrCat("chunk ", ToHex(id), " has ", bytes.size(),
                                                   " bytes, wanted 1 to ", kChunkSizeBytes));
  }
  if (Sha256(bytes) != id) {
    return absl::DataLossError(absl::StrCat("chunk ", ToHex(id), " arrived as ", Sha256Hex(bytes),
                                            ": changed on the way; send it again"));
  }
  // Content addressing: a chunk that exists is identical.
  if (HasChunk(id)) {
    return absl::OkStatus();
  }
  const std::string partial = PartialPath();
  const std::string path = ChunkPath(id);
  WATTLE_RETURN_IF_ERROR(MakeDirectory(fs::path(path).parent_path().string()));
  WATTLE_RETURN_IF_ERROR(WriteNewFile(partial, bytes));
  // The directory itself is synced once, before the manifest that names the chunk.
  const absl::Status renamed = RenameFile(partial, path);
  if (!renamed.ok()) {
    unlink(partial.c_str());
    return renamed;
  }
  absl::MutexLock lock(&mutex_);
  // Another upload may have stored this chunk meanwhile, which must not count twice.
  const auto [it, is_new] = chunks_.try_emplace(id);
  if (is_new) {
    it->second.size_bytes = static_cast<int64_t>(bytes.size());
    it->second.arrived = clock_.Boottime();
    used_bytes_ += it->second.size_bytes;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> BlobStore::ReadChunk(const ChunkId& id) {
  if (!HasChunk(id)) {
    return absl::NotFoundError(absl::StrCat("chunk ", ToHex(id), " is not in this store"));
  }
  WATTLE_ASSIGN_OR_RETURN(std::string bytes, ReadWholeFile(ChunkPath(id)));
  if (Sha256(bytes) != id) {
    ForgetChunk(id);
    return absl::DataLossError(absl::StrCat("chunk ", ToHex(id), " in ", options_.directory,
                                            " was changed on disk and is removed; push or fetch "
                                            "the artifact again"));
  }
  return bytes;
}

// Removes a chunk that the disk changed, and the artifacts that need it.
void BlobStore::ForgetChunk(const ChunkId& id) {
  absl::MutexLock lock(&mutex_);
  std::vector<ArtifactId> broken;
  for (const auto& [artifact, entry] : artifacts_) {
    if (ChunksOf(entry.manifest).contains(id)) {
      broken.push_back(artifact);
    }
  }
  for (const ArtifactId& artifact : broken) {
    // An artifact that cannot be unlinked is left out at the next Open, because its chunk is
    // missing.
    (void)RemoveLocked(artifact, Monotonic(-absl::InfiniteDuration()));
  }
  const auto it = chunks_.find(id);
  if (it != chunks_.end()) {
    used_bytes_ -= it->second.size_bytes;
    unlink(ChunkPath(id).c_str());
    chunks_.erase(it);
  }
}

std::vector<ChunkId> BlobStore::MissingChunks(const v1::Manifest& manifest) {
  std::vector<ChunkId> missing;
  std::set<ChunkId> seen;
  const Monotonic now = clock_.Boottime();
  absl::MutexLock lock(&mutex_);
  for (const v1::ManifestFile& file : manifest.files()) {
    for (const std::string& digest : file.chunk_sha256()) {
      const ChunkId id(digest);
      const auto it = chunks_.find(id);
      if (it != chunks_.end()) {
        // The upload will not send this chunk, so eviction must spare it like one that just
        // arrived.
        it->second.arrived = now;
      } else if (seen.insert(id).second) {
        missing.push_back(id);
      }
    }
  }
  return missing;
}

absl::Status BlobStore::SyncChunkDirectories(const v1::Manifest& manifest) const {
  std::set<std::string> directories;
  for (const ChunkId& id : ChunksOf(manifest)) {
    directories.insert(fs::path(ChunkPath(id)).parent_path().string());
  }
  for (const std::string& directory : directories) {
    WATTLE_RETURN_IF_ERROR(SyncDirectory(directory));
  }
  return SyncDirectory(PathOf("chunks", ""));
}

absl::StatusOr<ArtifactId> BlobStore::CommitManifest(const v1::Manifest& manifest) {
  WATTLE_RETURN_IF_ERROR(ValidateManifest(manifest));
  const ArtifactId id = IdOf(manifest);
  if (HasArtifact(id)) {
    Touch(id);
    return id;
  }
  const std::vector<ChunkId> missing = MissingChunks(manifest);
  if (!missing.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("artifact ", id.value(), ": ", missing.size(), " of ",
                     ChunksOf(manifest).size(), " chunks are missing; send them, then commit"));
  }
  // Chunks must be durable before the manifest that makes the artifact exist.
  WATTLE_RETURN_IF_ERROR(SyncChunkDirectories(manifest));
  const std::string partial = PartialPath();
  WATTLE_RETURN_IF_ERROR(WriteNewFile(partial, CanonicalForm(manifest)));
  WATTLE_RETURN_IF_ERROR(RenameFile(partial, PathOf("manifests", id.value())));
  WATTLE_RETURN_IF_ERROR(SyncDirectory(PathOf("manifests", "")));
  absl::MutexLock lock(&mutex_);
  if (!artifacts_.contains(id)) {
    Entry entry;
    entry.manifest = manifest;
    entry.size_bytes = SizeBytes(manifest);
    entry.last_used = clock_.Now();
    entry.touched = clock_.Boottime();
    InsertLocked(id, std::move(entry));
  }
  return id;
}

void BlobStore::InsertLocked(const ArtifactId& id, Entry entry) {
  for (const ChunkId& chunk : ChunksOf(entry.manifest)) {
    ++chunks_[chunk].references;
  }
  artifacts_.emplace(id, std::move(entry));
}

bool BlobStore::HasArtifact(const ArtifactId& id) const {
  absl::MutexLock lock(&mutex_);
  return artifacts_.contains(id);
}

absl::StatusOr<v1::Manifest> BlobStore::ReadManifest(const ArtifactId& id) const {
  absl::MutexLock lock(&mutex_);
  const auto it = artifacts_.find(id);
  if (it == artifacts_.end()) {
    return NotInStore(id);
  }
  return it->second.manifest;
}

std::vector<StoredArtifact> BlobStore::ListArtifacts() const {
  absl::MutexLock lock(&mutex_);
  std::vector<StoredArtifact> list;
  list.reserve(artifacts_.size());
  for (const auto& [id, entry] : artifacts_) {
    list.push_back({id, entry.size_bytes, entry.last_used, entry.pinned});
  }
  return list;
}

void BlobStore::Touch(const ArtifactId& id) {
  const absl::Time now = clock_.Now();
  {
    absl::MutexLock lock(&mutex_);
    const auto it = artifacts_.find(id);
    if (it == artifacts_.end()) {
      return;
    }
    it->second.last_used = now;
    it->second.touched = clock_.Boottime();
  }
  SetChangeTime(PathOf("manifests", id.value()), now);
}

int64_t BlobStore::used_bytes() const {
  absl::MutexLock lock(&mutex_);
  return used_bytes_;
}

std::string BlobStore::PathOf(absl::string_view folder, absl::string_view name) const {
  return name.empty() ? absl::StrCat(options_.directory, "/", folder)
                      : absl::StrCat(options_.directory, "/", folder, "/", name);
}

std::string BlobStore::ChunkPath(const ChunkId& id) const {
  const std::string hex = ToHex(id);
  return absl::StrCat(options_.directory, "/chunks/", hex.substr(0, 2), "/", hex);
}

std::string BlobStore::PartialPath() {
  absl::MutexLock lock(&mutex_);
  return PathOf("partial", absl::StrCat(++partial_count_));
}

}  // namespace wattle::artifacts
