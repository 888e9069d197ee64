// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/chunk_rights.h"

#include <algorithm>
#include <iterator>

#include "coordinator/core/upgrades.h"

namespace wattle::rpc {
namespace {

using artifacts::ChunkId;

// What a caller sent counts until the upload that it is for can be expected to have ended.
constexpr absl::Duration kSentFor = absl::Hours(1);
constexpr size_t kSentMax = 1 << 20;  // Chunks; about 150 MB.
constexpr size_t kReadSpare = 64;     // Removed artifacts that are remembered at least.

}  // namespace

void ChunkRights::ReadManifestsLocked(const core::State& state) {
  if (read_.size() > 2 * state.artifacts.size() + kReadSpare) {
    read_.clear();
    artifacts_of_.clear();
  }
  for (const auto& [id, info] : state.artifacts) {
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

std::vector<ChunkId> ChunkRights::WithoutRight(const core::State& state, const core::Scope& scope,
                                               const std::string& who,
                                               const std::vector<ChunkId>& chunks) {
  std::vector<ChunkId> without;
  if (!Restricts(state, scope)) {
    return without;
  }
  absl::MutexLock lock(&mutex_);
  ReadManifestsLocked(state);
  const auto sent = sent_.find(who);
  for (const ChunkId& chunk : chunks) {
    if (sent != sent_.end() && sent->second.chunks.contains(chunk)) {
      continue;
    }
    const auto found = artifacts_of_.find(chunk);
    const bool reads =
        found != artifacts_of_.end() &&
        std::any_of(found->second.begin(), found->second.end(), [&](const ArtifactId& id) {
          const v1::ArtifactInfo* const info = state.artifacts.Find(id);
          return info != nullptr && scope.Covers(*info);
        });
    if (!reads) {
      without.push_back(chunk);
    }
  }
  return without;
}

std::vector<ChunkId> ChunkRights::OfOtherReleases(const core::State& state, const DeviceId& device,
                                                  const std::vector<ChunkId>& chunks) {
  std::vector<ChunkId> others;
  absl::MutexLock lock(&mutex_);
  ReadManifestsLocked(state);
  for (const ChunkId& chunk : chunks) {
    bool known = false;
    bool may = false;
    const auto found = artifacts_of_.find(chunk);
    for (const ArtifactId& id :
         found == artifacts_of_.end() ? std::vector<ArtifactId>() : found->second) {
      const v1::ArtifactInfo* const info = state.artifacts.Find(id);
      known = known || info != nullptr;
      may = may || (info != nullptr && core::MayFetch(state, device, *info));
    }
    if (known && !may) {
      others.push_back(chunk);
    }
  }
  return others;
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
