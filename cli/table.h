// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tables for people: aligned by what a terminal shows (UTF-8, wide characters, combining marks),
// never wider than it. Columns that may wrap give way first, then those that may be left out are;
// where even that is not enough each row becomes a block of "head  value" lines. Cell text comes
// from files and other machines: control characters are replaced, so that a job's name cannot move
// the cursor. Not thread-safe.
#ifndef WATTLE_CLI_TABLE_H_
#define WATTLE_CLI_TABLE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "cli/text_style.h"

namespace wattle::cli {

enum class Align { kLeft, kRight };
enum class Emphasis { kNone, kStrong };

struct Column {
  std::string head;
  Align align = Align::kLeft;
  bool wraps = false;  // long text: may take several lines
  bool drops = false;  // may be left out where there is no room; the last such column goes first
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // As many cells as columns. An empty cell is shown as "-", so that columns can be cut by scripts
  // and eyes alike.
  void AddRow(std::vector<std::string> cells, Emphasis emphasis = Emphasis::kNone);
  [[nodiscard]] bool empty() const { return rows_.empty(); }

  // Each line ends with a newline and has no blanks before it.
  [[nodiscard]] std::string Render(const TextStyle& style) const;

 private:
  struct Row {
    std::vector<std::string> cells;
    Emphasis emphasis = Emphasis::kNone;
  };
  [[nodiscard]] std::vector<size_t> NaturalWidths() const;
  // Narrows `widths` of the columns in `shown` until they fit `limit`; false: they cannot.
  bool Shrink(const std::vector<size_t>& shown, size_t limit, std::vector<size_t>* widths) const;
  [[nodiscard]] std::string RenderGrid(const std::vector<size_t>& shown,
                                       const std::vector<size_t>& widths,
                                       const TextStyle& style) const;
  [[nodiscard]] std::string RenderBlocks(const TextStyle& style) const;

  std::vector<Column> columns_;
  std::vector<Row> rows_;
};

// "  name          value\n", the values of a block under each other; nothing where value is empty.
void AppendField(absl::string_view name, absl::string_view value, std::string* out);

// Columns that `text` takes on a terminal. Bytes that are not UTF-8 count one each.
[[nodiscard]] size_t DisplayWidth(absl::string_view text);

// Control characters (also of UTF-8's C1 range) and broken UTF-8 become '?', line breaks and tabs a
// blank.
[[nodiscard]] std::string Printable(absl::string_view text);

// `text` broken at blanks into lines of at most `width` > 0 columns; a longer word is cut.
[[nodiscard]] std::vector<std::string> WrapText(absl::string_view text, size_t width);

// `text` cut to `width` columns, the last one "…" where something was cut.
[[nodiscard]] std::string FitText(absl::string_view text, size_t width);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_TABLE_H_
