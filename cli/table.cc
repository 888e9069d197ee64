// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/table.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "base/check.h"

namespace wattle::cli {
namespace {

constexpr size_t kGap = 2;             // blanks between two columns
constexpr size_t kNarrowestWrap = 18;  // a wrapped column narrower than this cannot be read
constexpr char32_t kBroken = 0xFFFFFFFF;

struct CodePoint {
  char32_t value = kBroken;
  size_t size_bytes = 1;
};

// The code point at the start of `text`, and its size. kBroken and one byte if `text` does not
// begin with UTF-8. REQUIRES: `text` is not empty.
CodePoint Decode(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) {
    return {first, 1};
  }
  const size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < size) {
    return {};
  }
  char32_t value = first & (0xFFU >> (size + 1));
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) {
      return {};
    }
    value = (value << 6U) | (byte(i) & 0x3FU);
  }
  return {value, size};
}

struct Range {
  char32_t first;
  char32_t last;
};
bool In(const Range* begin, const Range* end, char32_t value) {
  return std::any_of(begin, end,
                     [&](const Range& r) { return value >= r.first && value <= r.last; });
}

// Columns of a code point: combining marks and joiners take none, East Asian wide characters and
// emoji take two. From Unicode's EastAsianWidth.txt, by whole blocks instead of single characters.
size_t ColumnsOf(char32_t value) {
  static constexpr std::array<Range, 6> kZero = {{{0x0300, 0x036F},
                                                  {0x0483, 0x0489},
                                                  {0x0591, 0x05BD},
                                                  {0x200B, 0x200F},
                                                  {0x20D0, 0x20FF},
                                                  {0xFE00, 0xFE0F}}};
  static constexpr std::array<Range, 8> kTwo = {{{0x1100, 0x115F},
                                                 {0x2E80, 0x303E},
                                                 {0x3041, 0xA4CF},
                                                 {0xAC00, 0xD7A3},
                                                 {0xF900, 0xFAFF},
                                                 {0xFE30, 0xFE6F},
                                                 {0xFF00, 0xFF60},
                                                 {0x1F300, 0x1FAFF}}};
  if (In(kZero.begin(), kZero.end(), value)) {
    return 0;
  }
  return In(kTwo.begin(), kTwo.end(), value) ? 2 : 1;
}

std::string Pad(absl::string_view text, size_t width, Align align) {
  const size_t used = DisplayWidth(text);
  const std::string blanks(used < width ? width - used : 0, ' ');
  return align == Align::kLeft ? absl::StrCat(text, blanks) : absl::StrCat(blanks, text);
}

void AppendLine(std::string line, bool strong, std::string* out) {
  line.erase(line.find_last_not_of(' ') + 1);
  absl::StrAppend(out, strong ? "\x1b[1m" : "", line, strong ? "\x1b[0m" : "", "\n");
}

}  // namespace

void AppendField(absl::string_view name, absl::string_view value, std::string* out) {
  constexpr size_t kNameWidth = 14;
  if (!value.empty()) {
    absl::StrAppend(out, "  ", Pad(name, kNameWidth, Align::kLeft), Printable(value), "\n");
  }
}

size_t DisplayWidth(absl::string_view text) {
  size_t columns = 0;
  while (!text.empty()) {
    const CodePoint point = Decode(text);
    columns += point.value == kBroken ? 1 : ColumnsOf(point.value);
    text.remove_prefix(point.size_bytes);
  }
  return columns;
}

std::string Printable(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint point = Decode(text);
    if (point.value == '\n' || point.value == '\t' || point.value == '\r') {
      out += ' ';
    } else if (point.value == kBroken || point.value < 0x20 ||
               (point.value >= 0x7F && point.value < 0xA0)) {
      out += '?';
    } else {
      absl::StrAppend(&out, text.substr(0, point.size_bytes));
    }
    text.remove_prefix(point.size_bytes);
  }
  return out;
}

std::vector<std::string> WrapText(absl::string_view text, size_t width) {
  WATTLE_CHECK(width > 0, "a column has at least one place");
  std::vector<std::string> lines(1);
  size_t used = 0;
  for (absl::string_view word : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    size_t columns = DisplayWidth(word);
    if (used > 0 && used + 1 + columns > width) {
      lines.emplace_back();
      used = 0;
    }
    if (used > 0) {
      lines.back() += ' ';
      ++used;
    }
    while (columns > width) {  // a word longer than a line is cut
      size_t taken_bytes = 0;
      size_t taken = 0;
      while (taken_bytes < word.size()) {
        const CodePoint point = Decode(word.substr(taken_bytes));
        const size_t next = point.value == kBroken ? 1 : ColumnsOf(point.value);
        if (taken + next > width && taken > 0) {
          break;
        }
        taken += next;
        taken_bytes += point.size_bytes;
      }
      absl::StrAppend(&lines.back(), word.substr(0, taken_bytes));
      lines.emplace_back();
      word.remove_prefix(taken_bytes);
      columns = DisplayWidth(word);
    }
    absl::StrAppend(&lines.back(), word);
    used += columns;
  }
  if (lines.size() > 1 && lines.back().empty()) {
    lines.pop_back();
  }
  return lines;
}

std::string FitText(absl::string_view text, size_t width) {
  if (DisplayWidth(text) <= width) {
    return std::string(text);
  }
  std::string out;
  size_t used = 0;
  while (!text.empty()) {
    const CodePoint point = Decode(text);
    const size_t next = point.value == kBroken ? 1 : ColumnsOf(point.value);
    if (used + next + 1 > width) {
      break;
    }
    absl::StrAppend(&out, text.substr(0, point.size_bytes));
    used += next;
    text.remove_prefix(point.size_bytes);
  }
  return width == 0 ? "" : out + "…";
}

void Table::AddRow(std::vector<std::string> cells, Emphasis emphasis) {
  WATTLE_CHECK(cells.size() == columns_.size(), "a row has a cell for each column");
  for (std::string& cell : cells) {
    cell = cell.empty() ? "-" : Printable(cell);
  }
  rows_.push_back({std::move(cells), emphasis});
}

std::vector<size_t> Table::NaturalWidths() const {
  std::vector<size_t> widths;
  for (const Column& column : columns_) {
    widths.push_back(DisplayWidth(column.head));
  }
  for (const Row& row : rows_) {
    for (size_t i = 0; i < row.cells.size(); ++i) {
      widths[i] = std::max(widths[i], DisplayWidth(row.cells[i]));
    }
  }
  return widths;
}

bool Table::Shrink(const std::vector<size_t>& shown, size_t limit,
                   std::vector<size_t>* widths) const {
  size_t total = kGap * (shown.size() - 1);
  for (const size_t i : shown) {
    total += (*widths)[i];
  }
  // Narrows the widest column that may wrap, one column of text at a time: long texts lose most,
  // and short ones stay on one line.
  while (total > limit) {
    size_t widest = columns_.size();
    for (const size_t i : shown) {
      const size_t least = std::max(kNarrowestWrap, DisplayWidth(columns_[i].head));
      if (columns_[i].wraps && (*widths)[i] > least &&
          (widest == columns_.size() || (*widths)[i] > (*widths)[widest])) {
        widest = i;
      }
    }
    if (widest == columns_.size()) {
      return false;
    }
    --(*widths)[widest];
    --total;
  }
  return true;
}

std::string Table::Render(const TextStyle& style) const {
  std::vector<size_t> shown(columns_.size());
  std::iota(shown.begin(), shown.end(), size_t{0});
  std::vector<size_t> widths = NaturalWidths();
  if (style.width_columns <= 0) {
    return RenderGrid(shown, widths, style);
  }
  const auto limit = static_cast<size_t>(style.width_columns);
  while (!Shrink(shown, limit, &widths)) {
    const auto last =
        std::find_if(shown.rbegin(), shown.rend(), [&](size_t i) { return columns_[i].drops; });
    if (last == shown.rend()) {
      return RenderBlocks(style);
    }
    shown.erase(std::next(last).base());
    widths = NaturalWidths();
  }
  return RenderGrid(shown, widths, style);
}

std::string Table::RenderGrid(const std::vector<size_t>& shown, const std::vector<size_t>& widths,
                              const TextStyle& style) const {
  std::string out;
  std::string head;
  for (const size_t i : shown) {
    absl::StrAppend(&head, i > 0 ? "  " : "", Pad(columns_[i].head, widths[i], columns_[i].align));
  }
  AppendLine(std::move(head), style.colour, &out);
  for (const Row& row : rows_) {
    std::vector<std::vector<std::string>> cells(columns_.size());
    size_t height = 1;
    for (const size_t i : shown) {
      cells[i] = columns_[i].wraps ? WrapText(row.cells[i], widths[i])
                                   : std::vector<std::string>{row.cells[i]};
      height = std::max(height, cells[i].size());
    }
    for (size_t line = 0; line < height; ++line) {
      std::string text;
      for (const size_t i : shown) {
        const std::string& cell = line < cells[i].size() ? cells[i][line] : std::string();
        absl::StrAppend(&text, i > 0 ? "  " : "", Pad(cell, widths[i], columns_[i].align));
      }
      AppendLine(std::move(text), style.colour && row.emphasis == Emphasis::kStrong, &out);
    }
  }
  return out;
}

std::string Table::RenderBlocks(const TextStyle& style) const {
  size_t head_width = 0;
  for (const Column& column : columns_) {
    head_width = std::max(head_width, DisplayWidth(column.head));
  }
  const size_t indent = 2 + head_width + kGap;
  const auto limit = static_cast<size_t>(style.width_columns);
  const size_t value_width = std::max(limit > indent ? limit - indent : 0, kNarrowestWrap);
  std::string out;
  for (const Row& row : rows_) {
    // A first column without a header holds a mark, which is written before the name.
    const size_t title = columns_.front().head.empty() && columns_.size() > 1 ? 1 : 0;
    std::string heading = row.cells[title];
    if (title == 1 && row.cells.front() != "-") {
      heading = absl::StrCat(row.cells.front(), " ", heading);
    }
    AppendLine(std::move(heading), style.colour, &out);
    for (size_t i = title + 1; i < columns_.size(); ++i) {
      if (row.cells[i] == "-") {
        continue;
      }
      std::string head = Pad(columns_[i].head, head_width + kGap, Align::kLeft);
      for (const std::string& line : WrapText(row.cells[i], value_width)) {
        AppendLine(absl::StrCat("  ", head, line), false, &out);
        head = std::string(head_width + kGap, ' ');
      }
    }
  }
  return out;
}

}  // namespace wattle::cli
