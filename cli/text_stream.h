// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The text of a generation as it grows, from updates that each hold its end: what is new in them.
// Pure; not thread-safe.
#ifndef WATTLE_CLI_TEXT_STREAM_H_
#define WATTLE_CLI_TEXT_STREAM_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

#include "wattle/v1/device.pb.h"

namespace wattle::cli {

class TextStream {
 public:
  // What to show beyond what was shown, safe for a terminal. A gap is " … ". An attempt that begins
  // again, or a new one, begins on a new line.
  std::string More(const v1::AttemptProgress& progress);

  // The rest of the whole text, which is known at the end; nothing where it does not go on from
  // what was shown last.
  std::string Rest(absl::string_view whole) const;

  [[nodiscard]] bool has_text() const { return shown_bytes_ > 0; }
  [[nodiscard]] bool ends_line() const { return ends_line_; }

 private:
  std::string attempt_id_;
  int64_t shown_bytes_ = 0;  // of the attempt's text
  bool ends_line_ = true;
};

}  // namespace wattle::cli

#endif  // WATTLE_CLI_TEXT_STREAM_H_
