// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Live progress: on a terminal one line that is rewritten, elsewhere a plain line every few
// seconds. The renderers are pure. A printer owns the line that it writes. Not thread-safe.
#ifndef WATTLE_CLI_PROGRESS_H_
#define WATTLE_CLI_PROGRESS_H_

#include <cstdint>
#include <ostream>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cli/text_style.h"

#include "base/clock.h"
#include "wattle/v1/service.pb.h"

namespace wattle::cli {

// "[######........]": width columns, brackets included. A ratio outside 0 to 1 counts as 0 or 1.
std::string RenderBar(double ratio, int width);

// One line for a job's progress: bar, step, loss, tokens/s, watts, time left. Shortened from the
// right until it fits style.width_columns.
std::string RenderJobProgress(const v1::JobUpdate& update, const TextStyle& style);

// Writes a line that changes. On a terminal it is rewritten at each call; elsewhere a call writes a
// line only when `kPlainInterval` has passed since the last one.
class LiveLine {
 public:
  static constexpr absl::Duration kPlainInterval = absl::Seconds(5);

  // kAfterInterval: if the output is not a terminal, the first line also waits for kPlainInterval,
  // so a short transfer writes no line.
  enum class FirstLine { kAtOnce, kAfterInterval };

  // `out` and `clock` must outlive the line.
  LiveLine(std::ostream& out, const TextStyle& style, const Clock& clock,
           FirstLine first = FirstLine::kAtOnce)
      : out_(out),
        style_(style),
        clock_(clock),
        ever_(first == FirstLine::kAfterInterval),
        last_(clock.Boottime()) {}
  ~LiveLine() { Clear(); }
  LiveLine(const LiveLine&) = delete;
  LiveLine& operator=(const LiveLine&) = delete;

  void Update(absl::string_view line);
  // Writes a line that stays, above the live line.
  void Print(absl::string_view line);
  // Removes the live line.
  void Clear();

 private:
  std::ostream& out_;
  const TextStyle style_;
  const Clock& clock_;
  bool ever_;
  Monotonic last_;
  bool shown_ = false;
};

}  // namespace wattle::cli

#endif  // WATTLE_CLI_PROGRESS_H_
