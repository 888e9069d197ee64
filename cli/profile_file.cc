// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/profile_file.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include <google/protobuf/util/json_util.h>

#include "base/check.h"
#include "base/durable_file.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "scheduler/profiles/exported_rows.h"

namespace wattle::cli {
namespace {

constexpr int64_t kProfileFileBytesMax = 16 << 20;

// Some of protobuf's messages quote the position on further lines.
absl::string_view FirstLine(absl::string_view text) {
  return text.substr(0, text.find('\n'));
}

absl::StatusOr<v1::ProfileExport> ParseExport(const std::string& text, bool ignore_unknown_fields) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = ignore_unknown_fields;
  v1::ProfileExport rows;
  const auto parsed = google::protobuf::util::JsonStringToMessage(text, &rows, options);
  if (!parsed.ok()) {
    const std::string message(parsed.message());
    return absl::InvalidArgumentError(absl::StrCat(
        "no file of wattle profile export: ", FirstLine(message), "; export the rows again"));
  }
  return rows;
}

}  // namespace

absl::Status WriteProfileFile(const v1::ProfileExport& rows, const std::string& path) {
  std::error_code error;
  if (std::filesystem::exists(path, error)) {
    return absl::AlreadyExistsError(
        absl::StrCat(path, ": is there already; remove it or choose another file"));
  }
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string text;
  const auto printed = google::protobuf::util::MessageToJsonString(rows, &text, options);
  WATTLE_CHECK(printed.ok(), "a message of our own protos has a JSON form");
  WATTLE_ASSIGN_OR_RETURN(DurableFile file, DurableFile::Create(path));
  WATTLE_RETURN_IF_ERROR(file.Append(text));
  return file.Commit();
}

absl::StatusOr<v1::ProfileExport> ReadProfileFile(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadWholeFile(path, kProfileFileBytesMax);
  if (!text.ok()) {
    return absl::InvalidArgumentError(text.status().message());
  }
  if (text->empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": empty, wanted a file of wattle profile export"));
  }
  // A file of a later version may have fields that this version does not know, so the version is
  // checked first.
  const absl::StatusOr<v1::ProfileExport> head = ParseExport(*text, /*ignore_unknown_fields=*/true);
  WATTLE_RETURN_IF_ERROR(WithContext(path, head.status()));
  WATTLE_RETURN_IF_ERROR(WithContext(path, scheduler::CheckExportHead(*head)));
  absl::StatusOr<v1::ProfileExport> rows = ParseExport(*text, /*ignore_unknown_fields=*/false);
  WATTLE_RETURN_IF_ERROR(WithContext(path, rows.status()));
  return rows;
}

}  // namespace wattle::cli
