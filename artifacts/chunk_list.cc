// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "artifacts/chunk_list.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/file.h"
#include "base/status_macros.h"

namespace wattle::artifacts {

absl::StatusOr<std::set<ChunkId>> ReadChunkList(const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(const std::string bytes, ReadWholeFile(path));
  std::set<ChunkId> chunks;
  for (size_t at = 0; at + kSha256Bytes <= bytes.size(); at += kSha256Bytes) {
    chunks.insert(ChunkId(bytes.substr(at, kSha256Bytes)));
  }
  return chunks;
}

absl::Status AddToChunkList(const std::string& path, const std::vector<ChunkId>& chunks) {
  std::string bytes;
  for (const ChunkId& chunk : chunks) {
    bytes += chunk.value();
  }
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) {
    return FileError(errno, path, "cannot open");
  }
  struct stat about = {};
  int error = fstat(file, &about) == 0 ? 0 : errno;
  if (error == 0) {
    const off_t whole = about.st_size - about.st_size % static_cast<off_t>(kSha256Bytes);
    const ssize_t written = pwrite(file, bytes.data(), bytes.size(), whole);
    if (written != static_cast<ssize_t>(bytes.size())) {
      error = written < 0 ? errno : ENOSPC;
    } else {
      error = fdatasync(file) == 0 ? 0 : errno;
    }
  }
  close(file);
  if (error != 0) {
    return FileError(error, path, "cannot write");
  }
  return about.st_size == 0 ? SyncDirectory(std::filesystem::path(path).parent_path().string())
                            : absl::OkStatus();
}

}  // namespace wattle::artifacts
