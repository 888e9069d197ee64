// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Which boards of a site fetch from the coordinator, which from a neighbour, and which wait. Only a
// few boards of a site may use the coordinator's link at once. If one of them will serve what it
// fetches, the others wait for it, so that an artifact crosses the link once. A turn lasts while
// the coordinator sends chunks to its board. Nothing here is durable: after a restart boards ask
// again. Pure.
#ifndef WATTLE_COORDINATOR_CORE_SITE_TURNS_H_
#define WATTLE_COORDINATOR_CORE_SITE_TURNS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "base/clock.h"
#include "units/id.h"

namespace wattle::core {

class SiteTurns {
 public:
  // A board that was sent to a neighbour may fetch from it for this long, unless it is sent again.
  static constexpr absl::Duration kSentFor = absl::Minutes(2);
  // Boards that may be sent to one board at once.
  static constexpr int kBoardsOfAPeer = 4;

  // at_once: boards of a site that fetch from the coordinator.
  explicit SiteTurns(int at_once) : at_once_(at_once) {}

  struct Question {
    DeviceId board;
    std::string site;  // Empty: the board is its own site and never waits.
    ArtifactId artifact;
    int64_t size_bytes = 0;
    std::set<DeviceId> avoid = {};   // Boards that did not serve it.
    bool coordinator_alone = false;  // Only the coordinator serves: the board reached no neighbour.
  };
  // A board of the same site that serves others.
  struct Neighbour {
    DeviceId board;
    bool holds_artifact = false;  // According to its heartbeats.
  };
  // Exactly one of: fetch from the coordinator, fetch from the peer, wait.
  struct Answer {
    bool go = false;
    std::optional<DeviceId> peer = std::nullopt;
    absl::Duration wait{};
  };
  Answer Find(const Question& question, const std::vector<Neighbour>& neighbours, Monotonic now);

  // Whether the board was sent to `peer` for this artifact.
  [[nodiscard]] bool WasSent(const DeviceId& board, const DeviceId& peer,
                             const ArtifactId& artifact, Monotonic now) const;

  // Calls in which the coordinator sends chunks to the board: begin, bytes sent, end.
  void ReadBegan(const DeviceId& board, Monotonic now);
  void Read(const DeviceId& board, int64_t sent_bytes, Monotonic now);
  void ReadEnded(const DeviceId& board, Monotonic now);
  // The board has the whole artifact.
  void Fetched(const DeviceId& board, const ArtifactId& artifact, Monotonic now);

 private:
  struct Turn {
    std::string site;
    ArtifactId artifact;
    int64_t size_bytes = 0;
    Monotonic begun;
    Monotonic last;  // When the turn began, a chunk was sent, or a call ended.
    int reads = 0;   // Calls that have not ended.
    int64_t sent_bytes = 0;
  };
  struct Sent {
    DeviceId peer;
    ArtifactId artifact;
    Monotonic until;
  };
  struct Whole {
    ArtifactId artifact;
    Monotonic until;
  };

  [[nodiscard]] static bool IsOver(const Turn& turn, Monotonic now);
  void Forget(Monotonic now);
  [[nodiscard]] bool Holds(const Neighbour& neighbour, const ArtifactId& artifact) const;
  // The least busy board that holds the artifact. is_there: set if such a board exists, even if all
  // are busy.
  [[nodiscard]] std::optional<DeviceId> PeerFor(const Question& question,
                                                const std::vector<Neighbour>& neighbours,
                                                bool* is_there) const;
  // Time until a board that will serve the artifact has it; zero if none fetches it.
  [[nodiscard]] absl::Duration UntilServed(const Question& question,
                                           const std::vector<Neighbour>& neighbours,
                                           Monotonic now) const;

  const int at_once_;
  std::map<DeviceId, Turn> turns_;    // One turn per board, which fetches one artifact at a time.
  std::map<DeviceId, Sent> sent_;     // One entry per board.
  std::map<DeviceId, Whole> wholes_;  // Fetched artifacts, until heartbeats list them.
};

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_SITE_TURNS_H_
