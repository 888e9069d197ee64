// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The transfers of a simulated worker: fetches, and uploads of results and checkpoints. Files cross
// the link in pieces. Received bytes stay, and the next try continues after them.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

#include "sim/worker.h"

namespace wattle::sim {
namespace {

constexpr absl::string_view kCache = "cache/";
constexpr double kTransferBytesPerSecond = 1e6;
constexpr int64_t kDrawnArtifactBytes = 1 << 20;
constexpr int64_t kPieceBytes = 128 << 10;
constexpr double kLookSeconds = 0.01;  // check whether an artifact exists
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

HourlyLink::Piece Worker::NextPiece(double at_seconds) const {
  if (machine_ && machine_->link) {
    return machine_->link->NextPiece(moving_.left_bytes, at_seconds);
  }
  const int64_t bytes = machine_ ? moving_.left_bytes : std::min(moving_.left_bytes, kPieceBytes);
  const double bytes_per_second = machine_
                                      ? machine_->info.link_bytes_per_second()
                                      : narrow_bytes_per_second_.value_or(kTransferBytesPerSecond);
  return {bytes, static_cast<double>(bytes) / bytes_per_second};
}

void Worker::Move(int64_t transfer, double wait_seconds, const std::function<void()>& moved) {
  if (transfer != transfer_) {
    return;
  }
  if (moving_.left_bytes == 0) {
    return Later(wait_seconds, moved);
  }
  if (stream_ == 0) {
    // Later, because the end may destroy the attempt whose call of the core began the transfer.
    return Later(0.0,
                 [this, transfer] { EndTransfer(transfer, absl::UnavailableError("no link")); });
  }
  const std::string breach = links_.OnPiece(policies_.limits(), Moment());
  if (!breach.empty()) {
    world_.invariants.Break(absl::StrCat(device_id_, ": ", breach));
  }
  const HourlyLink::Piece piece = NextPiece(world_.loop.now_seconds() + wait_seconds);
  Later(wait_seconds + piece.seconds, [this, transfer, piece, moved] {
    if (transfer != transfer_) {
      return;
    }
    if (stream_ == 0) {
      return EndTransfer(transfer, absl::UnavailableError("no link"));
    }
    moving_.left_bytes -= piece.bytes;
    moving_.moved_bytes += piece.bytes;
    moving_.seconds += piece.seconds;
    links_.OnMoved(piece.bytes);
    if (moving_.came) {
      moving_.came(piece.bytes);
    }
    v1::LinkBytes moved_bytes;
    moving_.uploads ? moved_bytes.set_uploaded(piece.bytes) : moved_bytes.set_fetched(piece.bytes);
    Call([&](const agent::Instant& now) { core_->OnLinkBytes(moved_bytes, now); });
    // The agent may have ended the transfer during this piece.
    Later(0.0, [this, transfer, moved] { Move(transfer, 0.0, moved); });
  });
}

bool Worker::IsCached(const std::string& artifact_id) const {
  return machine_ ? cached_.contains(artifact_id) : !cache_empty_;
}

void Worker::KeepParts(const std::vector<std::string>& artifact_ids, int64_t bytes) {
  for (const std::string& id : artifact_ids) {
    int64_t& part = parts_bytes_[id];
    const int64_t more = std::min(bytes, ArtifactBytes(id) - part);
    part += more;
    bytes -= more;
  }
}

void Worker::KeepInCache(const agent::FetchResult& result) {
  if (!machine_) {
    return;
  }
  int64_t used_bytes = 0;
  for (const agent::FetchedInput& input : result.inputs) {
    const std::string id(absl::StripPrefix(input.directory, kCache));
    cached_.insert(id);
    parts_bytes_.erase(id);
  }
  for (const std::string& id : cached_) {
    used_bytes += ArtifactBytes(id);
  }
  core_->SetCache({cached_.begin(), cached_.end()}, used_bytes);
}

void Worker::StartFetch(const v1::Assignment& assignment) {
  transfer_ = ++transfers_;
  agent::FetchResult result;
  int64_t missing_bytes = 0;
  std::vector<std::string> missing_ids;
  for (const v1::ResolvedInput& input : assignment.inputs()) {
    const std::string directory = absl::StrCat(kCache, input.artifact_id());
    const int64_t size_bytes = ArtifactBytes(input.artifact_id());
    result.inputs.push_back({.field = input.field(),
                             .directory = directory,
                             .file = absl::StrCat(directory, "/file"),
                             .size_bytes = size_bytes});
    if (!IsCached(input.artifact_id())) {
      const auto part = parts_bytes_.find(input.artifact_id());
      missing_bytes += size_bytes - (part == parts_bytes_.end() ? 0 : part->second);
      missing_ids.push_back(input.artifact_id());
    }
  }
  moving_ = {.left_bytes = std::max<int64_t>(0, missing_bytes - fetched_bytes_),
             .came = [this, missing_ids](int64_t bytes) {
               if (machine_) {
                 KeepParts(missing_ids, bytes);
               } else {
                 fetched_bytes_ += bytes;
               }
             }};
  transfer_done_ = [this, result, assignment](const absl::Status& status) mutable {
    result.status = status;
    result.moved_bytes = moving_.moved_bytes;
    result.moved_in = absl::Seconds(moving_.seconds);
    if (status.ok()) {
      PlaceCheckpoint(assignment);
      KeepInCache(result);
    }
    Call([&](const agent::Instant& now) { core_->OnFetched(result, now); });
  };
  Move(transfer_, kLookSeconds, [this, transfer = transfer_] {
    cache_empty_ = false;
    fetched_bytes_ = 0;
    EndTransfer(transfer, absl::OkStatus());
  });
}

// Places the checkpoint of the attempt's previous device. This device's own checkpoint is not
// overwritten.
void Worker::PlaceCheckpoint(const v1::Assignment& assignment) {
  const std::string* content = link_.blob(assignment.checkpoint_artifact_id());
  const std::string file =
      CheckpointFile(state_->WorkDirectory(assignment.attempt_id()), assignment.checkpoint_step());
  if (content != nullptr && !disk_.Read(file).ok()) {
    disk_.Replace(file, *content)
        .IgnoreError();  // without the checkpoint the run starts from the beginning
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
  const std::string& id = result.artifact.artifact_id();
  result.artifact.set_size_bytes(UploadBytes(info.kind()));
  moving_ = {
      .left_bytes = result.artifact.size_bytes() - uploaded_bytes_[id],
      .uploads = true,
      .came = [this, id, size_bytes = result.artifact.size_bytes()](int64_t bytes) {
        uploaded_bytes_[id] += bytes;
        core_->OnUploadProgress({.handed_bytes = uploaded_bytes_[id], .size_bytes = size_bytes});
      }};
  transfer_done_ = [this, result](const absl::Status& status) mutable {
    result.status = status;
    result.moved_bytes = moving_.moved_bytes;
    result.moved_in = absl::Seconds(moving_.seconds);
    if (status.ok()) {
      uploaded_bytes_.erase(result.artifact.artifact_id());
    }
    Call([&](const agent::Instant& now) { core_->OnUploaded(result, now); });
  };
  Move(transfer_, 0.0, [this, artifact = result.artifact, transfer = transfer_] {
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

// Ends the transfer once, with the first outcome.
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
