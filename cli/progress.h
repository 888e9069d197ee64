// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Live progress: one line that is rewritten on a terminal, plain lines every few seconds elsewhere.
// The renderers are pure; the printers own the line they write. Not thread-safe.
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

// "[######........]", width columns with the brackets. ratio is held to 0 … 1.
std::string RenderBar(double ratio, int width);

// One line for a job's progress: bar, step, loss, tokens/s, watts, time left. Shortened from the
// right until it fits style.width_columns.
std::string RenderJobProgress(const v1::JobUpdate& update, const TextStyle& style);

// Writes a line that changes. On a terminal it is rewritten at each call; elsewhere a call writes a
// line only when `kPlainInterval` has passed since the last one.
class LiveLine {
 public:
  static constexpr absl::Duration kPlainInterval = absl::Seconds(5);

  // Elsewhere than on a terminal: a transfer of a moment needs no line at all.
  enum class FirstLine { kAtOnce, kAfterInterval };

  // `out` and `clock` must outlive this.
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
  // A line that stays, above the live one.
  void Print(absl::string_view line);
  // Takes the live line away.
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
