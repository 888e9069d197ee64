// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/storage/metric_spool.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

#include "worker/agent/storage/record_file.h"

namespace wattle::agent {
namespace {

constexpr char kFolder[] = "metrics";
constexpr double kAbsent = std::numeric_limits<double>::quiet_NaN();

std::string KeyOf(const v1::MetricSeries& series) {
  std::string key = series.name();
  for (const v1::Label& label : series.labels()) {
    absl::StrAppend(&key, "\n", label.key(), "\n", label.value());
  }
  return key;
}

bool SameLabels(const v1::MetricBatch& a, const v1::MetricBatch& b) {
  bool same = a.labels_size() == b.labels_size();
  for (int i = 0; same && i < a.labels_size(); ++i) {
    same = a.labels(i).key() == b.labels(i).key() && a.labels(i).value() == b.labels(i).value();
  }
  return same;
}

int64_t LastTime(const v1::MetricBatch& batch) {
  return batch.at_unix_milliseconds(batch.at_unix_milliseconds_size() - 1);
}

// Adds every `stride`-th scrape of `from`. A series that is new in `to` counts as absent in earlier
// scrapes.
void AppendScrapes(const v1::MetricBatch& from, int stride, v1::MetricBatch& to) {
  const int before = to.at_unix_milliseconds_size();
  std::map<std::string, int> places;
  for (int i = 0; i < to.series_size(); ++i) {
    places[KeyOf(to.series(i))] = i;
  }
  if (before == 0) {
    *to.mutable_labels() = from.labels();
  }
  for (int scrape = 0; scrape < from.at_unix_milliseconds_size(); scrape += stride) {
    to.add_at_unix_milliseconds(from.at_unix_milliseconds(scrape));
  }
  for (const v1::MetricSeries& series : from.series()) {
    const auto [place, is_new] = places.try_emplace(KeyOf(series), to.series_size());
    if (is_new) {
      v1::MetricSeries& added = *to.add_series();
      added.set_name(series.name());
      *added.mutable_labels() = series.labels();
      for (int i = 0; i < before; ++i) {
        added.add_values(kAbsent);
      }
    }
    v1::MetricSeries& target = *to.mutable_series(place->second);
    for (int scrape = 0; scrape < series.values_size(); scrape += stride) {
      target.add_values(series.values(scrape));
    }
  }
  for (v1::MetricSeries& series : *to.mutable_series()) {
    while (series.values_size() < to.at_unix_milliseconds_size()) {
      series.add_values(kAbsent);
    }
  }
}

// Whether the batch has a scrape from before the time.
bool IsBefore(const v1::MetricBatch& batch, int64_t before) {
  return std::any_of(batch.at_unix_milliseconds().begin(), batch.at_unix_milliseconds().end(),
                     [&](int64_t at) { return at < before; });
}

void Date(int64_t before, int64_t difference, v1::MetricBatch& batch) {
  for (int64_t& at : *batch.mutable_at_unix_milliseconds()) {
    at += at < before ? difference : 0;
  }
  batch.set_restamped(true);
}

int64_t SamplesIn(const v1::MetricBatch& batch) {
  int64_t samples = 0;
  for (const v1::MetricSeries& series : batch.series()) {
    for (const double value : series.values()) {
      samples += std::isnan(value) ? 0 : 1;
    }
  }
  return samples;
}

}  // namespace

std::string MetricSpool::NameOf(int64_t number, int level) {
  return absl::StrFormat("%s/%020d.%d", kFolder, number, level);
}

MetricSpool::MetricSpool(Disk* disk, const MetricSpoolLimits& limits)
    : disk_(*disk), limits_(limits) {
  for (const DiskEntry& entry : disk_.List(kFolder)) {
    const std::vector<std::string> parts = absl::StrSplit(entry.name, '.');
    int64_t number = 0;
    Stored stored = {.size_bytes = entry.size_bytes};
    const bool ours = parts.size() == 2 && absl::SimpleAtoi(parts[0], &number) &&
                      absl::SimpleAtoi(parts[1], &stored.level) && number > 0;
    if (!ours) {
      disk_.Remove(absl::StrCat(kFolder, "/", entry.name));
      continue;
    }
    // A power cut happened after the thinned batch, which is listed later, was written and before
    // the replaced one was removed.
    if (const auto replaced = stored_.find(number); replaced != stored_.end()) {
      RemoveStored(replaced);
    }
    stored_[number] = stored;
    size_bytes_ += stored.size_bytes;
    last_number_ = std::max(last_number_, number);
  }
}

void MetricSpool::Add(const v1::MetricBatch& scrape) {
  const bool fits = open_.at_unix_milliseconds_size() == 0 ||
                    (SameLabels(open_, scrape) && LastTime(scrape) > LastTime(open_));
  if (!fits) {
    CloseOpen();  // the clock went back, or the device has another name
  }
  AppendScrapes(scrape, 1, open_);
  if (open_.at_unix_milliseconds_size() >= limits_.scrapes_per_batch) {
    CloseOpen();
  }
}

void MetricSpool::DateStored(StoredBatches::iterator batch, int64_t before,
                             std::optional<int64_t> difference) {
  std::optional<v1::MetricBatch> content = ReadStored(batch->first, batch->second.level);
  if (!content || !IsBefore(*content, before)) {
    return;
  }
  if (difference) {
    Date(before, *difference, *content);
    const std::string bytes = EncodeRecord(*content);
    if (disk_.Replace(NameOf(batch->first, batch->second.level), bytes).ok()) {
      size_bytes_ += static_cast<int64_t>(bytes.size()) - batch->second.size_bytes;
      batch->second.size_bytes = static_cast<int64_t>(bytes.size());
      return;
    }
  }
  Drop(*content);
  RemoveStored(batch);
}

void MetricSpool::DateScrapesBefore(int64_t unix_milliseconds,
                                    std::optional<int64_t> difference_milliseconds) {
  CloseOpen();
  for (auto recent = recent_.begin(); recent != recent_.end();) {
    if (!IsBefore(*recent, unix_milliseconds)) {
      ++recent;
    } else if (difference_milliseconds) {
      Date(unix_milliseconds, *difference_milliseconds, *recent);
      ++recent;
    } else {
      Drop(*recent);
      recent = recent_.erase(recent);
    }
  }
  for (auto stored = stored_.begin(); stored != stored_.end();) {
    const auto batch = stored++;
    DateStored(batch, unix_milliseconds, difference_milliseconds);
  }
}

void MetricSpool::CloseOpen() {
  if (open_.at_unix_milliseconds_size() == 0) {
    return;
  }
  open_.set_number(++last_number_);
  recent_.push_back(std::exchange(open_, {}));
  if (recent_.size() > kBatchesInMemory) {
    Store(recent_.front());
    recent_.pop_front();
    KeepWithinBound();
  }
}

void MetricSpool::Store(const v1::MetricBatch& batch) {
  const std::string bytes = EncodeRecord(batch);
  if (!disk_.Replace(NameOf(batch.number(), 0), bytes).ok()) {
    return Drop(batch);  // metrics do not matter on a full disk
  }
  stored_[batch.number()] = {0, static_cast<int64_t>(bytes.size())};
  size_bytes_ += static_cast<int64_t>(bytes.size());
}

void MetricSpool::Drop(const v1::MetricBatch& batch) {
  dropped_samples_ += SamplesIn(batch);
}

void MetricSpool::RemoveStored(StoredBatches::iterator batch) {
  disk_.Remove(NameOf(batch->first, batch->second.level));
  size_bytes_ -= batch->second.size_bytes;
  stored_.erase(batch);
}

std::optional<v1::MetricBatch> MetricSpool::ReadStored(int64_t number, int level) {
  const absl::StatusOr<std::string> bytes = disk_.Read(NameOf(number, level));
  v1::MetricBatch batch;
  if (!bytes.ok() || !DecodeRecord(*bytes, batch).ok() || batch.at_unix_milliseconds_size() == 0) {
    return std::nullopt;
  }
  batch.set_number(number);
  return batch;
}

void MetricSpool::KeepWithinBound() {
  while (size_bytes_ > limits_.size_bytes_max && !stored_.empty()) {
    bool thinned = false;
    for (int level = 0; level < kLevelMax && !thinned; ++level) {
      // Finest level first, so that resolution is lost evenly before any batch is dropped.
      thinned = ThinPair(level);
    }
    if (!thinned) {
      const auto oldest = stored_.begin();
      if (const auto batch = ReadStored(oldest->first, oldest->second.level)) {
        Drop(*batch);
      }
      RemoveStored(oldest);
    }
  }
}

// Merges the oldest two neighbours of this level into one batch of the next level. A batch under
// way stays unchanged, because its acknowledgement must not remove more than was sent.
bool MetricSpool::ThinPair(int level) {
  for (auto first = stored_.upper_bound(handed_out_); first != stored_.end(); ++first) {
    const auto second = std::next(first);
    if (second == stored_.end()) {
      return false;
    }
    if (first->second.level != level || second->second.level != level) {
      continue;
    }
    const auto a = ReadStored(first->first, level);
    const auto b = ReadStored(second->first, level);
    if (!a || !b) {
      RemoveStored(a ? second : first);  // damaged: its content is unknown
      return true;
    }
    // Batches of different labels or of a clock that went back cannot share one list of times.
    if (!SameLabels(*a, *b) || LastTime(*b) <= LastTime(*a)) {
      continue;
    }
    v1::MetricBatch merged;
    // The higher number, so that an acknowledgement of the batch before does not remove the merged
    // one.
    merged.set_number(b->number());
    merged.set_restamped(a->restamped() || b->restamped());
    AppendScrapes(*a, 2, merged);
    AppendScrapes(*b, 2, merged);
    const std::string bytes = EncodeRecord(merged);
    if (!disk_.Replace(NameOf(merged.number(), level + 1), bytes).ok()) {
      return false;  // the oldest batch makes room instead
    }
    dropped_samples_ += SamplesIn(*a) + SamplesIn(*b) - SamplesIn(merged);
    RemoveStored(first);
    RemoveStored(second);
    stored_[merged.number()] = {level + 1, static_cast<int64_t>(bytes.size())};
    size_bytes_ += static_cast<int64_t>(bytes.size());
    return true;
  }
  return false;
}

std::optional<v1::MetricBatch> MetricSpool::Next(int64_t after) {
  std::optional<v1::MetricBatch> next;
  for (auto stored = stored_.upper_bound(after); stored != stored_.end() && !next;) {
    next = ReadStored(stored->first, stored->second.level);
    if (next) {
      break;
    }
    RemoveStored(stored);  // damaged
    stored = stored_.upper_bound(after);
  }
  if (!next && (recent_.empty() || recent_.back().number() <= after)) {
    CloseOpen();
  }
  for (auto recent = recent_.begin(); recent != recent_.end() && !next; ++recent) {
    if (recent->number() > after) {
      next = *recent;
    }
  }
  handed_out_ = next ? next->number() : after;
  return next;
}

void MetricSpool::Acknowledge(int64_t number) {
  if (const auto stored = stored_.find(number); stored != stored_.end()) {
    return RemoveStored(stored);
  }
  for (auto recent = recent_.begin(); recent != recent_.end(); ++recent) {
    if (recent->number() == number) {
      recent_.erase(recent);
      return;
    }
  }
}

void MetricSpool::Save() {
  CloseOpen();
  for (const v1::MetricBatch& batch : recent_) {
    Store(batch);
  }
  recent_.clear();
  KeepWithinBound();
}

}  // namespace wattle::agent
