// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/tls/private_file.h"

#include <sys/stat.h>

#include <cerrno>

#include "absl/strings/str_cat.h"

#include "base/crash_point.h"
#include "base/durable_file.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace wattle::tls {

absl::Status MakePrivateDirectory(const std::string& path) {
  WATTLE_RETURN_IF_ERROR(MakeDirectories(path));
  if (chmod(path.c_str(), S_IRWXU) != 0) {
    return FileError(errno, path, "cannot be made private");
  }
  return absl::OkStatus();
}

absl::Status WritePrivateFile(const std::string& path, absl::string_view content) {
  CrashPoint(absl::StrCat("credentials:", path.substr(path.rfind('/') + 1)));
  return WriteFileDurably(path, content, {}, S_IRUSR | S_IWUSR);
}

absl::StatusOr<std::string> ReadPrivateFile(const std::string& path,
                                            const PrivateContent& content) {
  struct stat facts = {};
  if (stat(path.c_str(), &facts) != 0) {
    return FileError(errno, path, "cannot be read");
  }
  if ((facts.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": others may read this ", content.what,
                                                      "; chmod 600 it, and ", content.remedy,
                                                      " if others used this machine"));
  }
  return ReadWholeFile(path);
}

}  // namespace wattle::tls
