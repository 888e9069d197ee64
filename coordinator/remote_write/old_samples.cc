// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/remote_write/old_samples.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

#include "base/file.h"

namespace wattle::remote_write {

absl::Status OldSamples::Keep(const Scrape& scrape) {
  const std::string text = ToOpenMetrics(scrape);
  const int file = open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file < 0) {
    return FileError(errno, path_, "cannot open");
  }
  const absl::Cleanup closes = [file] { close(file); };
  const off_t size = lseek(file, 0, SEEK_END);
  if (size + static_cast<off_t>(text.size()) > size_bytes_max_) {
    return absl::ResourceExhaustedError(
        absl::StrCat(path_, ": holds ", size_bytes_max_ >> 20,
                     " MiB of samples that are too old for Prometheus; load the file with "
                     "promtool, then move it away"));
  }
  size_t written = 0;
  while (written < text.size()) {
    const ssize_t bytes = write(file, text.data() + written, text.size() - written);
    if (bytes < 0 && errno != EINTR) {
      const int error = errno;
      (void)ftruncate(file, size);  // removes a half-written line
      return FileError(error, path_, "cannot write");
    }
    written += bytes > 0 ? static_cast<size_t>(bytes) : 0;
  }
  return fdatasync(file) == 0 ? absl::OkStatus() : FileError(errno, path_, "cannot sync");
}

}  // namespace wattle::remote_write
