// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/storage_probe.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "base/file.h"

namespace wattle::agent {
namespace {

// Room for some saves of all records, each of which writes a new file before it replaces the old
// one.
constexpr uint64_t kRecordsBytes = uint64_t{1} << 20;

}  // namespace

absl::Status CheckRoom(const std::string& path, const struct statvfs& disk) {
  // A file system without a table of files reports 0 of 0.
  const bool has_room = uint64_t{disk.f_bavail} * disk.f_frsize >= kRecordsBytes &&
                        (disk.f_files == 0 || disk.f_favail > 0);
  return has_room ? absl::OkStatus() : FileError(ENOSPC, path, "cannot write a record");
}

absl::Status WriteHealthFile(const std::string& directory) {
  const std::string path = directory + "/health";
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) {
    return FileError(errno, path, "cannot open");
  }
  // Overwritten in place: the file's block is allocated once, so each minute costs the card one
  // block.
  const std::string bytes(4096, 'w');
  const ssize_t written = pwrite(file, bytes.data(), bytes.size(), 0);
  int error = 0;
  if (written != static_cast<ssize_t>(bytes.size())) {
    error = written < 0 ? errno : ENOSPC;
  } else if (fdatasync(file) != 0) {
    error = errno;
  }
  struct statvfs disk = {};
  const absl::Status room = fstatvfs(file, &disk) == 0 ? CheckRoom(path, disk) : absl::OkStatus();
  close(file);
  return error == 0 ? room : FileError(error, path, "cannot write");
}

StorageProbe::StorageProbe(std::string directory, std::function<void(absl::Status)> done)
    : directory_(std::move(directory)), done_(std::move(done)) {
  thread_ = std::thread([this] { Run(); });
}

StorageProbe::~StorageProbe() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void StorageProbe::Begin() {
  absl::MutexLock lock(&mutex_);
  wanted_ = true;
}

void StorageProbe::Run() {
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return wanted_ || stopping_; };
      mutex_.Await(absl::Condition(&ready));
      if (stopping_) {
        return;
      }
      wanted_ = false;
    }
    done_(WriteHealthFile(directory_));
  }
}

}  // namespace wattle::agent
