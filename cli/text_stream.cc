// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/text_stream.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/table.h"

namespace wattle::cli {
namespace {

// `text` without control characters, except for line ends.
std::string ForTerminal(absl::string_view text) {
  std::string out;
  const char* separator = "";
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    absl::StrAppend(&out, separator, Printable(line));
    separator = "\n";
  }
  return out;
}

}  // namespace

std::string TextStream::More(const v1::AttemptProgress& progress) {
  std::string out;
  if (progress.attempt_id() != attempt_id_ || progress.text_bytes() < shown_bytes_) {
    out = ends_line_ ? "" : "\n";
    attempt_id_ = progress.attempt_id();
    shown_bytes_ = 0;
    ends_line_ = true;
  }
  const int64_t fresh = progress.text_bytes() - shown_bytes_;
  if (fresh <= 0) {
    return out;
  }
  const auto held = static_cast<int64_t>(progress.text().size());
  absl::string_view text = progress.text();
  if (fresh > held) {
    absl::StrAppend(&out, shown_bytes_ > 0 ? " … " : "… ");
  } else {
    text.remove_prefix(static_cast<size_t>(held - fresh));
  }
  shown_bytes_ = progress.text_bytes();
  ends_line_ = absl::EndsWith(text, "\n");
  return absl::StrCat(out, ForTerminal(text));
}

std::string TextStream::Rest(absl::string_view whole) const {
  const auto shown = static_cast<size_t>(shown_bytes_);
  return shown < whole.size() ? ForTerminal(whole.substr(shown)) : "";
}

}  // namespace wattle::cli
