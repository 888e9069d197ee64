// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/backup.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"

#include "artifacts/store_copy.h"
#include "base/status_macros.h"
#include "coordinator/authority/sealed_copy.h"
#include "coordinator/revocations.h"
#include "coordinator/store/journal.h"

namespace wattle {
namespace {

absl::Status CopyRevocations(const std::string& from, const std::string& to) {
  WATTLE_ASSIGN_OR_RETURN(const auto copy,
                          Revocations::Open(absl::StrCat(to, "/", kRevocationsFile)));
  return copy->KeepAllOf(absl::StrCat(from, "/", kRevocationsFile));
}

}  // namespace

absl::Status Backup(const std::string& data_directory, const std::string& destination,
                    const std::string& passphrase) {
  namespace fs = std::filesystem;
  std::error_code error;
  const std::string journal = absl::StrCat(data_directory, "/", kJournalFile);
  if (!fs::exists(journal, error)) {
    return absl::NotFoundError(
        absl::StrCat(data_directory, ": no journal there; give the --data-dir of a coordinator"));
  }
  if (fs::exists(destination, error)) {
    return absl::AlreadyExistsError(
        absl::StrCat(destination, ": exists; give a path that does not"));
  }
  const std::string partial = absl::StrCat(destination, ".partial");
  fs::remove_all(partial, error);
  if (!fs::create_directories(partial, error)) {
    return absl::PermissionDeniedError(absl::StrCat(partial, ": cannot be made: ", error.message(),
                                                    "; choose a directory you may write to"));
  }
  // Copies the journal first. Blobs are durable before an event names them, so the later copy of
  // the store has every blob that the journal's copy names.
  absl::Status status = store::BackupJournal(journal, absl::StrCat(partial, "/", kJournalFile));
  if (status.ok()) {
    status = artifacts::CopyStore(absl::StrCat(data_directory, "/", kArtifactsFolder),
                                  absl::StrCat(partial, "/", kArtifactsFolder));
  }
  if (status.ok()) {
    status = CopyRevocations(data_directory, partial);
  }
  if (status.ok() && !passphrase.empty()) {
    status = authority::SealFolder(absl::StrCat(data_directory, "/", kAuthorityFolder),
                                   absl::StrCat(partial, "/", kAuthorityFolder), passphrase);
  }
  if (status.ok()) {
    fs::rename(partial, destination, error);
    status = error ? absl::InternalError(absl::StrCat(destination, ": ", error.message()))
                   : absl::OkStatus();
  }
  if (!status.ok()) {
    fs::remove_all(partial, error);
  }
  return status;
}

}  // namespace wattle
