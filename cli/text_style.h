// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What the place that text is written to can show. Renderers take it as a value, so that they are
// the same functions for a terminal, a pipe and a golden test.
#ifndef WATTLE_CLI_TEXT_STYLE_H_
#define WATTLE_CLI_TEXT_STYLE_H_

namespace wattle::cli {

struct TextStyle {
  int width_columns = 0;     // of the terminal; 0: no limit (a pipe, a file)
  int height_rows = 0;       // of the terminal; 0: not one
  bool colour = false;       // never when not a terminal, nor with NO_COLOR
  bool is_terminal = false;  // lines may be rewritten in place
  bool unicode = true;       // the locale is one of UTF-8
};

}  // namespace wattle::cli

#endif  // WATTLE_CLI_TEXT_STYLE_H_
