// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The folder of a board's releases:
//   VERSION/bin/{wattle-worker,wattle-runner}    one release, whole or not there
//   current -> VERSION                           what the service starts
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
  // Copies the files of `source` into the release, in place of one with this name. Those in bin/
  // may be executed. Errors: kInvalidArgument where a program is missing; those of the disk.
  [[nodiscard]] absl::Status Install(const std::string& version, const std::string& source) const;
  // Removes every other release, and what cuts have left.
  void KeepOnly(const std::set<std::string>& versions) const;

  // The whole releases in the folder, in the order of their names.
  [[nodiscard]] std::set<std::string> Kept() const;

  // The present release's program of this name.
  [[nodiscard]] std::string Program(const std::string& name) const;
  // The same of a release that is kept.
  [[nodiscard]] std::string ProgramOf(const std::string& version, const std::string& name) const;

 private:
  [[nodiscard]] std::string PathOf(const std::string& name) const;

  std::string directory_;
};

}  // namespace wattle::upgrade

#endif  // WATTLE_WORKER_UPGRADE_RELEASES_H_
