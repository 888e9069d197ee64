// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/chunk_rights.h"

#include <algorithm>
#include <iterator>

#include "coordinator/core/core.h"
#include "coordinator/core/device_artifacts.h"

namespace wattle::rpc {
namespace {

using artifacts::ChunkId;

// What a caller sent counts until the upload that it is for can be expected to have ended.
constexpr absl::Duration kSentFor = absl::Hours(1);
constexpr size_t kSentMax = 1 << 20;  // Chunks; about 150 MB.
constexpr size_t kReadSpare = 64;     // Removed artifacts that are remembered at least.

std::set<ArtifactId> OfDevice(const core::State& state, const std::string& device) {
  return core::ArtifactsOf(core::DesiredFor(state, DeviceId(device)));
}

std::set<ArtifactId> OfScope(const core::State& state, const core::Scope& scope) {
  std::set<ArtifactId> ids;
  for (const auto& [id, info] : state.artifacts) {
    if (scope.Covers(info)) {
      ids.insert(id);
    }
  }
  return ids;
}

}  // namespace

bool ChunkRights::MayRead(const core::State& state, const Reader& reader, const ArtifactId& id) {
  if (!Restricts(state, reader)) {
    return true;
  }
  const v1::ArtifactInfo* const info = state.artifacts.Find(id);
  return info != nullptr && (reader.device.empty() ? reader.scope.Covers(*info)
                                                   : OfDevice(state, reader.device).contains(id));
}

void ChunkRights::ReadManifestsLocked(const core::State& state, const std::set<ArtifactId>& ids) {
  if (read_.size() > 2 * state.artifacts.size() + kReadSpare) {
    read_.clear();
    artifacts_of_.clear();
  }
  for (const ArtifactId& id : ids) {
    if (read_.contains(id)) {
      continue;
    }
    const absl::StatusOr<v1::Manifest> manifest = store_.ReadManifest(id);
    if (!manifest.ok()) {
      continue;  // Nobody has what cannot be read.
    }
    read_.insert(id);
    std::set<ChunkId> chunks;
    for (const v1::ManifestFile& file : manifest->files()) {
      for (const std::string& chunk : file.chunk_sha256()) {
        chunks.insert(ChunkId(chunk));
      }
    }
    for (const ChunkId& chunk : chunks) {
      artifacts_of_[chunk].push_back(id);
    }
  }
}

std::vector<ChunkId> ChunkRights::WithoutRight(const core::State& state, const Reader& reader,
                                               const std::vector<ChunkId>& chunks) {
  std::vector<ChunkId> without;
  if (!Restricts(state, reader)) {
    return without;
  }
  const std::set<ArtifactId> readable =
      reader.device.empty() ? OfScope(state, reader.scope) : OfDevice(state, reader.device);
  absl::MutexLock lock(&mutex_);
  ReadManifestsLocked(state, readable);
  const auto sent = sent_.find(reader.who);
  for (const ChunkId& chunk : chunks) {
    if (sent != sent_.end() && sent->second.chunks.contains(chunk)) {
      continue;
    }
    const auto found = artifacts_of_.find(chunk);
    const bool reads =
        found != artifacts_of_.end() &&
        std::any_of(found->second.begin(), found->second.end(), [&](const ArtifactId& id) {
          return readable.contains(id) && state.artifacts.contains(id);
        });
    if (!reads) {
      without.push_back(chunk);
    }
  }
  return without;
}

void ChunkRights::NoteSent(const std::string& who, const ChunkId& chunk, Monotonic now) {
  absl::MutexLock lock(&mutex_);
  for (auto it = sent_.begin(); it != sent_.end();) {
    const bool is_old = now - it->second.last > kSentFor;
    sent_count_ -= is_old ? it->second.chunks.size() : 0;
    it = is_old ? sent_.erase(it) : std::next(it);
  }
  if (sent_count_ >= kSentMax) {
    sent_.clear();  // Whoever uploads now sends again.
    sent_count_ = 0;
  }
  Sent& sent = sent_[who];
  sent.last = now;
  sent_count_ += sent.chunks.insert(chunk).second ? 1 : 0;
}

}  // namespace wattle::rpc
