// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle-load-state: the parts of ./dev bench load that need the coordinator's own libraries.
//   history FILE COUNT         makes a journal of COUNT jobs that ended and were archived
//   plan DEVICES JOBS ROUNDS   times plans of a queue over a busy fleet, in milliseconds
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/state.h"
#include "coordinator/store/journal.h"

namespace {

namespace v1 = wattle::v1;
namespace core = wattle::core;

constexpr char kModelId[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

v1::ArtifactInfo Model() {
  v1::ArtifactInfo info;
  info.set_artifact_id(kModelId);
  info.set_kind(v1::ARTIFACT_KIND_MODEL);
  info.set_name("tiny");
  info.set_size_bytes(1'000'000);
  v1::ModelShape& shape = *info.mutable_model_shape();
  shape.set_architecture("gpt2");
  shape.set_layers(6);
  shape.set_width(768);
  shape.set_heads(12);
  shape.set_vocabulary_size(50257);
  shape.set_context_length(1024);
  info.set_parameter_count(82'000'000);
  info.set_quantization("none");
  return info;
}

v1::JobSpec Job(int64_t number) {
  v1::JobSpec spec;
  spec.set_name(absl::StrCat("load ", number));
  spec.set_owner(number % 3 == 0 ? "ann" : "bob");
  spec.set_objective(v1::OBJECTIVE_TIME);  // by energy, only the cheapest devices would get jobs
  spec.mutable_generate()->set_model("tiny");
  spec.mutable_generate()->add_prompts("How long does the battery last?");
  spec.mutable_generate()->set_max_new_tokens(static_cast<int32_t>(16 + 16 * (number % 4)));
  return spec;
}

// Writes events in order, some thousand per commit, with snapshots like a coordinator's.
class Writer {
 public:
  Writer(wattle::store::Journal& journal, absl::Time begin)
      : journal_(journal), now_{begin, wattle::Monotonic(absl::Hours(1))} {
    seen_.started = now_;
    seen_.listening_since = now_.monotonic;
  }

  absl::Status Do(const core::Command& command) {
    const core::Decision decision = core::Decide(state_, command, seen_, now_);
    WATTLE_RETURN_IF_ERROR(decision.status);
    for (const v1::Event& event : decision.events) {
      WATTLE_RETURN_IF_ERROR(Add(event));
    }
    return absl::OkStatus();
  }
  v1::Event Next() const {
    v1::Event event;
    event.set_sequence(state_.last_sequence.value() + 1);
    event.set_at_unix_seconds(absl::ToDoubleSeconds(now_.wall - absl::UnixEpoch()));
    return event;
  }
  absl::Status Add(const v1::Event& event) {
    core::Apply(state_, event, now_.monotonic);
    events_.push_back(event);
    return events_.size() < 5000 ? absl::OkStatus() : Flush();
  }
  absl::Status Flush() {
    WATTLE_RETURN_IF_ERROR(journal_.Append(events_));
    since_snapshot_ += events_.size();
    events_.clear();
    return since_snapshot_ < 200'000 ? absl::OkStatus() : Snapshot();
  }
  absl::Status Snapshot() {
    since_snapshot_ = 0;
    wattle::store::SnapshotToWrite snapshot;
    snapshot.sequence = state_.last_sequence.value();
    snapshot.rows = [this](const wattle::store::TakeRow& take) {
      return core::GiveSnapshotRows(state_, take);
    };
    snapshot.check = [](const wattle::store::GiveRows& stored) {
      core::SnapshotReader reader;
      return stored([&reader](absl::string_view row) { return reader.Take(row); });
    };
    WATTLE_RETURN_IF_ERROR(journal_.WriteSnapshot(snapshot));
    return journal_.Checkpoint();
  }
  void Wait(absl::Duration time) {
    now_.wall += time;
    now_.monotonic = now_.monotonic + time;
  }
  const core::State& state() const { return state_; }

 private:
  wattle::store::Journal& journal_;
  core::Instant now_;
  core::Observations seen_;
  core::State state_;
  std::vector<v1::Event> events_;
  size_t since_snapshot_ = 0;
};

// Adds a successful attempt with its receipt. Placed without a plan, because planning a million
// jobs is not the purpose.
absl::Status Finish(Writer& writer, const std::string& job_id) {
  v1::Event placed = writer.Next();
  v1::AttemptPlaced& attempt = *placed.mutable_attempt_placed();
  attempt.set_attempt_id(job_id + ".1");
  attempt.set_job_id(job_id);
  attempt.set_device_id("load-00001-0000-0000");
  attempt.set_fencing_token(writer.state().next_fencing_token.value());
  attempt.set_lease_seconds(600);
  attempt.mutable_placement()->set_device_id(attempt.device_id());
  attempt.mutable_placement()->set_reason("load-00001: 4.2 Wh, the least");
  WATTLE_RETURN_IF_ERROR(writer.Add(placed));
  v1::Event finished = writer.Next();
  v1::AttemptStateChanged& changed = *finished.mutable_attempt_state_changed();
  changed.set_attempt_id(attempt.attempt_id());
  changed.set_state(v1::ATTEMPT_STATE_FINISHED);
  changed.set_reason("finished");
  v1::Receipt& receipt = *changed.mutable_receipt();
  receipt.set_attempt_id(attempt.attempt_id());
  receipt.set_device_id(attempt.device_id());
  receipt.mutable_run()->set_seconds(30);
  receipt.mutable_total()->set_gross_energy_joules(150);
  WATTLE_RETURN_IF_ERROR(writer.Add(finished));
  v1::Event ended = writer.Next();
  ended.mutable_job_state_changed()->set_job_id(job_id);
  ended.mutable_job_state_changed()->set_state(v1::JOB_STATE_SUCCEEDED);
  ended.mutable_job_state_changed()->set_reason("finished on load-00001");
  return writer.Add(ended);
}

// The state that a coordinator with default settings leaves: the latest 10,000 ended jobs are still
// in the state, and nearly 20,000 events follow the latest snapshot.
absl::Status MakeHistory(const std::string& path, int64_t count) {
  WATTLE_ASSIGN_OR_RETURN(const auto journal, wattle::store::Journal::Open(path));
  // A job a second, the last one just now.
  Writer writer(*journal, absl::Now() - absl::Seconds(count));
  WATTLE_RETURN_IF_ERROR(writer.Do(core::CommitArtifact{Model()}));
  constexpr int64_t kAfterSnapshot = 19'000 / 5;  // jobs of five events each
  for (int64_t number = 1; number <= count; ++number) {
    writer.Wait(absl::Seconds(1));
    WATTLE_RETURN_IF_ERROR(
        writer.Do(core::SubmitJob{Job(number), absl::StrCat("key-", number), {}}));
    WATTLE_RETURN_IF_ERROR(Finish(writer, absl::StrCat("j", number)));
    if (number % 100 == 0) {
      WATTLE_RETURN_IF_ERROR(writer.Do(core::ArchiveEnded{}));
    }
    if (number == count - kAfterSnapshot) {
      WATTLE_RETURN_IF_ERROR(writer.Flush());
      WATTLE_RETURN_IF_ERROR(writer.Snapshot());
    }
  }
  WATTLE_RETURN_IF_ERROR(writer.Flush());
  std::printf("jobs=%lld events=%lld live=%zu\n", static_cast<long long>(count),
              static_cast<long long>(writer.state().last_sequence.value()),
              writer.state().jobs.size());
  return absl::OkStatus();
}

void Apply(core::State& state, const core::Command& command, const core::Observations& seen,
           const core::Instant& now) {
  const core::Decision decision = core::Decide(state, command, seen, now);
  for (const v1::Event& event : decision.events) {
    core::Apply(state, event, now.monotonic);
  }
}

int TimePlans(int devices, int jobs, int rounds) {
  core::State state;
  core::Observations seen;
  core::Instant now{absl::Now(), wattle::Monotonic(absl::Hours(1))};
  seen.started = now;
  Apply(state, core::CommitArtifact{Model()}, seen, now);
  const char* const classes[] = {"raspberry-pi-5", "jetson-orin-nano", "jetson-xavier-nx"};
  for (int i = 0; i < devices; ++i) {
    v1::Hello hello;
    hello.set_incarnation(1);
    hello.mutable_device()->set_device_id(absl::StrFormat("load-%05d-0000-0000", i));
    hello.mutable_device()->set_name(absl::StrFormat("load-%05d", i));
    hello.mutable_device()->set_device_class(classes[i % 3]);
    hello.mutable_device()->set_time_scale(1.0);
    hello.mutable_device()->set_memory_bytes(int64_t{8} << 30);
    hello.mutable_device()->set_cores(4);
    hello.mutable_device()->set_cache_quota_bytes(int64_t{16} << 30);
    hello.mutable_device()->set_engine_version("wattle-load/1");
    Apply(state, core::WorkerHello{hello}, seen, now);
    core::DeviceObservation& observation =
        seen.devices[wattle::DeviceId(hello.device().device_id())];
    observation.connected = true;
    observation.last_seen = now;
  }
  // The fleet is filled first, then the queue forms behind it.
  const auto submit = [&](int count) {
    for (int i = 0; i < count; ++i) {
      const int64_t number = state.next_job_number;
      Apply(state, core::SubmitJob{Job(number), absl::StrCat("key-", number), {}}, seen, now);
    }
  };
  submit(4 * devices);  // fast devices may be worth a wait
  Apply(state, core::ComputePlan(core::MakeSnapshot(state, seen, {}, now)), seen, now);
  for (int64_t number = 1; number <= 4 * devices; ++number) {
    if (state.jobs.at(number).job().state() == v1::JOB_STATE_QUEUED) {
      Apply(state, core::CancelJob{wattle::JobId(absl::StrCat("j", number)), ""}, seen, now);
    }
  }
  submit(jobs);
  std::vector<double> milliseconds;
  for (int round = 0; round < rounds; ++round) {
    // The plan sees the fleet two seconds after the previous one, each device just reported.
    now = {now.wall + absl::Seconds(2), now.monotonic + absl::Seconds(2)};
    for (auto& [device, observation] : seen.devices) {
      observation.last_seen = now;
    }
    const absl::Time start = absl::Now();
    const core::PlanComputed plan = core::ComputePlan(core::MakeSnapshot(state, seen, {}, now));
    milliseconds.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
    if (plan.jobs.size() < static_cast<size_t>(jobs)) {
      std::fprintf(stderr, "the plan has %zu of %d jobs\n", plan.jobs.size(), jobs);
      return 1;
    }
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  const size_t p99 = (milliseconds.size() * 99 + 99) / 100 - 1;
  std::printf("count=%zu p50_ms=%.3f p99_ms=%.3f busy=%zu\n", milliseconds.size(),
              milliseconds[milliseconds.size() / 2], milliseconds[p99],
              state.wanted_attempts.size());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() == 3 && arguments[0] == "history") {
    const absl::Status made = MakeHistory(arguments[1], std::atoll(arguments[2].c_str()));
    if (!made.ok()) {
      std::fprintf(stderr, "%s\n", std::string(made.message()).c_str());
    }
    return made.ok() ? 0 : 1;
  }
  if (arguments.size() == 4 && arguments[0] == "plan") {
    return TimePlans(std::atoi(arguments[1].c_str()), std::atoi(arguments[2].c_str()),
                     std::atoi(arguments[3].c_str()));
  }
  std::fprintf(stderr, "usage: wattle-load-state history FILE COUNT | plan DEVICES JOBS ROUNDS\n");
  return 2;
}
