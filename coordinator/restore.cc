// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "artifacts/blob_store.h"
#include "artifacts/store_copy.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "coordinator/authority/sealed_copy.h"
#include "coordinator/backup.h"
#include "coordinator/core/core.h"
#include "coordinator/core/lineage.h"
#include "coordinator/core/state.h"
#include "coordinator/revocations.h"
#include "coordinator/runtime/runtime.h"
#include "coordinator/store/history.h"
#include "coordinator/store/journal.h"

namespace wattle {
namespace {

namespace fs = std::filesystem;

std::string JournalOf(const std::string& directory) {
  return absl::StrCat(directory, "/", kJournalFile);
}

absl::StatusOr<core::State> StateOf(const std::string& journal_path) {
  WATTLE_ASSIGN_OR_RETURN(const std::unique_ptr<store::Journal> journal,
                          store::Journal::Open(journal_path));
  return runtime::Replay(*journal);
}

// Reads a copy of the journal, because the original may be in use.
absl::StatusOr<core::State> StateOfCopy(const std::string& journal_path) {
  const std::string copy = absl::StrCat(journal_path, ".look");
  const auto remove = [&copy] {
    std::error_code ignored;
    for (const char* suffix : {"", "-wal", "-shm", ".lock", ".archive"}) {
      fs::remove(copy + suffix, ignored);
    }
  };
  remove();
  absl::Status status = store::BackupJournal(journal_path, copy);
  absl::StatusOr<core::State> state = status.ok() ? StateOf(copy) : status;
  remove();
  return state;
}

// The journal that a restore replaces.
struct Replaced {
  core::State state;
  // Jobs of its history that the backup does not have as ended: only their id, name, state and
  // reason.
  std::vector<v1::Job> archived;
};

v1::Job OutlineOf(const v1::Job& job) {
  v1::Job outline;
  outline.set_job_id(job.job_id());
  outline.mutable_spec()->set_name(job.spec().name());
  outline.set_state(job.state());
  outline.set_reason(job.reason());
  return outline;
}

// Jobs in the history of the journal at `path` that the backup does not know or has as open.
absl::StatusOr<std::vector<v1::Job>> ArchivedSince(const std::string& path,
                                                   const core::State& backup) {
  WATTLE_ASSIGN_OR_RETURN(const std::unique_ptr<store::History> history,
                          store::History::Open(path));
  std::vector<v1::Job> jobs;
  for (const int64_t number : backup.open_jobs) {
    const absl::StatusOr<v1::Job> job = history->Job(JobId(absl::StrCat("j", number)));
    if (job.ok()) {
      jobs.push_back(OutlineOf(*job));
    }
  }
  store::HistoryQuery query{.limit = 1000};
  while (true) {
    WATTLE_ASSIGN_OR_RETURN(const std::vector<v1::Job> page,
                            history->Jobs(query));  // Newest first.
    for (const v1::Job& job : page) {
      query.before_number = core::JobNumber(job.job_id()).value_or(0);
      if (query.before_number < backup.next_job_number) {
        return jobs;
      }
      jobs.push_back(OutlineOf(job));
    }
    if (page.empty()) {
      return jobs;
    }
  }
}

// Sets the existing journal aside. Returns its content, if it can be read, because that content
// tells which work is lost.
absl::StatusOr<std::optional<Replaced>> SetAside(const std::string& path,
                                                 const core::State& backup) {
  std::optional<Replaced> before;
  absl::StatusOr<core::State> state = StateOf(path);
  if (state.ok() && !state->lineage_id.empty() && !backup.lineage_id.empty() &&
      state->lineage_id != backup.lineage_id) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is journal ", state->lineage_id, ", and the backup is of journal ",
                     backup.lineage_id, ": restore into another directory"));
  }
  if (state.ok()) {
    before.emplace().state = *std::move(state);
    WATTLE_ASSIGN_OR_RETURN(before->archived, ArchivedSince(path, backup));
  } else if (absl::IsFailedPrecondition(state.status())) {
    return state.status();  // A coordinator runs on the journal, or a newer version wrote it.
  }
  const std::string aside =
      absl::StrCat(path, ".before-restore-", absl::ToUnixSeconds(Clock::Real().Now()));
  std::error_code error;
  for (const char* suffix : {"", "-wal", "-shm", ".archive"}) {
    if (fs::exists(path + suffix, error)) {
      fs::rename(path + suffix, aside + suffix, error);
      if (error) {
        return absl::InternalError(absl::StrCat(path, suffix, ": ", error.message()));
      }
    }
  }
  return before;
}

// Adds the artifacts that are missing. An artifact never changes under its id, so existing ones
// stay.
absl::Status AddArtifacts(const std::string& from, const std::string& to) {
  std::error_code error;
  if (!fs::exists(from, error)) {
    return absl::OkStatus();
  }
  return artifacts::AddStore(from, to);
}

// Commits again each artifact that the backup does not know and whose files are still in the store.
// A worker's report can then end its job with this result, and nobody has to push an artifact
// again.
absl::Status KeepArtifacts(const core::State& before, const std::string& directory,
                           store::Journal& journal, core::State& restored) {
  WATTLE_ASSIGN_OR_RETURN(const std::unique_ptr<artifacts::BlobStore> store,
                          artifacts::BlobStore::Open({.directory = directory}, Clock::Real()));
  for (const auto& [id, known] : before.artifacts) {
    if (restored.artifacts.contains(id) || !store->HasArtifact(id)) {
      continue;
    }
    core::CommitArtifact command{known};
    const auto named = before.artifact_names.find(known.name());
    if (named == before.artifact_names.end() || named->second != id) {
      command.info.clear_name();  // A later artifact has the name.
    }
    const core::Instant now{Clock::Real().Now(), Clock::Real().Boottime()};
    const core::Decision kept = core::Decide(restored, command, {}, now);
    WATTLE_RETURN_IF_ERROR(kept.status);
    WATTLE_RETURN_IF_ERROR(journal.Append(kept.events));
    for (const v1::Event& event : kept.events) {
      core::Apply(restored, event, now.monotonic);
    }
  }
  return absl::OkStatus();
}

// One line about a job that is lost or open again; empty if the restored state has the job as the
// replaced journal had it.
std::string WhatIsLostOf(const v1::Job& job, const core::State& restored) {
  const v1::JobRecord* known = core::FindJob(restored, JobId(job.job_id()));
  if (known == nullptr && core::WasGivenOut(restored, core::JobNumber(job.job_id()).value_or(0))) {
    return "";  // The job has ended, and the restored history has it.
  }
  if (known == nullptr) {
    return absl::StrCat("  ", job.job_id(), " (", job.spec().name(),
                        ") was submitted after the backup: submit it again\n");
  }
  return IsTerminal(job.state()) && !IsTerminal(known->job().state())
             ? absl::StrCat("  ", job.job_id(), " had ended (", job.reason(),
                            "): the job is open again until its worker reports\n")
             : "";
}

std::string WhatIsLost(const Replaced& before, const core::State& restored) {
  std::string text;
  for (const v1::Job& job : before.archived) {
    absl::StrAppend(&text, WhatIsLostOf(job, restored));
  }
  for (const auto& [number, record] : before.state.jobs) {
    absl::StrAppend(&text, WhatIsLostOf(record.job(), restored));
  }
  return text;
}

absl::Status RestoreAuthority(const RestoreOptions& options) {
  if (options.passphrase.empty()) {
    return absl::OkStatus();
  }
  const std::string sealed = absl::StrCat(options.backup, "/", kAuthorityFolder);
  std::error_code error;
  if (options.backup.empty() || !fs::exists(sealed, error)) {
    return absl::NotFoundError(
        "--passphrase-file: the backup has no authority; leave the flag out, and put the "
        "authority's folder where it was yourself");
  }
  return authority::OpenFolder(sealed, absl::StrCat(options.data_directory, "/", kAuthorityFolder),
                               options.passphrase);
}

// What a person has to do about an authority that the restore left out; empty: nothing.
std::string WithoutAuthority(const RestoreOptions& options) {
  std::error_code error;
  const std::string own = absl::StrCat(options.data_directory, "/", kAuthorityFolder);
  if (options.backup.empty() || fs::exists(own, error)) {
    return "";
  }
  return fs::exists(absl::StrCat(options.backup, "/", kAuthorityFolder), error)
             ? "the backup's authority was left out: --passphrase-file restores it; without it "
               "everybody enrols again\n"
             : absl::StrCat("the backup has no authority: copy the old coordinator's to ", own,
                            " before the start; without it everybody enrols again, unless the "
                            "issuing key is the operator's\n");
}

}  // namespace

absl::StatusOr<std::string> Restore(const RestoreOptions& options) {
  const std::string path = JournalOf(options.data_directory);
  std::error_code error;
  // First, because a wrong passphrase must change nothing.
  WATTLE_RETURN_IF_ERROR(RestoreAuthority(options));
  std::optional<Replaced> before;
  std::string reason = "its epoch was raised";
  if (!options.backup.empty()) {
    const std::string source = JournalOf(options.backup);
    if (!fs::exists(source, error)) {
      return absl::NotFoundError(absl::StrCat(options.backup,
                                              ": no journal there; give a directory that "
                                              "'wattle-coordinator backup' made"));
    }
    WATTLE_ASSIGN_OR_RETURN(const core::State backup, StateOfCopy(source));
    if (fs::exists(path, error)) {
      if (!options.replace) {
        return absl::AlreadyExistsError(
            absl::StrCat(options.data_directory,
                         ": has a journal; choose another directory, or --replace sets it aside"));
      }
      WATTLE_ASSIGN_OR_RETURN(before, SetAside(path, backup));
    }
    fs::create_directories(options.data_directory, error);
    WATTLE_RETURN_IF_ERROR(store::BackupJournal(source, path));
    WATTLE_RETURN_IF_ERROR(
        AddArtifacts(absl::StrCat(options.backup, "/", kArtifactsFolder),
                     absl::StrCat(options.data_directory, "/", kArtifactsFolder)));
    WATTLE_ASSIGN_OR_RETURN(
        const auto revocations,
        Revocations::Open(absl::StrCat(options.data_directory, "/", kRevocationsFile)));
    WATTLE_RETURN_IF_ERROR(
        revocations->KeepAllOf(absl::StrCat(options.backup, "/", kRevocationsFile)));
    reason = absl::StrCat("restored from ", options.backup);
  } else if (!fs::exists(path, error)) {
    return absl::NotFoundError(
        absl::StrCat(options.data_directory, ": no journal there; --from names the backup"));
  }
  WATTLE_ASSIGN_OR_RETURN(const std::unique_ptr<store::Journal> journal,
                          store::Journal::Open(path));
  WATTLE_ASSIGN_OR_RETURN(core::State state, runtime::Replay(*journal));
  const int64_t last = state.last_sequence.value();
  // A backup that was restored before must not give out the numbers of that restore's epoch again.
  core::OpenJournal opening;
  opening.copy = true;
  opening.epoch_min =
      std::max(options.epoch_min, before.has_value() ? core::EpochOf(before->state) + 1 : 0);
  opening.reason = reason;
  WATTLE_RETURN_IF_ERROR(runtime::OpenLineage(*journal, Clock::Real(), std::move(opening), state));
  std::string text =
      absl::StrCat(options.data_directory, ": journal ", state.lineage_id, " goes on under epoch ",
                   core::EpochOf(state), " after event ", last, "; ", state.open_jobs.size(),
                   state.open_jobs.size() == 1 ? " job is open\n" : " jobs are open\n");
  if (before.has_value()) {
    WATTLE_RETURN_IF_ERROR(
        KeepArtifacts(before->state, absl::StrCat(options.data_directory, "/", kArtifactsFolder),
                      *journal, state));
    const std::string lost = WhatIsLost(*before, state);
    absl::StrAppend(&text,
                    lost.empty() ? "nothing is missing from the journal that was replaced\n"
                                 : "after the backup:\n",
                    lost);
  }
  absl::StrAppend(&text, WithoutAuthority(options), "start it: wattle-coordinator --data-dir ",
                  options.data_directory, "\nthen: wattle-coordinator restore --report --data-dir ",
                  options.data_directory, " lists what the workers still had\n");
  return text;
}

absl::StatusOr<std::string> RestoreReport(const std::string& data_directory) {
  std::error_code error;
  if (!fs::exists(JournalOf(data_directory), error)) {
    return absl::NotFoundError(
        absl::StrCat(data_directory, ": no journal there; give the --data-dir of a coordinator"));
  }
  WATTLE_ASSIGN_OR_RETURN(const core::State state, StateOfCopy(JournalOf(data_directory)));
  if (core::EpochOf(state) == 0) {
    return absl::StrCat(data_directory, ": never restored (epoch 0)\n");
  }
  const v1::Opening& opening = state.openings.back();
  std::string text =
      absl::StrCat("epoch ", opening.epoch(), " since ",
                   absl::FormatTime("%Y-%m-%d %H:%M:%S UTC",
                                    core::FromUnix(opening.at_unix_seconds()), absl::UTCTimeZone()),
                   ", ", opening.reason(), ", after event ", opening.copied_sequence(), "\n");
  for (const bool recovered : {true, false}) {
    absl::StrAppend(&text, recovered ? "taken in again:\n" : "lost, or done again:\n");
    int lines = 0;
    for (const v1::RestoreFinding& finding : state.restore_findings) {
      if (finding.recovered() == recovered) {
        absl::StrAppend(&text, "  ", finding.text(), "\n");
        ++lines;
      }
    }
    absl::StrAppend(&text, lines == 0 ? "  nothing so far\n" : "");
  }
  return text;
}

}  // namespace wattle
