// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/standard_output.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <iostream>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace wattle {
namespace {

constexpr int kColumnsDefault = 80;
// Narrower descriptions are not indented.
constexpr size_t kDescriptionColumnsMin = 24;
constexpr size_t kNarrowIndent = 4;

// Where the text of a line begins, or the description beside a name: "  --name TEXT   Description".
size_t TextColumn(absl::string_view line) {
  const size_t begin = line.find_first_not_of(' ');
  const size_t gap = line.find("  ", begin);
  return gap == absl::string_view::npos ? begin : line.find_first_not_of(' ', gap);
}

void AppendWrapped(absl::string_view line, size_t columns, std::string* out) {
  line = absl::StripTrailingAsciiWhitespace(line);
  size_t begin = line.find_first_not_of(' ');
  if (line.size() <= columns || begin == absl::string_view::npos) {
    out->append(line.data(), line.size());
    return;
  }
  size_t indent = TextColumn(line);
  if (indent + kDescriptionColumnsMin > columns) {
    indent = begin == 0 ? 0 : kNarrowIndent;
    if (begin > indent) {
      line.remove_prefix(begin - indent);
      begin = indent;
    }
  }
  size_t width = columns;
  while (line.size() > width) {
    size_t blank = line.rfind(' ', width);
    if (blank == absl::string_view::npos || blank <= begin) {
      blank = line.find(' ', std::max(width, begin));
    }
    if (blank == absl::string_view::npos) {
      break;
    }
    absl::StrAppend(out, absl::StripTrailingAsciiWhitespace(line.substr(0, blank)), "\n",
                    std::string(indent, ' '));
    line = absl::StripLeadingAsciiWhitespace(line.substr(blank));
    begin = 0;
    width = columns > indent ? columns - indent : 1;
  }
  absl::StrAppend(out, line);
}

}  // namespace

int TerminalColumns(int descriptor) {
  if (isatty(descriptor) == 0) {
    return 0;
  }
  winsize size = {};
  return ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col
                                                                      : kColumnsDefault;
}

std::string WrapHelp(absl::string_view help, int columns) {
  if (columns <= 0) {
    return std::string(help);
  }
  std::string wrapped;
  for (const absl::string_view line : absl::StrSplit(help, '\n')) {
    AppendWrapped(line, static_cast<size_t>(columns), &wrapped);
    wrapped += '\n';
  }
  wrapped.pop_back();
  return wrapped;
}

int AfterOutput(absl::string_view program, int exit_code) {
  std::cout.flush();
  const bool flushed = std::fflush(stdout) == 0;
  if (flushed && std::ferror(stdout) == 0 && std::cout.good()) {
    return exit_code;
  }
  std::fprintf(stderr, "%s: cannot write the answer to standard output; is the disk full?\n",
               std::string(program).c_str());
  return exit_code == 0 ? 1 : exit_code;
}

int PrintHelp(absl::string_view program, absl::string_view help) {
  std::fputs(WrapHelp(help, TerminalColumns(STDOUT_FILENO)).c_str(), stdout);
  return AfterOutput(program, 0);
}

}  // namespace wattle
