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
// The causes that are told apart. Lines of further causes share one count.
inline constexpr size_t kLogCausesMax = 256;

// One thread at a time.
class LineLimit {
 public:
  // What the log gets at `now`: the line, unless its cause has had its lines of this minute. Before
  // the line stand the counts of left out lines whose minute is over.
  //
  // The cause of a line is the text before its first ": ", or the whole line. A word with a digit
  // in it, such as a number or an id, does not tell causes apart. A caller may name another cause.
  std::vector<std::string> Take(absl::string_view line, Monotonic now, std::string cause = "");
  // The counts of all lines that were left out, where no line follows.
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
