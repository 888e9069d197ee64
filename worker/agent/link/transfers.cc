// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/link/transfers.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

#include "artifacts/manifest.h"
#include "artifacts/transfer/transfer.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "units/id.h"
#include "wattle/v1/artifact.grpc.pb.h"
#include "worker/agent/link/channel.h"

namespace wattle::agent {

absl::StatusOr<std::unique_ptr<Transfers>> Transfers::Open(const std::string& target,
                                                           const std::string& cache_directory,
                                                           int64_t quota_bytes,
                                                           int64_t reserve_bytes,
                                                           TransferCallbacks callbacks) {
  artifacts::BlobStoreOptions options;
  options.directory = cache_directory;
  options.quota_bytes = quota_bytes;
  options.free_space_reserve_bytes = reserve_bytes;
  WATTLE_ASSIGN_OR_RETURN(auto store, artifacts::BlobStore::Open(options, Clock::Real()));
  return std::unique_ptr<Transfers>(new Transfers(target, std::move(store), std::move(callbacks)));
}

Transfers::Transfers(std::string target, std::unique_ptr<artifacts::BlobStore> store,
                     TransferCallbacks callbacks)
    : target_(std::move(target)), store_(std::move(store)), callbacks_(std::move(callbacks)) {
  thread_ = std::thread([this] { Run(); });
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
  cancelled_ = false;
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
  Enqueue([this, assignment, needed = std::move(needed), checkpoint_directory] {
    FetchResult result = RunFetch(assignment, needed, checkpoint_directory);
    TellCache();
    callbacks_.on_fetched(std::move(result));
  });
}

void Transfers::Upload(const std::string& directory, const v1::ArtifactInfo& info) {
  Enqueue([this, directory, info] { callbacks_.on_uploaded(RunUpload(directory, info)); });
}

void Transfers::Cancel() {
  cancelled_ = true;
}

void Transfers::TellCache() {
  std::vector<std::string> ids;
  for (const artifacts::StoredArtifact& artifact : store_->ListArtifacts()) {
    ids.push_back(artifact.id.value());
  }
  callbacks_.on_cache(std::move(ids), store_->used_bytes());
}

void Transfers::KeepOnly(const std::vector<std::string>& needed) {
  for (const artifacts::StoredArtifact& artifact : store_->ListArtifacts()) {
    const bool wanted =
        std::find(needed.begin(), needed.end(), artifact.id.value()) != needed.end();
    if (artifact.pinned != wanted) {
      // A pin that cannot be written only makes the cache less careful.
      (void)(wanted ? store_->Pin(artifact.id) : store_->Unpin(artifact.id));
    }
  }
}

absl::StatusOr<FetchedInput> Transfers::Place(const v1::ResolvedInput& input) {
  const ArtifactId id(input.artifact_id());
  FetchedInput placed = {.field = input.field(), .directory = {}, .file = {}, .size_bytes = 0};
  WATTLE_ASSIGN_OR_RETURN(placed.directory, store_->View(id));
  WATTLE_ASSIGN_OR_RETURN(const v1::Manifest manifest, store_->ReadManifest(id));
  placed.size_bytes = artifacts::SizeBytes(manifest);
  if (manifest.files_size() == 1) {
    placed.file = absl::StrCat(placed.directory, "/", manifest.files(0).path());
  } else if (input.field() != "model" && input.field() != "reference_model") {
    return absl::InvalidArgumentError(absl::StrCat(input.field(), ": ", input.reference(),
                                                   " must be one file, it is a directory"));
  }
  return placed;
}

absl::Status Transfers::FetchArtifact(const ArtifactId& id, FetchResult& result) {
  if (store_->HasArtifact(id)) {
    return absl::OkStatus();
  }
  const auto stub = v1::ArtifactService::NewStub(MakeChannel(target_, ChannelUse::kTransfer));
  int64_t moved = 0;
  artifacts::TransferOptions options;
  options.progress = [&moved](const artifacts::TransferProgress& progress) {
    moved = progress.moved_bytes;
  };
  options.cancelled = [this] { return cancelled_.load(); };
  const absl::Status status = artifacts::Fetch(*stub, id, *store_, options);
  result.moved_bytes += moved;
  return status;
}

// The runner writes beside it, so the files are copies, not the cache's own.
absl::Status Transfers::PlaceCheckpoint(const ArtifactId& id, const std::string& directory,
                                        FetchResult& result) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (fs::exists(directory, error)) {
    return absl::OkStatus();
  }
  WATTLE_RETURN_IF_ERROR(FetchArtifact(id, result));
  WATTLE_ASSIGN_OR_RETURN(const std::string view, store_->View(id));
  const std::string partial = directory + ".partial";
  fs::remove_all(partial, error);
  fs::create_directories(fs::path(directory).parent_path(), error);
  fs::copy(view, partial, fs::copy_options::recursive, error);
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
  FetchResult result;
  KeepOnly(needed);
  if (!assignment.checkpoint_artifact_id().empty()) {
    const absl::Status placed = PlaceCheckpoint(ArtifactId(assignment.checkpoint_artifact_id()),
                                                checkpoint_directory, result);
    if (!placed.ok() && !absl::IsCancelled(placed)) {
      result.note = absl::StrCat(assignment.attempt_id(), ": the checkpoint of step ",
                                 assignment.checkpoint_step(),
                                 " cannot be had, earlier steps are repeated: ", placed.message());
    }
  }
  for (const v1::ResolvedInput& input : assignment.inputs()) {
    result.status =
        WithContext(input.field(), FetchArtifact(ArtifactId(input.artifact_id()), result));
    if (!result.status.ok()) {
      return result;
    }
    absl::StatusOr<FetchedInput> placed = Place(input);
    if (!placed.ok()) {
      result.status = placed.status();
      return result;
    }
    result.inputs.push_back(*std::move(placed));
  }
  KeepOnly(needed);
  if (cancelled_) {
    result.status = absl::CancelledError("fetch: cancelled");
  }
  return result;
}

UploadResult Transfers::RunUpload(const std::string& directory, const v1::ArtifactInfo& info) {
  UploadResult result;
  const auto stub = v1::ArtifactService::NewStub(MakeChannel(target_, ChannelUse::kTransfer));
  artifacts::TransferOptions options;
  options.progress = [&result](const artifacts::TransferProgress& progress) {
    result.moved_bytes = progress.moved_bytes;
  };
  options.cancelled = [this] { return cancelled_.load(); };
  absl::StatusOr<v1::ArtifactInfo> artifact = artifacts::Push(*stub, directory, info, options);
  if (artifact.ok()) {
    result.artifact = *std::move(artifact);
  } else {
    result.status = artifact.status();
  }
  return result;
}

}  // namespace wattle::agent
