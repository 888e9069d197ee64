// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/callers/refused_calls.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

#include "base/utf8.h"

namespace wattle::callers {
namespace {

constexpr absl::Duration kBetweenLines = absl::Minutes(1);
// Most pairs of caller and method that are counted separately. Further ones share one count.
constexpr size_t kKeptMax = 1000;
constexpr char kOthers[] = "others";

// Shortens strangers' words for the journal: one line, at most `bytes_max` bytes of whole
// characters.
std::string Short(absl::string_view text, size_t bytes_max) {
  const std::string line = OneLine(text);
  if (line.size() <= bytes_max) {
    return line;
  }
  constexpr absl::string_view kCut = "...";
  const absl::string_view begin = absl::string_view(line).substr(0, bytes_max - kCut.size());
  return absl::StrCat(begin.substr(0, ValidUtf8Prefix(begin)), kCut);
}

}  // namespace

void RefusedCalls::Note(absl::string_view who, absl::string_view what, absl::string_view why,
                        Monotonic now) {
  absl::MutexLock lock(&mutex_);
  ++total_;
  Key key(who.empty() ? "a stranger" : who, what);
  if (kept_.size() >= kKeptMax && !kept_.contains(key)) {
    ForgetOld(now);
    if (kept_.size() >= kKeptMax) {
      key = {kOthers, ""};
    }
  }
  Count(key, why, now);
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

void RefusedCalls::Count(const Key& key, absl::string_view why, Monotonic now) {
  if (!counts_since_.has_value()) {
    counts_since_ = now;
  }
  if (counted_.size() >= kKeptMax && !counted_.contains(key)) {
    ++other_calls_;
    return;
  }
  Counted& counted = counted_[key];
  ++counted.calls;
  // The table's refusals begin with the method.
  counted.reason = Short(absl::StripPrefix(why, absl::StrCat(key.second, ": ")), kReasonBytesMax);
}

void RefusedCalls::KeepCounts(const core::Instant& now, const Keep& keep, absl::Duration age_min) {
  absl::MutexLock lock(&mutex_);
  if (counts_since_.has_value() && now.monotonic - *counts_since_ >= age_min && keep(Counts(now))) {
    counted_.clear();
    other_calls_ = 0;
    counts_since_.reset();
  }
}

v1::RefusalsCounted RefusedCalls::Counts(const core::Instant& now) const {
  std::vector<const std::pair<const Key, Counted>*> most;
  for (const auto& one : counted_) {
    most.push_back(&one);
  }
  std::stable_sort(most.begin(), most.end(), [](const auto* left, const auto* right) {
    return left->second.calls > right->second.calls;
  });
  v1::RefusalsCounted counts;
  counts.set_begin_unix_seconds(core::ToUnix(now.wall - (now.monotonic - *counts_since_)));
  counts.set_other_calls(other_calls_);
  for (const auto* const one : most) {
    const auto& [key, counted] = *one;
    if (counts.callers_size() == static_cast<int>(kCountedMax)) {
      counts.set_other_calls(counts.other_calls() + counted.calls);
      continue;
    }
    v1::RefusedCalls& refused = *counts.add_callers();
    refused.set_who(Short(key.first, kWhoBytesMax));
    refused.set_method(Short(key.second, kMethodBytesMax));
    refused.set_calls(counted.calls);
    refused.set_reason(counted.reason);
  }
  return counts;
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
