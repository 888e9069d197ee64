// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/new_authority.h"

#include <filesystem>
#include <memory>
#include <system_error>

#include "absl/strings/str_cat.h"

#include "base/file.h"
#include "base/status_macros.h"
#include "coordinator/authority/authority.h"
#include "coordinator/backup.h"
#include "coordinator/store/lock_file.h"

namespace wattle {

absl::StatusOr<std::string> NewAuthority(const std::string& data_directory, const Clock& clock) {
  namespace fs = std::filesystem;
  std::error_code error;
  const std::string journal = absl::StrCat(data_directory, "/", kJournalFile);
  if (!fs::exists(journal, error)) {
    return absl::NotFoundError(
        absl::StrCat(data_directory, ": no journal there; give the --data-dir of a coordinator"));
  }
  WATTLE_ASSIGN_OR_RETURN(const auto lock, store::LockFile::Take(journal + ".lock"));
  const std::string folder = absl::StrCat(data_directory, "/authority");
  std::string aside;
  if (fs::exists(folder, error)) {
    aside = absl::StrCat(
        folder, absl::FormatTime(".until-%Y%m%dT%H%M%S", clock.Now(), absl::UTCTimeZone()));
    if (fs::exists(aside, error)) {
      return absl::AlreadyExistsError(absl::StrCat(aside, ": exists; try again in a second"));
    }
    WATTLE_RETURN_IF_ERROR(RenameFile(folder, aside));
    WATTLE_RETURN_IF_ERROR(SyncDirectory(data_directory));
  }
  WATTLE_ASSIGN_OR_RETURN(const auto authority, authority::Authority::Open(folder, {}, clock));
  return absl::StrCat(
      "new root ", authority->pin().substr(0, 16), "\n",
      aside.empty() ? ""
                    : absl::StrCat("the old authority is in ", aside,
                                   "; keep it away from others, or remove it\n"),
      "start the coordinator, then let everybody in again:\n"
      "  wattle login \"$(wattle-coordinator access admin-token --data-dir ",
      data_directory,
      ")\"\n"
      "  wattle device token --count N -o json\n"
      "  wattle-worker enroll TOKEN      # on each board; it keeps its key and its work\n");
}

}  // namespace wattle
