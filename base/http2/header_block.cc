// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/http2/header_block.h"

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "base/status_macros.h"

namespace wattle::http2 {
namespace {

// The bytes of an integer after its prefix, for values up to 2^28 - 1.
constexpr int kIntegerBytesMax = 4;
// RFC 7541: entries of the static table, and of a dynamic one of 4 KiB at 32 bytes each.
constexpr uint32_t kIndexMax = 61 + 4096 / 32;
constexpr uint32_t kTableBytesMax = 4096;
constexpr int kTableUpdatesMax = 2;  // RFC 7541, 4.2.

// Reads a block from its begin to its end.
class Reader {
 public:
  explicit Reader(absl::string_view block) : left_(block) {}

  [[nodiscard]] bool at_end() const { return left_.empty(); }
  [[nodiscard]] uint8_t first() const { return static_cast<uint8_t>(left_[0]); }

  // RFC 7541, 5.1. The block has at least one more byte.
  absl::StatusOr<uint32_t> Integer(int prefix_bits) {
    const uint32_t mask = (1U << prefix_bits) - 1;
    uint32_t value = first() & mask;
    left_.remove_prefix(1);
    if (value < mask) {
      return value;
    }
    for (int i = 0; i < kIntegerBytesMax; ++i) {
      if (left_.empty()) {
        return absl::InvalidArgumentError("an integer ends with the block");
      }
      const uint8_t byte = first();
      left_.remove_prefix(1);
      value += uint32_t{byte & 0x7fU} << (7 * i);
      if (byte < 0x80) {
        return value;
      }
    }
    return absl::InvalidArgumentError("an integer of more than 5 bytes");
  }

  // RFC 7541, 5.2.
  absl::Status String() {
    if (left_.empty()) {
      return absl::InvalidArgumentError("a string is missing at the end of the block");
    }
    WATTLE_ASSIGN_OR_RETURN(const uint32_t length, Integer(7));
    if (length > left_.size()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "a string of ", length, " bytes in a block that has ", left_.size(), " left"));
    }
    left_.remove_prefix(length);
    return absl::OkStatus();
  }

 private:
  absl::string_view left_;
};

absl::Status CheckIndex(uint32_t index) {
  return index <= kIndexMax ? absl::OkStatus()
                            : absl::InvalidArgumentError(absl::StrCat(
                                  "field ", index, " of a table that has ", kIndexMax, " at most"));
}

// RFC 7541, 6.2: the name is of a table, or follows.
absl::Status CheckLiteral(int prefix_bits, Reader& reader) {
  WATTLE_ASSIGN_OR_RETURN(const uint32_t index, reader.Integer(prefix_bits));
  WATTLE_RETURN_IF_ERROR(index == 0 ? reader.String() : CheckIndex(index));
  return reader.String();
}

absl::Status CheckField(Reader& reader) {
  if ((reader.first() & 0x80) == 0) {
    return CheckLiteral((reader.first() & 0x40) != 0 ? 6 : 4, reader);
  }
  WATTLE_ASSIGN_OR_RETURN(const uint32_t index, reader.Integer(7));
  return index == 0 ? absl::InvalidArgumentError("field 0 of a table") : CheckIndex(index);
}

bool IsTableUpdate(uint8_t first) {
  return (first & 0xe0) == 0x20;
}

}  // namespace

absl::Status CheckHeaderBlock(absl::string_view block) {
  Reader reader(block);
  for (int updates = 0; !reader.at_end() && IsTableUpdate(reader.first()); ++updates) {
    WATTLE_ASSIGN_OR_RETURN(const uint32_t bytes, reader.Integer(5));
    if (bytes > kTableBytesMax || updates == kTableUpdatesMax) {
      return absl::InvalidArgumentError(
          absl::StrCat("a table of ", bytes, " bytes, or the third size of one block"));
    }
  }
  for (size_t fields = 0; !reader.at_end(); ++fields) {
    if (fields == kFieldsMax) {
      return absl::InvalidArgumentError(absl::StrCat("more than ", kFieldsMax, " fields"));
    }
    if (IsTableUpdate(reader.first())) {
      return absl::InvalidArgumentError("a table's size after a field");
    }
    WATTLE_RETURN_IF_ERROR(CheckField(reader));
  }
  return absl::OkStatus();
}

std::string EncodeField(absl::string_view name, absl::string_view value) {
  constexpr size_t kInOneByte = 126;
  WATTLE_CHECK(name.size() <= kInOneByte && value.size() <= kInOneByte, "lengths of one byte");
  return absl::StrCat(absl::string_view("\0", 1), std::string(1, static_cast<char>(name.size())),
                      name, std::string(1, static_cast<char>(value.size())), value);
}

}  // namespace wattle::http2
