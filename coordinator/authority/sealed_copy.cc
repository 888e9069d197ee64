// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/authority/sealed_copy.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

#include "base/file.h"
#include "base/status_macros.h"
#include "base/tls/encrypted_key.h"
#include "base/tls/private_file.h"

namespace wattle::authority {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPassphraseBytesMin = 12;
// A rotation writes a few files, and then none for months, so few reads find a stable state.
constexpr int kLooks = 20;

// Keyed by path below the folder. Files of an unfinished rotation are left out, because the next
// start begins it again.
using Files = std::map<std::string, std::string>;

// Whether any generation has a root: once the first root is retired, the root is in the folder of a
// later generation.
bool HasRoot(const Files& files) {
  return std::any_of(files.begin(), files.end(), [](const Files::value_type& file) {
    return fs::path(file.first).filename() == "root.pem";
  });
}

absl::StatusOr<Files> FilesOf(const std::string& folder) {
  Files files;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() == ".partial") {
      it.disable_recursion_pending();
    } else if (it->is_regular_file()) {
      WATTLE_ASSIGN_OR_RETURN(files[fs::relative(it->path(), folder).string()],
                              ReadWholeFile(it->path().string()));
    }
  }
  if (error || !HasRoot(files)) {
    return absl::NotFoundError(absl::StrCat(folder, ": no authority there"));
  }
  return files;
}

absl::Status Write(const Files& files, const std::string& folder) {
  for (const auto& [path, content] : files) {
    const fs::path whole = fs::path(folder) / path;
    WATTLE_RETURN_IF_ERROR(tls::MakePrivateDirectory(whole.parent_path().string()));
    WATTLE_RETURN_IF_ERROR(tls::WritePrivateFile(whole.string(), content));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ReadPassphrase(const std::string& path) {
  absl::StatusOr<std::string> text =
      tls::ReadPrivateFile(path, {.what = "passphrase", .remedy = "take another one"});
  WATTLE_RETURN_IF_ERROR(WithContext("--passphrase-file", text.status()));
  absl::string_view passphrase(*text);
  passphrase = passphrase.substr(0, passphrase.find('\n'));
  absl::ConsumeSuffix(&passphrase, "\r");
  if (passphrase.size() < kPassphraseBytesMin) {
    return absl::InvalidArgumentError(absl::StrCat("--passphrase-file: ", path, ": wanted ",
                                                   kPassphraseBytesMin,
                                                   " characters or more in its first line"));
  }
  return std::string(passphrase);
}

absl::Status SealFolder(const std::string& from, const std::string& to,
                        const std::string& passphrase) {
  absl::StatusOr<Files> files = FilesOf(from);
  WATTLE_RETURN_IF_ERROR(files.status());
  bool same = false;
  for (int look = 0; !same && look < kLooks; ++look) {
    absl::StatusOr<Files> again = FilesOf(from);
    WATTLE_RETURN_IF_ERROR(again.status());
    same = *again == *files;
    files = std::move(again);
  }
  if (!same) {
    return absl::UnavailableError(absl::StrCat(from, ": its files change; try again"));
  }
  for (auto& [path, content] : *files) {
    if (tls::HasPlainKey(content)) {
      absl::StatusOr<std::string> sealed = tls::EncryptKey(content, passphrase);
      WATTLE_RETURN_IF_ERROR(WithContext(absl::StrCat(from, "/", path), sealed.status()));
      content = *std::move(sealed);
    }
  }
  return Write(*files, to);
}

absl::Status OpenFolder(const std::string& from, const std::string& to,
                        const std::string& passphrase) {
  WATTLE_ASSIGN_OR_RETURN(Files files, FilesOf(from));
  std::error_code error;
  if (fs::exists(to, error) && !fs::is_empty(to, error)) {
    return absl::AlreadyExistsError(absl::StrCat(
        to, ": has files; move the folder aside, or leave --passphrase-file out to keep it"));
  }
  for (auto& [path, content] : files) {
    if (!content.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----")) {
      continue;
    }
    absl::StatusOr<std::string> key = tls::DecryptKey(content, passphrase);
    WATTLE_RETURN_IF_ERROR(WithContext(absl::StrCat(from, "/", path), key.status()));
    content = *std::move(key);
  }
  return Write(files, to);
}

}  // namespace wattle::authority
