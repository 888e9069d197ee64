// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The transfers of a simulated worker: fetches, and uploads of results and checkpoints.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

#include "sim/worker.h"

namespace wattle::sim {
namespace {

constexpr absl::string_view kCache = "cache/";
constexpr double kTransferBytesPerSecond = 1e6;
constexpr int64_t kDrawnArtifactBytes = 1 << 20;
constexpr double kDrawnUploadSeconds = 1.0;
constexpr double kSlowWriteSeconds = 5.0;

}  // namespace

int64_t Worker::ArtifactBytes(const std::string& artifact_id) const {
  return machine_ ? machine_->artifact_bytes(artifact_id) : kDrawnArtifactBytes;
}

int64_t Worker::UploadBytes(v1::ArtifactKind kind) const {
  if (!workload_) {
    return kDrawnArtifactBytes;
  }
  return kind == v1::ARTIFACT_KIND_CHECKPOINT ? workload_->checkpoint_bytes
                                              : workload_->result_bytes;
}

double Worker::BytesPerSecond() const {
  return machine_ ? machine_->info.link_bytes_per_second() : kTransferBytesPerSecond;
}

bool Worker::IsCached(const std::string& artifact_id) const {
  return machine_ ? cached_.contains(artifact_id) : !cache_empty_;
}

void Worker::KeepInCache(const agent::FetchResult& result) {
  if (!machine_) {
    return;
  }
  int64_t used_bytes = 0;
  for (const agent::FetchedInput& input : result.inputs) {
    cached_.insert(std::string(absl::StripPrefix(input.directory, kCache)));
  }
  for (const std::string& id : cached_) {
    used_bytes += ArtifactBytes(id);
  }
  core_->SetCache({cached_.begin(), cached_.end()}, used_bytes);
}

void Worker::StartFetch(const v1::Assignment& assignment) {
  transfer_ = ++transfers_;
  agent::FetchResult result;
  for (const v1::ResolvedInput& input : assignment.inputs()) {
    const std::string directory = absl::StrCat(kCache, input.artifact_id());
    const int64_t size_bytes = ArtifactBytes(input.artifact_id());
    result.inputs.push_back({.field = input.field(),
                             .directory = directory,
                             .file = absl::StrCat(directory, "/file"),
                             .size_bytes = size_bytes});
    result.moved_bytes += IsCached(input.artifact_id()) ? 0 : size_bytes;
  }
  result.moved_in = absl::Seconds(static_cast<double>(result.moved_bytes) / BytesPerSecond());
  transfer_done_ = [this, result, assignment](const absl::Status& status) mutable {
    result.status = status;
    if (!status.ok()) {
      result.moved_bytes = 0;
    } else {
      PlaceCheckpoint(assignment);
      KeepInCache(result);
    }
    Call([&](const agent::Instant& now) { core_->OnFetched(result, now); });
  };
  const double seconds = static_cast<double>(result.moved_bytes) / BytesPerSecond();
  const bool all_cached = result.moved_bytes == 0;
  Later(0.01 + seconds, [this, transfer = transfer_, all_cached] {
    // Without a link only a cached input is available.
    const bool there = stream_ != 0 || (machine_ ? all_cached : !cache_empty_);
    cache_empty_ = cache_empty_ && !there;
    EndTransfer(transfer, there ? absl::OkStatus() : absl::UnavailableError("no link"));
  });
}

// Places the checkpoint at which another device left off. This device's own checkpoint is not
// overwritten.
void Worker::PlaceCheckpoint(const v1::Assignment& assignment) {
  const std::string* content = link_.blob(assignment.checkpoint_artifact_id());
  const std::string file =
      CheckpointFile(state_->WorkDirectory(assignment.attempt_id()), assignment.checkpoint_step());
  if (content != nullptr && !disk_.Read(file).ok()) {
    disk_.Replace(file, *content).IgnoreError();  // without the checkpoint the run begins anew
  }
}

void Worker::StartUpload(const std::string& directory, const v1::ArtifactInfo& info) {
  transfer_ = ++transfers_;
  agent::UploadResult result;
  result.artifact = info;
  if (info.kind() == v1::ARTIFACT_KIND_CHECKPOINT) {
    const std::string content = disk_.Read(absl::StrCat(directory, "/state")).value_or("");
    result.artifact.set_artifact_id(CheckpointId(content));
    link_.keep_blob(result.artifact.artifact_id(), content);
  } else {
    result.artifact.set_artifact_id(
        OutputId(disk_.Read(absl::StrCat(directory, "/weights")).value_or("unreadable")));
  }
  result.artifact.set_size_bytes(UploadBytes(info.kind()));
  result.moved_bytes = result.artifact.size_bytes();
  transfer_done_ = [this, result](const absl::Status& status) mutable {
    result.status = status;
    Call([&](const agent::Instant& now) { core_->OnUploaded(result, now); });
  };
  const double seconds =
      machine_ ? static_cast<double>(result.moved_bytes) / BytesPerSecond() : kDrawnUploadSeconds;
  Later(seconds, [this, artifact = result.artifact, transfer = transfer_] {
    if (stream_ == 0) {
      EndTransfer(transfer, absl::UnavailableError("no link"));
      return;
    }
    link_.upload(artifact, [this, transfer, life = life_](const absl::Status& status) {
      if (life == life_) {
        EndTransfer(transfer, status);
      }
    });
    // An upload without an answer has failed.
    Later(30.0 + 2.0 * world_.options.delay_seconds_max,
          [this, transfer] { EndTransfer(transfer, absl::DeadlineExceededError("no answer")); });
  });
}

void Worker::ProbeStorage() {
  const absl::Status status = disk_.Replace("health", std::string(64, 'w'));
  Later(disk_state_ == Disk::kSlow ? kSlowWriteSeconds : 0.01, [this, status] {
    Call([&](const agent::Instant& now) { core_->OnStorageProbed(status, now); });
  });
}

void Worker::CancelTransfer() {
  Later(0.0,
        [this, transfer = transfer_] { EndTransfer(transfer, absl::CancelledError("cancelled")); });
}

// Ends the transfer once, by the first outcome.
void Worker::EndTransfer(int64_t transfer, const absl::Status& status) {
  if (transfer == transfer_ && transfer != 0) {
    transfer_ = 0;
    const auto done = std::exchange(transfer_done_, nullptr);
    done(status);
  }
}

std::string CheckpointId(const std::string& content) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char byte : content) {
    hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
  }
  return absl::StrCat(std::string(48, 'c'), absl::Hex(hash, absl::kZeroPad16));
}

std::string OutputId(const std::string& weights) {
  return absl::StrCat(std::string(64 - std::min<size_t>(weights.size(), 64), '0'), weights);
}

}  // namespace wattle::sim
