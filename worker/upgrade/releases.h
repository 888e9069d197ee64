// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The folder of a board's releases:
//   VERSION/bin/{wattle-worker,wattle-runner}    one release, complete or absent
//   current -> VERSION                           the release that the service starts
// Each change is one rename, durable when it returns. One thread at a time.
#ifndef WATTLE_WORKER_UPGRADE_RELEASES_H_
#define WATTLE_WORKER_UPGRADE_RELEASES_H_

#include <set>
#include <string>

#include "absl/status/status.h"

namespace wattle::upgrade {

class Releases {
 public:
  explicit Releases(std::string directory) : directory_(std::move(directory)) {}

  // The release that the link points to; "": there is no link.
  [[nodiscard]] std::string Current() const;
  // Points the link to this release; "": removes it. Errors: those of base/file.h.
  [[nodiscard]] absl::Status Switch(const std::string& version) const;
  // Copies the files of `source` into the release, replacing a release of this name. Files in bin/
  // become executable. Errors: kInvalidArgument if a program is missing; those of the disk.
  [[nodiscard]] absl::Status Install(const std::string& version, const std::string& source) const;
  // Removes every other release, and remains of interrupted installs.
  void KeepOnly(const std::set<std::string>& versions) const;

  // The complete releases in the folder, in the order of their names.
  [[nodiscard]] std::set<std::string> Kept() const;

  // The present release's program of this name.
  [[nodiscard]] std::string Program(const std::string& name) const;
  // The program of this name in a kept release.
  [[nodiscard]] std::string ProgramOf(const std::string& version, const std::string& name) const;

 private:
  [[nodiscard]] std::string PathOf(const std::string& name) const;

  std::string directory_;
};

}  // namespace wattle::upgrade

#endif  // WATTLE_WORKER_UPGRADE_RELEASES_H_
