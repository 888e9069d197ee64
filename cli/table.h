// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tables for people. A table is never wider than the terminal. Cells are aligned by the columns
// that they take on a terminal (UTF-8, wide characters, combining marks). If a table is too wide,
// first the columns that may wrap become narrower, then the columns that may drop are left out. If
// the table is still too wide, each row becomes a block of "head  value" lines. The text of cells
// comes from files and other machines; control characters in it are replaced, so that the name of a
// job cannot move the cursor. Not thread-safe.
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
  bool wraps = false;  // its text may take several lines
  bool drops = false;  // may be left out for lack of room; the last such column goes first
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // Adds a row. cells: one for each column. An empty cell is shown as "-", so a script can split
  // the line at blanks.
  void AddRow(std::vector<std::string> cells, Emphasis emphasis = Emphasis::kNone);
  [[nodiscard]] bool empty() const { return rows_.empty(); }

  // Each line ends with a newline; no line ends with blanks.
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

// Appends "  name          value\n" with aligned values; appends nothing if `value` is empty.
void AppendField(absl::string_view name, absl::string_view value, std::string* out);

// The columns that `text` takes on a terminal. A byte that is not UTF-8 counts as one column.
[[nodiscard]] size_t DisplayWidth(absl::string_view text);

// `text` without anything that could disturb a terminal: control characters (also C1) and broken
// UTF-8 become '?'; line breaks and tabs become a blank.
[[nodiscard]] std::string Printable(absl::string_view text);

// `text` broken at blanks into lines of at most `width` > 0 columns; a longer word is cut.
[[nodiscard]] std::vector<std::string> WrapText(absl::string_view text, size_t width);

// `text` cut to `width` columns; the last column is "…" if something was cut.
[[nodiscard]] std::string FitText(absl::string_view text, size_t width);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_TABLE_H_
