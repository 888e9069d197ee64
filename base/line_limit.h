// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Bounds a log: 20 lines a minute for one cause, then a count. A sensor that flaps twice a second
// would else write 200,000 lines a day onto a card. Pure.
#ifndef WATTLE_BASE_LINE_LIMIT_H_
#define WATTLE_BASE_LINE_LIMIT_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

#include "base/clock.h"

namespace wattle {

inline constexpr int kLinesAMinute = 20;
// The number of causes that are counted separately. Lines of further causes share one count.
inline constexpr size_t kLogCausesMax = 256;

// One thread at a time.
class LineLimit {
 public:
  // The lines for the log at `now`: the line, unless its cause has used up this minute's lines.
  // Before the line come the counts of left-out lines whose minute is over.
  //
  // The cause of a line is the text before its first ": ", or the whole line. Words with a digit,
  // such as numbers or ids, do not distinguish causes. A caller may name another cause.
  std::vector<std::string> Take(absl::string_view line, Monotonic now, std::string cause = "");
  // The counts of all lines left out, when no further line follows.
  std::vector<std::string> TakeRest();

 private:
  struct Minute {
    Monotonic begin;
    int written = 0;
    int left_out = 0;
  };

  std::map<std::string, Minute> causes_;
};

}  // namespace wattle

#endif  // WATTLE_BASE_LINE_LIMIT_H_
