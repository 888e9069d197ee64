// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// LinkMeter measures the device's link to the coordinator: the rates of downloads and uploads, the
// round-trip time, the hours of the week with contact, and the bytes by purpose and in the present
// day. All values outlive restarts. Pure; a value.
#ifndef WATTLE_WORKER_AGENT_CORE_LINK_METER_H_
#define WATTLE_WORKER_AGENT_CORE_LINK_METER_H_

#include <cstdint>
#include <deque>
#include <optional>

#include "absl/time/time.h"

#include "base/clock.h"
#include "policy/known_time.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/energy.pb.h"
#include "wattle/v1/fleet.pb.h"
#include "wattle/v1/worker_state.pb.h"
#include "worker/agent/core/day_turn.h"

namespace wattle::agent {

// Bytes that the frames add to a message: gRPC's prefix and the header of HTTP/2. The bytes of TLS,
// TCP and IP are not counted.
inline constexpr int64_t kFrameBytes = 14;

// Adds a message of the stream to the bytes of its purpose.
void CountMessage(const v1::WorkerMessage& message, v1::LinkBytes& bytes);
void CountMessage(const v1::CoordinatorMessage& message, v1::LinkBytes& bytes);
void AddBytes(const v1::LinkBytes& more, v1::LinkBytes& bytes);
int64_t TotalBytes(const v1::LinkBytes& bytes);

class LinkMeter {
 public:
  // Smaller transfers measure round trips instead of the rate.
  static constexpr int64_t kMeasuredBytesMin = 256 << 10;

  LinkMeter() = default;
  explicit LinkMeter(const v1::LinkRecord& kept);

  // A transfer, complete or broken off, moved these bytes in this time.
  void OnFetched(int64_t bytes, absl::Duration time);
  void OnUploaded(int64_t bytes, absl::Duration time);
  void OnRoundTrip(absl::Duration time);
  void Count(const v1::LinkBytes& more);
  // The device has or lacks contact now, and so it did since the last call.
  void Observe(bool contact, Monotonic wall, const policy::KnownTime& now);

  // Bytes of the present day, UTC. Bytes of an unknown day count for the previous day. An earlier
  // day counts for it too, until the clock has shown it for 24 powered-on hours: then the clock was
  // ahead before.
  [[nodiscard]] int64_t day_bytes() const { return record_.day_bytes(); }
  [[nodiscard]] const v1::LinkBytes& bytes() const { return record_.bytes(); }
  [[nodiscard]] const v1::LinkMeasure& measure() const { return record_.measure(); }
  [[nodiscard]] bool measured() const;
  [[nodiscard]] const v1::LinkRecord& record() const { return record_; }

 private:
  // The latest values. After a restart three kept values represent the earlier ones.
  class Latest {
   public:
    void Add(double value);
    [[nodiscard]] double Quantile(double share) const;  // REQUIRES: not empty
    [[nodiscard]] bool empty() const { return values_.empty(); }

   private:
    std::deque<double> values_;
  };
  void CloseHour();

  v1::LinkRecord record_;
  Latest download_;
  Latest upload_;
  Latest round_trip_;
  std::optional<Monotonic> observed_;  // wall; the last call of Observe
  DayTurn day_turn_;                   // of record_.day()
  std::optional<int> hour_;            // of the week, that is under way
  absl::Duration hour_observed_{};
  absl::Duration hour_contact_{};
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_LINK_METER_H_
