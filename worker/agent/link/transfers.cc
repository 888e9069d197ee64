// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/link/transfers.h"

#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

#include "artifacts/manifest.h"
#include "artifacts/transfer/transfer.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "proto/job_kind.h"
#include "units/id.h"
#include "worker/agent/link/channel.h"
#include "worker/agent/link/peer_sources.h"

namespace wattle::agent {

absl::StatusOr<std::unique_ptr<Transfers>> Transfers::Open(
    const std::string& target, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
    artifacts::DiskBudget budget, TransferCallbacks callbacks,
    PeerCredentialsSource peer_credentials) {
  WATTLE_ASSIGN_OR_RETURN(auto cache, artifacts::FileCache::Open(std::move(budget), Clock::Real()));
  return std::unique_ptr<Transfers>(new Transfers(
      target, credentials, std::move(cache), std::move(callbacks), std::move(peer_credentials)));
}

Transfers::Transfers(const std::string& target,
                     const std::shared_ptr<grpc::ChannelCredentials>& credentials,
                     std::unique_ptr<artifacts::FileCache> cache, TransferCallbacks callbacks,
                     PeerCredentialsSource peer_credentials)
    : credentials_(credentials),
      peer_credentials_(std::move(peer_credentials)),
      target_(target),
      cache_(std::move(cache)),
      callbacks_(std::move(callbacks)) {
  Dial();
  thread_ = std::thread([this] { Run(); });
}

void Transfers::Dial() {
  const auto channel = MakeChannel(target_, credentials_, ChannelUse::kTransfer);
  stub_ = v1::ArtifactService::NewStub(channel);
  directory_ = v1::PeerDirectory::NewStub(channel);
}

Transfers::~Transfers() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  cancelled_ = true;
  thread_.join();
}

void Transfers::Enqueue(std::function<void()> job) {
  absl::MutexLock lock(&mutex_);
  jobs_.push_back(std::move(job));
}

void Transfers::Run() {
  TellCache();
  while (true) {
    std::function<void()> job;
    {
      absl::MutexLock lock(&mutex_);
      auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stopping_ || !jobs_.empty();
      };
      mutex_.Await(absl::Condition(&ready));
      if (stopping_) {
        return;
      }
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

void Transfers::Fetch(const v1::Assignment& assignment, std::vector<std::string> needed,
                      const std::string& checkpoint_directory) {
  cancelled_ = false;
  Enqueue([this, assignment, needed = std::move(needed), checkpoint_directory] {
    FetchResult result = RunFetch(assignment, needed, checkpoint_directory);
    TellCache();
    callbacks_.on_fetched(std::move(result));
  });
}

void Transfers::FetchRelease(const std::string& artifact_id, std::vector<std::string> needed,
                             std::function<absl::Status(const std::string& directory)> install) {
  cancelled_ = false;
  Enqueue([this, artifact_id, needed = std::move(needed), install = std::move(install)] {
    KeepOnly(needed);
    FetchResult result = RunFetchRelease(artifact_id, install);
    TellCache();
    callbacks_.on_release_fetched(std::move(result));
  });
}

FetchResult Transfers::RunFetchRelease(
    const std::string& artifact_id,
    const std::function<absl::Status(const std::string& directory)>& install) {
  FetchResult result;
  if (!artifacts::IsArtifactId(artifact_id)) {
    result.status = absl::InvalidArgumentError(
        absl::StrCat("artifact \"", artifact_id, "\": is no artifact's id (64 hex digits)"));
    return result;
  }
  Moved moved;
  fetches_release_ = true;
  const auto files = BringVerified(ArtifactId(artifact_id), moved);
  fetches_release_ = false;
  result.moved_bytes = moved.bytes;
  result.moved_in = moved.in;
  result.status = files.ok() ? install(files->directory) : files.status();
  return result;
}

void Transfers::Upload(const std::string& directory, const v1::ArtifactInfo& info) {
  cancelled_ = false;
  Enqueue([this, directory, info] { callbacks_.on_uploaded(RunUpload(directory, info)); });
}

void Transfers::UseCoordinator(const std::string& target) {
  Enqueue([this, target] {
    if (target != target_) {
      target_ = target;
      Dial();
    }
  });
}

void Transfers::Cancel() {
  cancelled_ = true;
}

void Transfers::MakeRoom(int64_t size_bytes, std::vector<std::string> needed) {
  Enqueue([this, size_bytes, needed = std::move(needed)] {
    KeepOnly(needed);
    const int64_t used_bytes = cache_->used_bytes();
    const absl::StatusOr<int64_t> short_bytes = cache_->GiveWay(size_bytes);
    if (cache_->used_bytes() != used_bytes) {
      TellCache();
    }
    // If the disk does not report its free space, the writer will see the error.
    if (short_bytes.ok() && *short_bytes > 0) {
      callbacks_.on_short_of_room(*short_bytes);
    }
  });
}

void Transfers::KeepOnly(const std::vector<std::string>& needed) {
  std::set<ArtifactId> keep;
  for (const std::string& id : needed) {
    keep.insert(ArtifactId(id));
  }
  cache_->KeepOnly(std::move(keep));
}

void Transfers::TellCache() {
  std::vector<std::string> ids;
  for (const ArtifactId& id : cache_->ListArtifacts()) {
    ids.push_back(id.value());
  }
  callbacks_.on_cache(std::move(ids), cache_->used_bytes());
}

absl::Status Transfers::Bring(const ArtifactId& id, Moved& moved) {
  if (cache_->HasArtifact(id)) {
    return absl::OkStatus();
  }
  const Moved before = moved;
  const Monotonic begun = Clock::Real().Boottime();
  artifacts::TransferOptions options;
  // What came from boards of the site says nothing about the link to the coordinator.
  options.progress = [&](const artifacts::TransferProgress& progress) {
    const int64_t link_bytes = progress.moved_bytes - progress.elsewhere_bytes;
    v1::LinkBytes bytes;
    bytes.set_fetched(before.bytes + link_bytes - moved.bytes);
    callbacks_.on_link_bytes(bytes);
    callbacks_.on_peer_bytes(before.peer_bytes + progress.elsewhere_bytes - moved.peer_bytes);
    if (fetches_release_) {
      callbacks_.on_release_progress(progress.moved_bytes, progress.total_bytes);
    }
    moved = {.bytes = before.bytes + link_bytes,
             .peer_bytes = before.peer_bytes + progress.elsewhere_bytes,
             .in = before.in + (Clock::Real().Boottime() - begun - progress.elsewhere)};
  };
  options.cancelled = [this] { return cancelled_.load(); };
  PeerSources sources({.directory = directory_.get(),
                       .credentials_of = peer_credentials_,
                       .cancelled = options.cancelled,
                       .on_note = callbacks_.on_note,
                       .on_wrong_bytes = callbacks_.on_peers_wrong_bytes});
  options.sources = peer_credentials_ ? &sources : nullptr;
  const absl::Status fetched = artifacts::Fetch(*stub_, id, *cache_, options);
  if (fetched.ok()) {
    TellCache();  // before the next board of the site is sent here
    sources.EndFetch(id);
  }
  return fetched;
}

// Fetches an artifact again if the card has changed it.
absl::StatusOr<artifacts::FileCache::Files> Transfers::BringVerified(const ArtifactId& id,
                                                                     Moved& moved) {
  const auto cancelled = [this] { return cancelled_.load(); };
  const bool was_there = cache_->HasArtifact(id);
  WATTLE_RETURN_IF_ERROR(Bring(id, moved));
  absl::StatusOr<artifacts::FileCache::Files> files = cache_->OpenVerified(id, cancelled);
  if (was_there && absl::IsDataLoss(files.status())) {
    WATTLE_RETURN_IF_ERROR(Bring(id, moved));
    files = cache_->OpenVerified(id, cancelled);
  }
  return files;
}

absl::StatusOr<FetchedInput> Transfers::FetchInput(const v1::ResolvedInput& input, Moved& moved) {
  const auto files = BringVerified(ArtifactId(input.artifact_id()), moved);
  WATTLE_RETURN_IF_ERROR(WithContext(input.field(), files.status()));
  FetchedInput fetched = {.field = input.field(),
                          .directory = files->directory,
                          .file = {},
                          .size_bytes = artifacts::SizeBytes(files->manifest)};
  if (files->manifest.files_size() == 1) {
    fetched.file = absl::StrCat(fetched.directory, "/", files->manifest.files(0).path());
  } else if (!IsModelInput(input.field())) {
    return absl::InvalidArgumentError(absl::StrCat(input.field(), ": ", input.reference(),
                                                   " must be one file, it is a directory"));
  }
  return fetched;
}

// The files are copies, because the runner removes old checkpoints and must not remove the cache's
// files.
absl::Status Transfers::PlaceCheckpoint(const ArtifactId& id, const std::string& directory,
                                        Moved& moved) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (fs::exists(directory, error)) {
    return absl::OkStatus();
  }
  WATTLE_ASSIGN_OR_RETURN(const auto files, BringVerified(id, moved));
  const std::string partial = directory + ".partial";
  fs::remove_all(partial, error);
  fs::create_directories(fs::path(directory).parent_path(), error);
  fs::copy(files.directory, partial, fs::copy_options::recursive, error);
  if (!error) {
    fs::rename(partial, directory, error);
  }
  if (error) {
    fs::remove_all(partial, error);
    return absl::ResourceExhaustedError(absl::StrCat(directory, ": cannot be written"));
  }
  return absl::OkStatus();
}

FetchResult Transfers::RunFetch(const v1::Assignment& assignment,
                                const std::vector<std::string>& needed,
                                const std::string& checkpoint_directory) {
  KeepOnly(needed);
  pushed_directory_.clear();  // the next runner writes a new result
  FetchResult result;
  Moved moved;
  if (!assignment.checkpoint_artifact_id().empty()) {
    const absl::Status placed = PlaceCheckpoint(ArtifactId(assignment.checkpoint_artifact_id()),
                                                checkpoint_directory, moved);
    if (!placed.ok() && !absl::IsCancelled(placed)) {
      result.note = absl::StrCat(
          assignment.attempt_id(), ": the checkpoint of step ", assignment.checkpoint_step(),
          " cannot be fetched, earlier steps are repeated: ", placed.message());
    }
  }
  for (const v1::ResolvedInput& input : assignment.inputs()) {
    absl::StatusOr<FetchedInput> fetched = FetchInput(input, moved);
    result.moved_bytes = moved.bytes;
    result.peer_bytes = moved.peer_bytes;
    result.moved_in = moved.in;
    if (!fetched.ok()) {
      result.status = fetched.status();
      return result;
    }
    result.inputs.push_back(*std::move(fetched));
  }
  if (cancelled_) {
    result.status = absl::CancelledError("fetch: cancelled");
  }
  return result;
}

// The files of a result do not change between two tries, so only the first try hashes them.
absl::StatusOr<v1::ArtifactInfo> Transfers::Push(const std::string& directory,
                                                 const v1::ArtifactInfo& info, Moved& moved) {
  artifacts::TransferOptions options;
  Monotonic begun;
  options.progress = [this, &moved, &begun](const artifacts::TransferProgress& progress) {
    v1::LinkBytes bytes;
    bytes.set_uploaded(progress.moved_bytes - moved.bytes);
    callbacks_.on_link_bytes(bytes);
    moved = {.bytes = progress.moved_bytes, .in = Clock::Real().Boottime() - begun};
    const int64_t size_bytes = artifacts::SizeBytes(pushed_manifest_);
    const int64_t left_bytes = progress.total_bytes - progress.moved_bytes;
    callbacks_.on_upload_progress(
        {.handed_bytes = size_bytes - left_bytes, .size_bytes = size_bytes});
  };
  options.cancelled = [this] { return cancelled_.load(); };
  if (pushed_directory_ != directory) {
    pushed_directory_.clear();
    WATTLE_ASSIGN_OR_RETURN(pushed_manifest_,
                            artifacts::BuildManifest(directory, options.cancelled));
    pushed_directory_ = directory;
  }
  begun = Clock::Real().Boottime();
  absl::StatusOr<v1::ArtifactInfo> pushed =
      artifacts::PushManifest(*stub_, directory, pushed_manifest_, info, options);
  // kDataLoss means that the files differ from the hashed ones.
  if (pushed.ok() || absl::IsDataLoss(pushed.status())) {
    pushed_directory_.clear();
  }
  return pushed;
}

UploadResult Transfers::RunUpload(const std::string& directory, const v1::ArtifactInfo& info) {
  UploadResult result;
  Moved moved;
  absl::StatusOr<v1::ArtifactInfo> artifact = Push(directory, info, moved);
  result.moved_bytes = moved.bytes;
  result.moved_in = moved.in;
  if (artifact.ok()) {
    result.artifact = *std::move(artifact);
  } else {
    result.status = artifact.status();
  }
  return result;
}

}  // namespace wattle::agent
