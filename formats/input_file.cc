// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/file.h"

namespace wattle::formats {

absl::Status Truncated(absl::string_view file, int64_t present, int64_t wanted) {
  return absl::DataLossError(absl::StrCat(file, ": truncated: ", present, " of ", wanted,
                                          " bytes are there; copy or download it again"));
}

absl::StatusOr<InputFile> InputFile::Open(const std::string& path, absl::string_view kind) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    const std::string reason = std::generic_category().message(errno);
    return absl::NotFoundError(
        absl::StrCat(path, ": cannot open the weights: ", reason, "; check the path"));
  }
  struct stat about = {};
  if (fstat(descriptor, &about) != 0 || !S_ISREG(about.st_mode)) {
    close(descriptor);
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": not a regular file; give the path of a ", kind, " file"));
  }
  return InputFile(path, descriptor, about.st_size);
}

InputFile::InputFile(std::string path, int descriptor, int64_t size_bytes)
    : path_(std::move(path)), descriptor_(descriptor), size_bytes_(size_bytes) {}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_bytes_(std::exchange(other.size_bytes_, 0)) {}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_bytes_, other.size_bytes_);
  return *this;
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) {
    close(descriptor_);
  }
}

absl::Status InputFile::Read(int64_t offset_bytes, absl::Span<std::byte> out) const {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = pread(descriptor_, out.data() + done, out.size() - done,
                              static_cast<off_t>(offset_bytes + static_cast<int64_t>(done)));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return FileError(errno, path_, "cannot read");
    }
    if (got == 0) {
      return Truncated(path_, offset_bytes + static_cast<int64_t>(done),
                       offset_bytes + static_cast<int64_t>(out.size()));
    }
    done += static_cast<size_t>(got);
  }
  return absl::OkStatus();
}

}  // namespace wattle::formats
