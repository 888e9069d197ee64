// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/callers/refused_calls.h"

#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace wattle::callers {
namespace {

constexpr absl::Duration kBetweenLines = absl::Minutes(1);
// Callers and methods that are told apart. Whoever comes beyond is told as one.
constexpr size_t kKeptMax = 1000;
constexpr char kOthers[] = "others";

}  // namespace

void RefusedCalls::Note(absl::string_view who, absl::string_view what, absl::string_view why,
                        Monotonic now) {
  absl::MutexLock lock(&mutex_);
  ++total_;
  std::pair<std::string, std::string> key(who.empty() ? "a stranger" : who, what);
  if (kept_.size() >= kKeptMax && !kept_.contains(key)) {
    ForgetOld(now);
    if (kept_.size() >= kKeptMax) {
      key = {kOthers, ""};
    }
  }
  const auto [known, is_new] = kept_.try_emplace(key);
  Kept& kept = known->second;
  ++kept.since;
  if (!is_new && now - kept.told < kBetweenLines) {
    return;
  }
  if (tell_) {
    // The table's refusals begin with the method.
    const bool is_named = absl::StartsWith(why, absl::StrCat(what, ": "));
    const std::string times =
        kept.since > 1 ? absl::StrCat(" (", kept.since, " times since the last such line)") : "";
    tell_(absl::StrCat(key.first, " was refused ", is_named ? "" : absl::StrCat(what, ": "), why,
                       times));
  }
  kept = {.told = now};
}

void RefusedCalls::ForgetOld(Monotonic now) {
  for (auto kept = kept_.begin(); kept != kept_.end();) {
    kept = now - kept->second.told >= kBetweenLines ? kept_.erase(kept) : std::next(kept);
  }
}

void RefusedCalls::SetTell(Tell tell) {
  absl::MutexLock lock(&mutex_);
  tell_ = std::move(tell);
}

uint64_t RefusedCalls::total() const {
  absl::MutexLock lock(&mutex_);
  return total_;
}

}  // namespace wattle::callers
