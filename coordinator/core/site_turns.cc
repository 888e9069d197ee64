// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/site_turns.h"

#include <algorithm>
#include <iterator>

namespace wattle::core {
namespace {

// Idle limit of a turn: the board is gone, or gave up.
constexpr absl::Duration kIdleFor = absl::Minutes(1);
// Limit of a call without progress; a chunk takes 17 min at 1 kB/s.
constexpr absl::Duration kStalledFor = absl::Minutes(20);
// Bound for a board that fetches the same bytes again, because it would hold its turn forever.
constexpr int64_t kSentTimesMax = 2;
constexpr int64_t kSentSpareBytes = int64_t{32} << 20;
// A metered board sends a heartbeat at least once a minute.
constexpr absl::Duration kUntilHeartbeat = absl::Minutes(2);
constexpr absl::Duration kWaitMin = absl::Seconds(1);
constexpr absl::Duration kWaitMax = absl::Minutes(1);
// Wait if the duration is unknown.
constexpr absl::Duration kWaitUnknown = absl::Seconds(3);

}  // namespace

bool SiteTurns::IsOver(const Turn& turn, Monotonic now) {
  return turn.sent_bytes > kSentTimesMax * turn.size_bytes + kSentSpareBytes ||
         now - turn.last > (turn.reads > 0 ? kStalledFor : kIdleFor);
}

void SiteTurns::Forget(Monotonic now) {
  std::erase_if(turns_, [&](const auto& turn) { return IsOver(turn.second, now); });
  std::erase_if(sent_, [&](const auto& sent) { return sent.second.until < now; });
  std::erase_if(wholes_, [&](const auto& whole) { return whole.second.until < now; });
}

bool SiteTurns::Holds(const Neighbour& neighbour, const ArtifactId& artifact) const {
  const auto whole = wholes_.find(neighbour.board);
  return neighbour.holds_artifact || (whole != wholes_.end() && whole->second.artifact == artifact);
}

std::optional<DeviceId> SiteTurns::PeerFor(const Question& question,
                                           const std::vector<Neighbour>& neighbours,
                                           bool* is_there) const {
  std::map<DeviceId, int> load;
  for (const auto& [board, sent] : sent_) {
    load[sent.peer] += board == question.board ? 0 : 1;
  }
  const auto before = sent_.find(question.board);
  std::optional<DeviceId> best;
  for (const Neighbour& neighbour : neighbours) {
    if (neighbour.board == question.board || question.avoid.contains(neighbour.board) ||
        !Holds(neighbour, question.artifact)) {
      continue;
    }
    *is_there = true;
    if (before != sent_.end() && before->second.peer == neighbour.board) {
      return neighbour.board;  // The board is already connected to it.
    }
    if (load[neighbour.board] < kBoardsOfAPeer && (!best || load[neighbour.board] < load[*best])) {
      best = neighbour.board;
    }
  }
  return best;
}

absl::Duration SiteTurns::UntilServed(const Question& question,
                                      const std::vector<Neighbour>& neighbours,
                                      Monotonic now) const {
  for (const Neighbour& neighbour : neighbours) {
    const auto turn = turns_.find(neighbour.board);
    if (turn == turns_.end() || turn->second.artifact != question.artifact ||
        question.avoid.contains(neighbour.board)) {
      continue;
    }
    const Turn& of = turn->second;
    if (of.sent_bytes == 0) {
      return kWaitUnknown;
    }
    const double left_ratio =
        static_cast<double>(of.size_bytes) / static_cast<double>(of.sent_bytes) - 1;
    return std::clamp(0.5 * left_ratio * (now - of.begun), kWaitMin, kWaitMax);
  }
  return absl::ZeroDuration();
}

SiteTurns::Answer SiteTurns::Find(const Question& question,
                                  const std::vector<Neighbour>& neighbours, Monotonic now) {
  Forget(now);
  if (question.site.empty()) {
    return {.go = true};
  }
  if (question.coordinator_alone && !neighbours.empty()) {
    return Find(question, {}, now);
  }
  bool is_there = false;
  if (const std::optional<DeviceId> peer = PeerFor(question, neighbours, &is_there)) {
    turns_.erase(question.board);
    sent_[question.board] = {*peer, question.artifact, now + kSentFor};
    return {.peer = peer};
  }
  sent_.erase(question.board);
  const auto own = turns_.find(question.board);
  if (own != turns_.end() && own->second.artifact == question.artifact) {
    return {.go = true};
  }
  // A board fetches one artifact at a time: a new question means that it left the other.
  turns_.erase(question.board);
  if (is_there) {
    return {.wait = kWaitUnknown};
  }
  if (const absl::Duration wait = UntilServed(question, neighbours, now);
      wait > absl::ZeroDuration()) {
    return {.wait = wait};
  }
  const auto fetching = std::count_if(turns_.begin(), turns_.end(), [&](const auto& turn) {
    return turn.second.site == question.site;
  });
  if (fetching >= at_once_) {
    return {.wait = kWaitUnknown};
  }
  turns_[question.board] = {.site = question.site,
                            .artifact = question.artifact,
                            .size_bytes = question.size_bytes,
                            .begun = now,
                            .last = now};
  return {.go = true};
}

bool SiteTurns::WasSent(const DeviceId& board, const DeviceId& peer, const ArtifactId& artifact,
                        Monotonic now) const {
  const auto sent = sent_.find(board);
  return sent != sent_.end() && sent->second.peer == peer && sent->second.artifact == artifact &&
         sent->second.until >= now;
}

void SiteTurns::ReadBegan(const DeviceId& board, Monotonic now) {
  if (const auto turn = turns_.find(board); turn != turns_.end()) {
    turn->second.last = now;
    ++turn->second.reads;
  }
}

void SiteTurns::Read(const DeviceId& board, int64_t sent_bytes, Monotonic now) {
  if (const auto turn = turns_.find(board); turn != turns_.end()) {
    turn->second.last = now;
    turn->second.sent_bytes += sent_bytes;
  }
}

void SiteTurns::ReadEnded(const DeviceId& board, Monotonic now) {
  if (const auto turn = turns_.find(board); turn != turns_.end()) {
    turn->second.last = now;
    // The turn may be younger than the call.
    turn->second.reads = std::max(turn->second.reads - 1, 0);
  }
}

void SiteTurns::Fetched(const DeviceId& board, const ArtifactId& artifact, Monotonic now) {
  turns_.erase(board);
  sent_.erase(board);
  wholes_[board] = {artifact, now + kUntilHeartbeat};
}

}  // namespace wattle::core
