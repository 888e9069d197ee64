// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/sysfs.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace wattle::telemetry {
namespace {

absl::Status ErrnoStatus(int error, const std::string& path) {
  const std::string message = absl::StrCat(path, ": ", std::generic_category().message(error));
  switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ENODEV:
      return absl::NotFoundError(message);
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(message);
    default:
      return absl::UnavailableError(message);
  }
}

}  // namespace

absl::StatusOr<std::string> ReadText(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    return ErrnoStatus(errno, path);
  }
  // A sysfs attribute is at most one page.
  std::array<char, 4096> buffer = {};
  const ssize_t size = read(file, buffer.data(), buffer.size());
  const int error = errno;
  close(file);
  if (size < 0) {
    return ErrnoStatus(error, path);
  }
  std::string text(buffer.data(), static_cast<size_t>(size));
  while (!text.empty() &&
         (text.back() == '\0' || absl::ascii_isspace(static_cast<unsigned char>(text.back())))) {
    text.pop_back();
  }
  return text;
}

absl::StatusOr<int64_t> ReadInteger(const std::string& path) {
  absl::StatusOr<std::string> text = ReadText(path);
  if (!text.ok()) {
    return text.status();
  }
  if (text->empty()) {
    return absl::UnavailableError(absl::StrCat(path, ": empty"));
  }
  int64_t value = 0;
  if (!absl::SimpleAtoi(*text, &value)) {
    return absl::InternalError(absl::StrCat(path, ": \"", *text, "\" is not a whole number"));
  }
  return value;
}

std::vector<std::string> ListDirectory(const std::string& path) {
  std::vector<std::string> names;
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) {
    return names;
  }
  // NOLINTNEXTLINE(concurrency-mt-unsafe): glibc's readdir is, for a stream of one thread
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] != '.') {
      names.emplace_back(entry->d_name);
    }
  }
  closedir(directory);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace wattle::telemetry
