// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "artifacts/file_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

#include "artifacts/chunk_list.h"
#include "artifacts/manifest.h"
#include "artifacts/new_file_internal.h"
#include "base/durable_file.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace wattle::artifacts {
namespace {

namespace fs = std::filesystem;

// Folders of older workers' caches, which kept chunks and the same content again as files.
constexpr absl::string_view kOldFolders[] = {"chunks", "views", "pins", "partial"};

// The list of received chunks is written after this many chunks, or with the first chunk after this
// time. Each write costs two syncs. A power cut then costs a fast link a second of its work, a slow
// link one chunk.
constexpr size_t kUnlistedMax = 16;
constexpr absl::Duration kListPeriod = absl::Seconds(5);

constexpr int64_t kStatBlockBytes = 512;  // unit of stat's st_blocks, on every file system

std::vector<std::string> NamesIn(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto it = fs::directory_iterator(directory, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  return names;
}

// Allocated bytes of the files below a directory, without holes.
int64_t WrittenBytes(const std::string& directory) {
  int64_t size_bytes = 0;
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(directory, error);
       !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    struct stat about = {};
    if (stat(it->path().c_str(), &about) == 0 && S_ISREG(about.st_mode)) {
      size_bytes += std::min<int64_t>(about.st_size, about.st_blocks * kStatBlockBytes);
    }
  }
  return size_bytes;
}

// Whether the error means that the disk returned no bytes; wrong bytes and missing files are other
// errors.
bool IsOfTheDisk(const absl::Status& status) {
  return absl::IsInternal(status) || absl::IsPermissionDenied(status) ||
         absl::IsResourceExhausted(status);
}

absl::Status NotInCache(const ArtifactId& id) {
  return absl::NotFoundError(absl::StrCat("artifact ", id.value(), " is not in this cache"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<FileCache>> FileCache::Open(DiskBudget budget, const Clock& clock) {
  std::unique_ptr<FileCache> cache(new FileCache(std::move(budget), clock));
  WATTLE_RETURN_IF_ERROR(cache->Load());
  return cache;
}

absl::Status FileCache::Load() {
  WATTLE_RETURN_IF_ERROR(MakeDirectory(budget_.directory));
  for (const absl::string_view folder : kOldFolders) {
    RemoveTree(PathOf(folder, ""));
  }
  bool made = false;
  for (const absl::string_view folder : {"files", "manifests", "incoming", "received"}) {
    std::error_code error;
    made = made || !fs::exists(PathOf(folder, ""), error);
    WATTLE_RETURN_IF_ERROR(MakeDirectory(PathOf(folder, "")));
  }
  // A worker on a failing disk starts and reports it, if no folder has to be made.
  if (const absl::Status synced = SyncDirectory(budget_.directory); !synced.ok() && made) {
    return synced;
  }
  std::set<std::string> unread;
  for (const std::string& name : NamesIn(PathOf("manifests", ""))) {
    const absl::Status loaded = LoadManifest(name);
    if (IsOfTheDisk(loaded)) {
      unread.insert(name);
    } else if (!loaded.ok()) {
      RemoveTree(PathOf("manifests", name));
    }
  }
  for (const std::string& name : NamesIn(PathOf("files", ""))) {
    // Files without a manifest are remains of a removal, unless the disk merely refused to read the
    // manifest.
    if (artifacts_.count(ArtifactId(name)) == 0 && unread.count(name) == 0) {
      RemoveTree(PathOf("files", name));
    }
  }
  for (const std::string& name : NamesIn(PathOf("received", ""))) {
    std::error_code error;
    if (!fs::exists(PathOf("incoming", name), error)) {
      RemoveTree(PathOf("received", name));
    }
  }
  return absl::OkStatus();
}

FileCache::~FileCache() {
  (void)ListReceived();  // unlisted chunks travel again
}

// Checks only the sizes of the files; OpenVerified checks their content before a job reads them.
absl::Status FileCache::LoadManifest(const std::string& name) {
  const std::string path = PathOf("manifests", name);
  WATTLE_ASSIGN_OR_RETURN(const std::string form, ReadWholeFile(path));
  WATTLE_ASSIGN_OR_RETURN(v1::Manifest manifest, ParseCanonicalForm(form));
  if (Sha256Hex(form) != name) {
    return absl::DataLossError(absl::StrCat(path, ": damaged"));
  }
  for (const v1::ManifestFile& file : manifest.files()) {
    std::error_code error;
    const fs::path there = fs::path(PathOf("files", name)) / file.path();
    const auto size = fs::file_size(there, error);
    if (error && error != std::errc::no_such_file_or_directory) {
      return FileError(error.value(), there.string(), "cannot read");
    }
    if (error || static_cast<int64_t>(size) != file.size_bytes()) {
      return absl::DataLossError(absl::StrCat(file.path(), ": missing or cut short"));
    }
  }
  struct stat about = {};
  Entry entry;
  entry.last_used =
      stat(path.c_str(), &about) == 0 ? absl::TimeFromTimespec(about.st_mtim) : clock_.Now();
  entry.size_bytes = SizeBytes(manifest);
  entry.manifest = std::move(manifest);
  artifacts_.emplace(ArtifactId(name), std::move(entry));
  return absl::OkStatus();
}

bool FileCache::HasArtifact(const ArtifactId& id) const {
  return artifacts_.count(id) > 0;
}

std::string FileCache::FilesOf(const ArtifactId& id) const {
  return PathOf("files", id.value());
}

void FileCache::Touch(const ArtifactId& id) {
  const auto artifact = artifacts_.find(id);
  if (artifact == artifacts_.end()) {
    return;
  }
  artifact->second.last_used = clock_.Now();
  const timespec now = absl::ToTimespec(artifact->second.last_used);
  const timespec both[2] = {now, now};
  // Without the time stamp the artifact looks older than it is; at worst it is fetched again.
  (void)utimensat(AT_FDCWD, PathOf("manifests", id.value()).c_str(), both, 0);
}

FileCache::Places FileCache::PlacesOf(const v1::Manifest& manifest,
                                      const std::string& directory) const {
  Places places;
  for (const v1::ManifestFile& file : manifest.files()) {
    const std::string path = absl::StrCat(directory, "/", file.path());
    for (int i = 0; i < file.chunk_sha256_size(); ++i) {
      places[ChunkId(file.chunk_sha256(i))].push_back(
          {path, i * kChunkSizeBytes, ChunkSizeBytes(file, i)});
    }
  }
  return places;
}

// Makes every file of the artifact at its full size, with holes until chunks are written.
absl::Status FileCache::MakeFiles(const v1::Manifest& manifest, const std::string& directory) {
  for (const v1::ManifestFile& file : manifest.files()) {
    const std::string path = absl::StrCat(directory, "/", file.path());
    WATTLE_RETURN_IF_ERROR(MakeDirectories(fs::path(path).parent_path().string()));
    const int made = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (made < 0) {
      return FileError(errno, path, "cannot create the file");
    }
    const int error = ftruncate(made, file.size_bytes()) == 0 ? 0 : errno;
    close(made);
    if (error != 0) {
      return FileError(error, path, "cannot write");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::set<ChunkId>> FileCache::FindReceived() {
  absl::StatusOr<std::set<ChunkId>> listed = ReadChunkList(PathOf("received", incoming_.value()));
  if (!absl::IsNotFound(listed.status())) {
    return listed;
  }
  std::set<ChunkId> there;
  for (const auto& [id, places] : missing_) {
    if (std::all_of(places.begin(), places.end(),
                    [&, chunk = id](const Place& place) { return ReadPlace(chunk, place).ok(); })) {
      there.insert(id);
      NoteReceived(id, places);
    }
  }
  return there;
}

absl::StatusOr<std::vector<ChunkId>> FileCache::BeginFetch(const v1::Manifest& manifest) {
  (void)ListReceived();  // of the previous fetch; unlisted chunks travel again
  incoming_ = IdOf(manifest);
  incoming_bytes_ = 0;
  unlisted_.clear();
  unsynced_.clear();
  const std::string directory = PathOf("incoming", incoming_.value());
  std::error_code error;
  const bool is_resumed = fs::exists(directory, error);
  missing_ = PlacesOf(manifest, directory);
  std::set<ChunkId> received;
  if (is_resumed) {
    WATTLE_ASSIGN_OR_RETURN(received, FindReceived());
  }
  int64_t missing_bytes = 0;
  for (auto chunk = missing_.begin(); chunk != missing_.end();) {
    int64_t chunk_bytes = 0;
    for (const Place& place : chunk->second) {
      chunk_bytes += place.size_bytes;
    }
    const bool there = received.count(chunk->first) > 0;
    // Only missing chunks need room: received ones are on the disk already.
    (there ? incoming_bytes_ : missing_bytes) += chunk_bytes;
    chunk = there ? missing_.erase(chunk) : std::next(chunk);
  }
  WATTLE_RETURN_IF_ERROR(MakeRoom(missing_bytes));
  WATTLE_RETURN_IF_ERROR(MakeFiles(manifest, directory));
  if (!is_resumed) {
    // A list must not outlive its files.
    RemoveTree(PathOf("received", incoming_.value()));
    WATTLE_RETURN_IF_ERROR(SyncTree(directory));
    WATTLE_RETURN_IF_ERROR(SyncDirectory(PathOf("incoming", "")));
  }
  CopyKnownChunks();
  std::vector<ChunkId> in_order;
  std::set<ChunkId> seen;
  for (const v1::ManifestFile& file : manifest.files()) {
    for (const std::string& digest : file.chunk_sha256()) {
      const ChunkId id(digest);
      if (missing_.count(id) > 0 && seen.insert(id).second) {
        in_order.push_back(id);
      }
    }
  }
  return in_order;
}

// Copies chunks of the incoming artifact from other artifacts.
void FileCache::CopyKnownChunks() {
  for (const auto& [id, entry] : artifacts_) {
    for (const auto& [chunk, places] : PlacesOf(entry.manifest, FilesOf(id))) {
      const auto wanted = missing_.find(chunk);
      if (wanted == missing_.end()) {
        continue;
      }
      const absl::StatusOr<std::string> bytes = ReadPlace(chunk, places.front());
      // A chunk that cannot be read or written here is fetched instead.
      if (bytes.ok() && WritePlaces(*bytes, wanted->second).ok()) {
        NoteReceived(chunk, wanted->second);
        missing_.erase(wanted);
      }
    }
  }
}

absl::StatusOr<std::string> FileCache::ReadPlace(const ChunkId& id, const Place& place) const {
  const int file = open(place.path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    return FileError(errno, place.path, "cannot open");
  }
  std::string bytes(static_cast<size_t>(place.size_bytes), '\0');
  size_t done = 0;
  int error = 0;
  while (done < bytes.size()) {
    const ssize_t got = pread(file, bytes.data() + done, bytes.size() - done,
                              place.offset_bytes + static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      error = got < 0 ? errno : EIO;  // cut short
      break;
    }
    done += static_cast<size_t>(got);
  }
  close(file);
  if (error != 0) {
    return FileError(error, place.path, "cannot read");
  }
  if (Sha256(bytes) != id) {
    return absl::DataLossError(absl::StrCat(place.path, ": changed on the disk"));
  }
  return bytes;
}

absl::Status FileCache::WritePlaces(absl::string_view bytes, const std::vector<Place>& places) {
  for (const Place& place : places) {
    const int file = open(place.path.c_str(), O_WRONLY | O_CLOEXEC);
    if (file < 0) {
      return FileError(errno, place.path, "cannot open");
    }
    size_t done = 0;
    int error = 0;
    while (done < bytes.size() && error == 0) {
      const ssize_t put = pwrite(file, bytes.data() + done, bytes.size() - done,
                                 place.offset_bytes + static_cast<off_t>(done));
      if (put < 0 && errno != EINTR) {
        error = errno;
      }
      done += put > 0 ? static_cast<size_t>(put) : 0;
    }
    close(file);
    if (error != 0) {
      return FileError(error, place.path, "cannot write");
    }
    incoming_bytes_ += static_cast<int64_t>(bytes.size());
  }
  return absl::OkStatus();
}

absl::Status FileCache::PutChunk(const ChunkId& id, absl::string_view bytes) {
  if (Sha256(bytes) != id) {
    return absl::DataLossError(absl::StrCat("chunk ", ToHex(id), " arrived as ", Sha256Hex(bytes),
                                            ": changed on the way; fetch it again"));
  }
  const auto wanted = missing_.find(id);
  if (wanted == missing_.end()) {
    return absl::FailedPreconditionError(
        absl::StrCat("chunk ", ToHex(id), " is not wanted by the artifact that is being fetched"));
  }
  WATTLE_RETURN_IF_ERROR(WritePlaces(bytes, wanted->second));
  NoteReceived(id, wanted->second);
  missing_.erase(wanted);
  const bool due = unlisted_.size() >= kUnlistedMax || clock_.Boottime() - listed_ >= kListPeriod;
  return due ? ListReceived() : absl::OkStatus();
}

absl::StatusOr<ArtifactId> FileCache::CommitManifest(const v1::Manifest& manifest) {
  const ArtifactId id = IdOf(manifest);
  if (HasArtifact(id)) {
    Touch(id);
    return id;
  }
  if (id != incoming_ || !missing_.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("artifact ", id.value(), ": ", missing_.size(), " chunks are missing"));
  }
  const std::string incoming = PathOf("incoming", id.value());
  WATTLE_RETURN_IF_ERROR(SyncTree(incoming));
  RemoveTree(FilesOf(id));
  WATTLE_RETURN_IF_ERROR(RenameFile(incoming, FilesOf(id)));
  WATTLE_RETURN_IF_ERROR(SyncDirectory(PathOf("files", "")));
  WATTLE_RETURN_IF_ERROR(
      WriteFileDurably(PathOf("manifests", id.value()), CanonicalForm(manifest)));
  for (const v1::ManifestFile& file : manifest.files()) {
    // Protects files against accidental changes by a person; nothing depends on it. Done after the
    // rename, because a resumed fetch writes to the incoming files. The umask decides who may read.
    std::error_code ignored;
    fs::permissions(fs::path(FilesOf(id)) / file.path(),
                    fs::perms::owner_write | fs::perms::group_write | fs::perms::others_write,
                    fs::perm_options::remove, ignored);
  }
  artifacts_[id] = {manifest, SizeBytes(manifest), clock_.Now()};
  RemoveTree(PathOf("received", id.value()));
  incoming_ = ArtifactId();
  incoming_bytes_ = 0;
  unlisted_.clear();
  unsynced_.clear();
  return id;
}

absl::StatusOr<FileCache::Files> FileCache::OpenVerified(const ArtifactId& id,
                                                         const std::function<bool()>& cancelled) {
  const auto artifact = artifacts_.find(id);
  if (artifact == artifacts_.end()) {
    return NotInCache(id);
  }
  Touch(id);
  Files files = {FilesOf(id), artifact->second.manifest};
  for (const auto& [chunk, places] : PlacesOf(files.manifest, files.directory)) {
    for (const Place& place : places) {
      if (cancelled && cancelled()) {
        return absl::CancelledError("fetch: cancelled");
      }
      const absl::StatusOr<std::string> bytes = ReadPlace(chunk, place);
      // Bytes that the disk cannot read now may be intact; a missing file is not.
      if (!bytes.ok() && !absl::IsDataLoss(bytes.status()) && !absl::IsNotFound(bytes.status())) {
        return bytes.status();
      }
      if (!bytes.ok()) {
        // If the artifact cannot be removed either, the next call refuses it again.
        (void)Remove(id);
        return absl::DataLossError(
            absl::StrCat(bytes.status().message(), "; the artifact is fetched again"));
      }
    }
  }
  return files;
}

// The manifest goes first: an artifact without all its files is never listed.
absl::Status FileCache::Remove(const ArtifactId& id) {
  if (artifacts_.erase(id) == 0) {
    return NotInCache(id);
  }
  const std::string manifest = PathOf("manifests", id.value());
  if (unlink(manifest.c_str()) != 0 && errno != ENOENT) {
    return FileError(errno, manifest, "cannot remove");
  }
  WATTLE_RETURN_IF_ERROR(SyncDirectory(PathOf("manifests", "")));
  RemoveTree(FilesOf(id));
  return absl::OkStatus();
}

// Interrupted fetches that no job needs go first, then artifacts that no job needs, the longest
// unused first, then the other interrupted fetches.
absl::StatusOr<int64_t> FileCache::GiveWay(int64_t wanted_bytes) {
  WATTLE_ASSIGN_OR_RETURN(int64_t excess, budget_.Excess(used_bytes(), wanted_bytes));
  WATTLE_RETURN_IF_ERROR(DropInterrupted(/*needed=*/false, wanted_bytes, excess));
  while (excess > 0) {
    const ArtifactId* oldest = nullptr;
    for (const auto& [id, entry] : artifacts_) {
      if (needed_.count(id) == 0 &&
          (oldest == nullptr || entry.last_used < artifacts_.at(*oldest).last_used)) {
        oldest = &id;
      }
    }
    if (oldest == nullptr) {
      break;
    }
    WATTLE_RETURN_IF_ERROR(Remove(ArtifactId(*oldest)));
    WATTLE_ASSIGN_OR_RETURN(excess, budget_.Excess(used_bytes(), wanted_bytes));
  }
  WATTLE_RETURN_IF_ERROR(DropInterrupted(/*needed=*/true, wanted_bytes, excess));
  return excess;
}

std::vector<ArtifactId> FileCache::Interrupted() const {
  std::vector<ArtifactId> ids;
  for (const std::string& name : NamesIn(PathOf("incoming", ""))) {
    if (name != incoming_.value()) {
      ids.emplace_back(name);
    }
  }
  return ids;
}

absl::Status FileCache::DropInterrupted(bool needed, int64_t wanted_bytes, int64_t& excess) {
  for (const ArtifactId& id : Interrupted()) {
    if (excess > 0 && (needed_.count(id) > 0) == needed) {
      RemoveTree(PathOf("received", id.value()));
      RemoveTree(PathOf("incoming", id.value()));
      WATTLE_ASSIGN_OR_RETURN(excess, budget_.Excess(used_bytes(), wanted_bytes));
    }
  }
  return absl::OkStatus();
}

absl::Status FileCache::MakeRoom(int64_t wanted_bytes) {
  WATTLE_ASSIGN_OR_RETURN(const int64_t excess, GiveWay(wanted_bytes));
  return excess > 0 ? budget_.CheckOwn(used_bytes(), wanted_bytes) : absl::OkStatus();
}

std::vector<ArtifactId> FileCache::ListArtifacts() const {
  std::vector<ArtifactId> ids;
  ids.reserve(artifacts_.size());
  for (const auto& [id, entry] : artifacts_) {
    ids.push_back(id);
  }
  return ids;
}

int64_t FileCache::used_bytes() const {
  int64_t size_bytes = incoming_bytes_;
  for (const ArtifactId& id : Interrupted()) {
    size_bytes += WrittenBytes(PathOf("incoming", id.value()));
  }
  for (const auto& [id, entry] : artifacts_) {
    size_bytes += entry.size_bytes;
  }
  return size_bytes;
}

void FileCache::NoteReceived(const ChunkId& id, const std::vector<Place>& places) {
  unlisted_.push_back(id);
  for (const Place& place : places) {
    unsynced_.insert(place.path);
  }
}

absl::Status FileCache::ListReceived() {
  listed_ = clock_.Boottime();
  if (unlisted_.empty()) {
    return absl::OkStatus();
  }
  for (const std::string& path : unsynced_) {
    WATTLE_RETURN_IF_ERROR(SyncFile(path));
  }
  WATTLE_RETURN_IF_ERROR(AddToChunkList(PathOf("received", incoming_.value()), unlisted_));
  unlisted_.clear();
  unsynced_.clear();
  return absl::OkStatus();
}

std::string FileCache::PathOf(absl::string_view folder, absl::string_view name) const {
  return name.empty() ? absl::StrCat(budget_.directory, "/", folder)
                      : absl::StrCat(budget_.directory, "/", folder, "/", name);
}

}  // namespace wattle::artifacts
