// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/metrics_authorizer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "base/constant_time.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/tls/certificate.h"
#include "base/tls/token.h"

namespace wattle::agent {
namespace {

constexpr size_t kHashDigits = 64;

bool IsHash(absl::string_view word) {
  return word.size() == kHashDigits && std::all_of(word.begin(), word.end(), [](char c) {
           return absl::ascii_isxdigit(static_cast<unsigned char>(c));
         });
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ReadTokenHashes(const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(path));
  std::vector<std::string> hashes;
  int number = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    const absl::string_view content = absl::StripAsciiWhitespace(line);
    if (content.empty() || content[0] == '#') {
      continue;
    }
    const absl::string_view word = content.substr(0, content.find_first_of(" \t"));
    if (!IsHash(word)) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ":", number,
                       ": wanted the SHA-256 of a token, 64 hex digits, which 'wattle service "
                       "page-token' tells; the token itself stays where the scraper is"));
    }
    hashes.push_back(absl::AsciiStrToLower(word));
  }
  return hashes;
}

MetricsAuthorizer::MetricsAuthorizer(Rules rules, const Clock& clock)
    : rules_(std::move(rules)), clock_(clock) {
  if (!rules_.token_file.empty()) {
    ReadAndTell().IgnoreError();  // Told in the log; a fault of this file stops no work.
  }
}

absl::StatusOr<std::vector<std::string>> MetricsAuthorizer::ReadAndTell() const {
  absl::StatusOr<std::vector<std::string>> hashes = ReadTokenHashes(rules_.token_file);
  std::string fault;
  if (!hashes.ok()) {
    fault = std::string(hashes.status().message());
  } else if (hashes->empty()) {
    fault = absl::StrCat(rules_.token_file, ": names no token");
  }
  absl::MutexLock lock(&mutex_);
  if (fault != told_ && !fault.empty() && rules_.note) {
    rules_.note(absl::StrCat("--metrics-token-file: ", fault,
                             "; until the file is mended no token reads /metrics"));
  }
  told_ = fault;
  return hashes;
}

absl::Status MetricsAuthorizer::AdmitToken(absl::string_view authorization) const {
  const absl::StatusOr<tls::ServiceToken> shown = tls::ParsePageAuthorization(authorization);
  if (!shown.ok()) {
    return absl::UnauthenticatedError(shown.status().message());
  }
  if (rules_.token_file.empty()) {
    return absl::UnauthenticatedError(
        "this worker takes no token; start it with --metrics-token-file FILE");
  }
  const absl::StatusOr<std::vector<std::string>> hashes = ReadAndTell();
  if (!hashes.ok()) {
    // Nothing is proved of the caller: the file's path is for the log alone.
    return absl::UnauthenticatedError(
        "this worker cannot use its --metrics-token-file; its log says why");
  }
  const std::string hash = tls::ToHex(tls::Sha256(tls::FormatPageToken(*shown)));
  bool known = false;
  for (const std::string& one : *hashes) {
    known = SameSecret(one, hash) || known;
  }
  return known ? absl::OkStatus()
               : absl::UnauthenticatedError(
                     absl::StrCat("the token ", shown->id, " is none of those in this worker's ",
                                  "--metrics-token-file; add its SHA-256 there"));
}

absl::Status MetricsAuthorizer::Admit(const std::string& certificate_pem,
                                      absl::string_view authorization) const {
  if (!certificate_pem.empty()) {
    return tls::CheckExpiry(certificate_pem, std::max(clock_.Now(), rules_.floor));
  }
  if (!authorization.empty()) {
    return AdmitToken(authorization);
  }
  return absl::UnauthenticatedError(
      "this page wants a certificate of the fleet (curl --cert), or a token of "
      "--metrics-token-file "
      "in the header Authorization: Bearer");
}

}  // namespace wattle::agent
