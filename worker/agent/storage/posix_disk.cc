// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/storage/posix_disk.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <random>
#include <system_error>

#include "absl/strings/str_cat.h"

#include "base/crash_point.h"
#include "base/durable_file.h"
#include "base/exclusive_lock.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace wattle::agent {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kGroupPasses = S_IRWXU | S_IXGRP;

// Bytes of all files below a directory.
int64_t SizeOf(const fs::path& directory) {
  int64_t size_bytes = 0;
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(directory, error)) {
    if (entry.is_regular_file(error)) {
      size_bytes += static_cast<int64_t>(entry.file_size(error));
    }
  }
  return size_bytes;
}

absl::Time ChangeTime(const std::string& path) {
  struct stat about = {};
  return stat(path.c_str(), &about) == 0 ? absl::TimeFromTimespec(about.st_mtim)
                                         : absl::InfinitePast();
}

// 0 if all bytes are written and synced, else the errno.
int WriteAndSync(int file, const std::string& name, absl::string_view bytes) {
  CrashPoint(absl::StrCat(name, ":write"));
  const ssize_t written = write(file, bytes.data(), bytes.size());
  if (written != static_cast<ssize_t>(bytes.size())) {
    return written < 0 ? errno : ENOSPC;  // a short write: the disk just became full
  }
  CrashPoint(absl::StrCat(name, ":fsync"));
  return fdatasync(file) == 0 ? 0 : errno;
}

}  // namespace

absl::Status MakeStateFolder(const std::string& path) {
  WATTLE_RETURN_IF_ERROR(MakeDirectories(path));
  struct stat facts = {};
  if (chmod(path.c_str(), kGroupPasses) == 0) {
    return absl::OkStatus();
  }
  const int why = errno;
  const bool is_private =
      stat(path.c_str(), &facts) == 0 && (facts.st_mode & (S_IRWXG | S_IRWXO) & ~kGroupPasses) == 0;
  return is_private ? absl::OkStatus() : FileError(why, path, "cannot be made private");
}

absl::StatusOr<std::unique_ptr<PosixDisk>> PosixDisk::Open(const std::string& path) {
  WATTLE_RETURN_IF_ERROR(MakeDirectories(path));
  const std::string lock_path = path + "/lock";
  // Opened only for reading, so that a worker on a file system that went read-only starts and
  // reports it.
  const int lock = open(lock_path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) {
    return FileError(errno, lock_path, "cannot open");
  }
  if (!TakeExclusiveLock(lock)) {
    close(lock);
    return absl::FailedPreconditionError(absl::StrCat(
        path, ": in use by another wattle-worker; stop it or give this one its own --state-dir"));
  }
  return std::unique_ptr<PosixDisk>(new PosixDisk(path, lock));
}

PosixDisk::~PosixDisk() {
  close(lock_);
}

std::string PosixDisk::PathOf(const std::string& name) const {
  return absl::StrCat(path_, "/", name);
}

absl::StatusOr<std::string> PosixDisk::Read(const std::string& name) {
  return ReadWholeFile(PathOf(name));
}

absl::Status PosixDisk::Replace(const std::string& name, absl::string_view content) {
  const std::string path = PathOf(name);
  WATTLE_RETURN_IF_ERROR(MakeDirectories(fs::path(path).parent_path().string()));
  return WriteFileDurably(path, content, CrashObserver("state"));
}

absl::Status PosixDisk::Append(const std::string& name, absl::string_view bytes) {
  const std::string path = PathOf(name);
  const int file = open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (file < 0) {
    return FileError(errno, path, "cannot open");
  }
  struct stat before = {};
  int error = fstat(file, &before) == 0 ? 0 : errno;
  if (error == 0) {
    error = WriteAndSync(file, name, bytes);
    // A partial record must not precede the next one.
    if (error != 0 && ftruncate(file, before.st_size) != 0) {
      close(file);
      return absl::DataLossError(absl::StrCat(path, ": cannot be written nor cut back"));
    }
  }
  close(file);
  return error == 0 ? absl::OkStatus() : FileError(error, path, "cannot write");
}

absl::Status PosixDisk::KeepAs(const std::string& name, const std::string& copy) {
  // Uses a third name, so that a copy exists at every moment.
  const std::string aside = PathOf(copy) + ".new";
  unlink(aside.c_str());
  if (link(PathOf(name).c_str(), aside.c_str()) != 0) {
    return FileError(errno, PathOf(name), "cannot keep a copy");
  }
  return RenameFile(aside, PathOf(copy));
}

absl::Status PosixDisk::MakeDirectory(const std::string& name) {
  return MakeDirectories(PathOf(name));
}

absl::Status PosixDisk::RenameDirectory(const std::string& from, const std::string& to) {
  std::error_code error;
  if (!fs::is_directory(PathOf(from), error)) {
    return absl::NotFoundError(absl::StrCat(PathOf(from), ": no such directory"));
  }
  const std::string parent = fs::path(PathOf(to)).parent_path().string();
  fs::create_directories(parent, error);
  WATTLE_RETURN_IF_ERROR(RenameFile(PathOf(from), PathOf(to)));
  return SyncDirectory(parent);
}

void PosixDisk::Remove(const std::string& name) {
  std::error_code ignored;
  fs::remove_all(PathOf(name), ignored);
}

std::vector<DiskEntry> PosixDisk::List(const std::string& directory) {
  std::vector<DiskEntry> entries;
  std::error_code error;
  for (auto it = fs::directory_iterator(PathOf(directory), error);
       !error && it != fs::directory_iterator(); it.increment(error)) {
    DiskEntry entry;
    entry.name = it->path().filename().string();
    entry.is_directory = it->is_directory(error);
    entry.size_bytes =
        entry.is_directory ? SizeOf(it->path()) : static_cast<int64_t>(it->file_size(error));
    entry.changed = ChangeTime(it->path().string());
    error.clear();
    entries.push_back(std::move(entry));
  }
  std::sort(entries.begin(), entries.end(),
            [](const DiskEntry& a, const DiskEntry& b) { return a.name < b.name; });
  return entries;
}

uint64_t PosixDisk::Random() {
  uint64_t bits = 0;
  if (getrandom(&bits, sizeof(bits), 0) == sizeof(bits)) {
    return bits;
  }
  std::random_device source;
  return uint64_t{source()} << 32 | source();
}

}  // namespace wattle::agent
