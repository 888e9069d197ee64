// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/remote_write/credentials.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

#include "base/file.h"
#include "base/host_port.h"
#include "base/status_macros.h"

namespace wattle::remote_write {
namespace {

constexpr char kUserFlag[] = "--remote-write-user";
constexpr char kPasswordFlag[] = "--remote-write-password-file";
constexpr char kBearerFlag[] = "--remote-write-bearer-file";
constexpr int64_t kSecretBytesMax = 16384;

// The part between scheme and path: "user@host:9090".
absl::string_view AuthorityOf(absl::string_view url) {
  if (const size_t scheme = url.find("://"); scheme != absl::string_view::npos) {
    url.remove_prefix(scheme + 3);
  }
  return url.substr(0, url.find('/'));
}

bool HasUserInfo(const std::string& url) {
  return absl::StrContains(AuthorityOf(url), '@');
}

}  // namespace

absl::StatusOr<std::string> SecretIn(const std::string& path) {
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0) {
    return absl::InvalidArgumentError(std::string(FileError(errno, path, "cannot read").message()));
  }
  if ((status.st_mode & (S_IRWXO | S_IWGRP)) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": others may read or change the secret; allow the coordinator alone: chmod 600 ",
        path));
  }
  const absl::StatusOr<std::string> text = ReadWholeFile(path, kSecretBytesMax);
  if (!text.ok()) {
    return absl::InvalidArgumentError(std::string(text.status().message()));
  }
  absl::string_view secret = *text;
  absl::ConsumeSuffix(&secret, "\n");
  absl::ConsumeSuffix(&secret, "\r");
  const bool control = std::any_of(secret.begin(), secret.end(), [](char c) {
    return static_cast<unsigned char>(c) < ' ' || c == '\x7f';
  });
  if (secret.empty() || control) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": wanted a secret alone on one line, and nothing else"));
  }
  return std::string(secret);
}

bool IsReadOnTheWay(const std::string& url) {
  if (!absl::StartsWith(url, "http://")) {
    return false;
  }
  const std::string authority(AuthorityOf(url));
  absl::StatusOr<HostPort> address = ParseHostPort("--remote-write", authority);
  if (!address.ok()) {  // the port may be left out
    address = ParseHostPort("--remote-write", absl::StrCat(authority, ":80"));
  }
  return !address.ok() || !IsLoopback(*address);
}

absl::Status CheckCredentials(const std::string& url, const Credentials& credentials) {
  if (HasUserInfo(url)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--remote-write: the URL has a user or a password in it, where `ps` and logs "
                     "show them; give the URL without, ",
                     kUserFlag, " and ", kPasswordFlag));
  }
  if (credentials.user.empty() != credentials.password_file.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(credentials.user.empty() ? kPasswordFlag : kUserFlag, ": give ",
                     credentials.user.empty() ? kUserFlag : kPasswordFlag, " too"));
  }
  if (absl::StrContains(credentials.user, ':')) {
    return absl::InvalidArgumentError(
        absl::StrCat(kUserFlag, ": no user's name has a ':'; the password belongs in the file of ",
                     kPasswordFlag));
  }
  if (!credentials.password_file.empty() && !credentials.bearer_file.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(kBearerFlag, ": not together with ", kPasswordFlag));
  }
  if (credentials.none()) {
    return absl::OkStatus();
  }
  const bool bearer = !credentials.bearer_file.empty();
  return WithContext(
      bearer ? kBearerFlag : kPasswordFlag,
      SecretIn(bearer ? credentials.bearer_file : credentials.password_file).status());
}

absl::StatusOr<std::pair<std::string, std::string>> AuthorizationHeader(
    const Credentials& credentials) {
  if (credentials.none()) {
    return std::pair<std::string, std::string>();
  }
  if (!credentials.bearer_file.empty()) {
    WATTLE_ASSIGN_OR_RETURN(const std::string token, SecretIn(credentials.bearer_file));
    return std::pair<std::string, std::string>("Authorization", "Bearer " + token);
  }
  WATTLE_ASSIGN_OR_RETURN(const std::string password, SecretIn(credentials.password_file));
  return std::pair<std::string, std::string>(
      "Authorization",
      "Basic " + absl::Base64Escape(absl::StrCat(credentials.user, ":", password)));
}

}  // namespace wattle::remote_write
