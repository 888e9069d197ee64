// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Chooses the best source that answers. The choice is made again with every reading and as time
// passes, so that it follows a battery that begins to charge, a plug that is pulled and a chip that
// comes back. Pure: times come with the calls. One thread owns an object.
#ifndef WATTLE_TELEMETRY_SENSORS_CHOOSER_H_
#define WATTLE_TELEMETRY_SENSORS_CHOOSER_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "absl/time/time.h"

#include "base/clock.h"

namespace wattle::telemetry {

class Chooser {
 public:
  // A better source must have answered for this long before it replaces a working one, so that a
  // loose contact does not change the source every second.
  static constexpr absl::Duration kHold = absl::Seconds(10);

  // rank: the lowest is the best; among equal ranks the first added wins. Returns the source's
  // number.
  size_t Add(int rank, absl::Duration cadence);
  // The source gave a reading.
  void OnReading(size_t source, Monotonic at);
  // The chosen source; nullopt: none answers. A source answers while its latest reading is no older
  // than three cadences or 10 s, whichever is longer.
  std::optional<size_t> Choose(Monotonic now);
  [[nodiscard]] bool Answers(size_t source, Monotonic now) const;

 private:
  struct Entry {
    int rank = 0;
    absl::Duration patience;
    std::optional<Monotonic> latest;
    Monotonic answers_since;
  };
  std::vector<Entry> entries_;
  std::optional<size_t> chosen_;
  std::optional<Monotonic> ever_chosen_at_;  // time of the first call of Choose
};

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_CHOOSER_H_
