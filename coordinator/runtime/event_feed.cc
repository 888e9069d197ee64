// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/runtime/event_feed.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "base/utf8.h"
#include "coordinator/core/state.h"
#include "coordinator/log/log.h"
#include "proto/audited_events.h"

namespace wattle::runtime {

void EventFeed::Run(absl::Duration interval, const std::function<void()>& before_look) {
  absl::Status last;
  while (true) {
    if (before_look) {
      before_look();
    }
    const absl::Status looked = Look();
    if (!looked.ok() && looked != last) {
      LogWarning(absl::StrCat("the event feed cannot read the journal and will try again: ",
                              looked.message()));
    }
    last = looked;
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(&stopped_), interval);
    if (stopped_) {
      return;
    }
  }
}

void EventFeed::Stop() {
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
}

absl::Status EventFeed::Look() {
  absl::MutexLock look_lock(&look_mutex_);
  // Takes connections before the journal: a device connects after its registration is durable, so
  // the feed lists the registration first.
  std::set<DeviceId> connected;
  for (const auto& [id, device] : runtime_.heartbeats().Snapshot().devices) {
    if (device.connected) {
      connected.insert(id);
    }
  }
  WATTLE_RETURN_IF_ERROR(TellJournal());
  looked_ = true;
  TellConnections(std::move(connected));
  return absl::OkStatus();
}

std::vector<v1::FleetEvent> EventFeed::Tell(const std::vector<v1::Event>& events) const {
  return runtime_.Read([&](const core::State& state) {
    const EventContext context{
        .device_name =
            [&state](const std::string& device_id) {
              const v1::DeviceRecord* record = core::FindDevice(state, DeviceId(device_id));
              return record == nullptr ? device_id.substr(0, 8) : record->info().name();
            },
        .device_of_attempt =
            [&state](const std::string& attempt_id) {
              const v1::Attempt* attempt = core::FindAttempt(state, AttemptId(attempt_id));
              return attempt == nullptr ? "" : attempt->device_id();
            },
        .ended_unix_seconds =
            [&state](const std::string& attempt_id) {
              const v1::Attempt* attempt = core::FindAttempt(state, AttemptId(attempt_id));
              return attempt == nullptr ? 0.0 : attempt->finished_unix_seconds();
            }};
    std::vector<v1::FleetEvent> sentences;
    for (const v1::Event& event : events) {
      if (std::optional<v1::FleetEvent> sentence = EventTextOf(event, context)) {
        sentences.push_back(*std::move(sentence));
      }
    }
    return sentences;
  });
}

absl::Status EventFeed::TellJournal() {
  const int64_t last = runtime_.Read(
      [](const core::State& state) { return static_cast<int64_t>(state.last_sequence.value()); });
  if (last > told_sequence_) {
    WATTLE_ASSIGN_OR_RETURN(const std::vector<v1::Event> events,
                            journal_.Events(told_sequence_, last, kEventsMax));
    std::vector<v1::FleetEvent> told = Tell(events);
    for (v1::FleetEvent& event : told) {
      if (looked_ && IsAudited(event.kind())) {
        LogAudit(IsOfDailyWork(event.kind()) ? absl::StrCat("audit: ", event.kind()) : "",
                 absl::StrCat("audit: ", OneLine(AuditText(event))));
      }
      Push(std::move(event));
    }
    told_sequence_ = last;
  }
  return absl::OkStatus();
}

// Events that caused the refusal, such as a revocation, come first.
void EventFeed::TellRefusal(const std::string& line) {
  {
    absl::MutexLock look_lock(&look_mutex_);
    (void)TellJournal();  // If the journal fails, the feed lists only the refusal.
  }
  v1::FleetEvent refusal;
  refusal.set_at_unix_seconds(core::ToUnix(runtime_.Now().wall));
  refusal.set_kind(kCallRefused);
  refusal.set_text(OneLine(line));
  LogWarning(absl::StrCat("audit: ", refusal.text()));
  Push(std::move(refusal));
}

void EventFeed::TellConnections(std::set<DeviceId> connected) {
  const auto tell = [this](const DeviceId& id, const char* kind, const char* what) {
    const std::string name = runtime_.Read([&id](const core::State& state) {
      const v1::DeviceRecord* record = core::FindDevice(state, id);
      return record == nullptr ? id.value().substr(0, 8) : record->info().name();
    });
    v1::FleetEvent note;
    note.set_at_unix_seconds(core::ToUnix(runtime_.Now().wall));
    note.set_kind(kind);
    note.set_device_id(id.value());
    note.set_device_name(name);
    note.set_text(absl::StrCat(name, " ", what));
    Push(std::move(note));
  };
  for (const DeviceId& id : connected) {
    if (!connected_.contains(id)) {
      tell(id, "device_connected", "connected");
    }
  }
  for (const DeviceId& id : connected_) {
    if (!connected.contains(id)) {
      tell(id, "device_disconnected", "lost its connection");
    }
  }
  connected_ = std::move(connected);
}

std::vector<const EventFeed::Numbered*> EventFeed::From(int64_t number) const {
  std::vector<const Numbered*> numbered;
  for (const std::deque<Numbered>* const memory : {&events_, &refusals_}) {
    const auto begin = std::partition_point(memory->begin(), memory->end(),
                                            [&](const auto& one) { return one.number < number; });
    const auto middle = static_cast<std::ptrdiff_t>(numbered.size());
    for (auto one = begin; one != memory->end(); ++one) {
      numbered.push_back(&*one);
    }
    std::inplace_merge(
        numbered.begin(), numbered.begin() + middle, numbered.end(),
        [](const Numbered* left, const Numbered* right) { return left->number < right->number; });
  }
  return numbered;
}

EventFeed::Page EventFeed::Read(int64_t from, size_t events_max) const {
  absl::MutexLock lock(&mutex_);
  Page page;
  page.next = std::max(from, next_number_);
  for (const Numbered* const one : From(from)) {
    if (page.events.size() == events_max) {
      page.next = one->number;
      break;
    }
    page.events.push_back(one->event);
  }
  return page;
}

int64_t EventFeed::FirstOf(size_t limit, double since_unix_seconds) const {
  absl::MutexLock lock(&mutex_);
  if (limit == 0) {
    return next_number_;
  }
  const int64_t first = events_.size() > limit ? events_[events_.size() - limit].number : 0;
  for (const Numbered* const one : From(first)) {
    if (one->event.at_unix_seconds() >= since_unix_seconds) {
      return one->number;
    }
  }
  return next_number_;
}

absl::StatusOr<EventFeed::Page> EventFeed::Audited(size_t limit, double since_unix_seconds) {
  absl::MutexLock look_lock(&look_mutex_);
  WATTLE_RETURN_IF_ERROR(TellJournal());
  WATTLE_ASSIGN_OR_RETURN(std::vector<v1::Event> events,
                          journal_.EventsOfKinds(AuditedKinds(), since_unix_seconds, told_sequence_,
                                                 static_cast<int64_t>(limit)));
  WATTLE_ASSIGN_OR_RETURN(
      const std::vector<v1::Event> counted,
      journal_.EventsOfKinds({kRefusalsCounted}, since_unix_seconds, told_sequence_,
                             static_cast<int64_t>(std::min(limit, kRefusalsMax))));
  const auto others = static_cast<std::ptrdiff_t>(events.size());
  events.insert(events.end(), counted.begin(), counted.end());
  std::inplace_merge(events.begin(), events.begin() + others, events.end(),
                     [](const v1::Event& left, const v1::Event& right) {
                       return left.sequence() < right.sequence();
                     });
  Page page{.events = Tell(events)};
  absl::MutexLock lock(&mutex_);
  const auto middle = static_cast<std::ptrdiff_t>(page.events.size());
  for (const Numbered& one : refusals_) {
    if (one.event.kind() == kCallRefused && one.event.at_unix_seconds() >= since_unix_seconds) {
      page.events.push_back(one.event);
    }
  }
  std::inplace_merge(page.events.begin(), page.events.begin() + middle, page.events.end(),
                     [](const v1::FleetEvent& left, const v1::FleetEvent& right) {
                       return left.at_unix_seconds() < right.at_unix_seconds();
                     });
  page.next = next_number_;
  return page;
}

bool EventFeed::WaitFor(int64_t from, absl::Duration patience) const {
  absl::MutexLock lock(&mutex_);
  const auto come = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopped_ || next_number_ > from;
  };
  mutex_.AwaitWithTimeout(absl::Condition(&come), patience);
  return next_number_ > from;
}

bool EventFeed::stopped() const {
  absl::MutexLock lock(&mutex_);
  return stopped_;
}

void EventFeed::Push(v1::FleetEvent event) {
  absl::MutexLock lock(&mutex_);
  const bool is_refusal = IsRefusal(event.kind());
  std::deque<Numbered>& memory = is_refusal ? refusals_ : events_;
  memory.push_back({next_number_++, std::move(event)});
  if (memory.size() > (is_refusal ? kRefusalsMax : kEventsMax)) {
    memory.pop_front();
  }
}

}  // namespace wattle::runtime
