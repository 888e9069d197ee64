// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/report_digest.h"

#include <cstring>
#include <string>

namespace wattle {
namespace {

class Fnv1a {
 public:
  void Add(uint64_t value) {
    for (int byte = 0; byte < 8; ++byte) {
      Byte(static_cast<unsigned char>(value >> (8 * byte)));
    }
  }
  void Add(const std::string& text) {
    Add(text.size());
    for (const char c : text) {
      Byte(static_cast<unsigned char>(c));
    }
  }
  [[nodiscard]] uint64_t value() const { return hash_ == 0 ? 1 : hash_; }

 private:
  void Byte(unsigned char byte) { hash_ = (hash_ ^ byte) * 0x100000001b3U; }
  uint64_t hash_ = 0xcbf29ce484222325U;
};

template <typename Fact>
void AddAttempt(const Fact& fact, Fnv1a& hash) {
  hash.Add(fact.attempt_id());
  hash.Add(static_cast<uint64_t>(fact.fencing_token()));
}

}  // namespace

uint64_t ReportDigest(const v1::Report& report) {
  Fnv1a hash;
  uint64_t at = 0;
  const double seconds = report.at_unix_seconds();
  std::memcpy(&at, &seconds, sizeof(at));
  hash.Add(static_cast<uint64_t>(report.sequence()));
  hash.Add(at);
  switch (report.fact_case()) {
    case v1::Report::kAccepted:
      AddAttempt(report.accepted(), hash);
      break;
    case v1::Report::kStarted:
      AddAttempt(report.started(), hash);
      break;
    case v1::Report::kPaused:
      AddAttempt(report.paused(), hash);
      break;
    case v1::Report::kFinished:
      AddAttempt(report.finished(), hash);
      break;
    case v1::Report::kFailed:
      AddAttempt(report.failed(), hash);
      break;
    case v1::Report::kStopped:
      AddAttempt(report.stopped(), hash);
      break;
    case v1::Report::kLedger:
    case v1::Report::kUpgradeEnded:
    case v1::Report::FACT_NOT_SET:  // A fact of a newer version is distinguished by number and
                                    // time.
      break;
  }
  return hash.value();
}

}  // namespace wattle
