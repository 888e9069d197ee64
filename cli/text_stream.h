// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A generated text while it grows. Each update of a job holds the end of the text; TextStream
// returns the part that was not shown yet. Pure; not thread-safe.
#ifndef WATTLE_CLI_TEXT_STREAM_H_
#define WATTLE_CLI_TEXT_STREAM_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

#include "wattle/v1/device.pb.h"

namespace wattle::cli {

class TextStream {
 public:
  // The part of the text that was not shown yet, safe for a terminal. If updates were missed, an
  // ellipsis marks the gap. The text of a new attempt, or of a restarted one, begins on a new line.
  std::string More(const v1::AttemptProgress& progress);

  // The part of the whole text that was not shown yet. The whole text is known when the job has
  // ended.
  [[nodiscard]] std::string Rest(absl::string_view whole) const;

  [[nodiscard]] bool has_text() const { return shown_bytes_ > 0; }
  [[nodiscard]] bool ends_line() const { return ends_line_; }

 private:
  std::string attempt_id_;
  int64_t shown_bytes_ = 0;  // of the attempt's text
  bool ends_line_ = true;
};

}  // namespace wattle::cli

#endif  // WATTLE_CLI_TEXT_STREAM_H_
