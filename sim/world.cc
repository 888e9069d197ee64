// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Users, faults, links between the parts, and the checks at the end.
#include "sim/world.h"

#include <cmath>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "sim/coordinator.h"
#include "sim/event_loop.h"
#include "sim/invariants.h"
#include "sim/network.h"
#include "sim/random.h"
#include "sim/worker.h"

namespace wattle::sim {
namespace {

constexpr double kUserRetrySeconds = 5.0;
constexpr double kRestSeconds = 60.0;

class World {
 public:
  explicit World(const Options& options)
      : options_(options),
        random_(options.seed),
        network_(loop_, random_, options_, counts_,
                 [this](int worker, int64_t stream) { OnBroken(worker, stream); }),
        coordinator_(loop_, random_, options_, {counts_, invariants_},
                     [this](const DeviceId& device, const v1::CoordinatorMessage& message) {
                       SendDown(device, message);
                     }) {}

  Outcome Run() {
    for (int i = 0; i < options_.workers; ++i) {
      workers_.push_back(std::make_unique<Worker>(i, loop_, random_, options_));
      current_stream_.push_back(0);
    }
    for (int i = 0; i < options_.workers; ++i) {
      StartWorker(i);
    }
    PushArtifacts();
    for (int i = 0; i < options_.jobs; ++i) {
      const double at = random_.Between(1.0, options_.fault_seconds * 0.8);
      loop_.After(at, [this, i] { SubmitUntilAnswered(i); });
    }
    ScheduleFaults();
    const auto broken = [this] { return !invariants_.breach().empty(); };
    loop_.RunUntil(options_.fault_seconds, broken);
    StopFaults();
    while (loop_.now_seconds() < options_.end_seconds && !broken() && !IsAtRest()) {
      loop_.RunUntil(loop_.now_seconds() + kRestSeconds, broken);
    }
    loop_.RunUntil(loop_.now_seconds() + kRestSeconds, broken);
    if (!broken()) {
      CheckAtRest();
    }
    Outcome outcome;
    outcome.breach = invariants_.breach();
    outcome.counts = counts_;
    outcome.steps = loop_.steps();
    outcome.virtual_seconds = loop_.now_seconds();
    for (const char byte : core::SnapshotBytes(coordinator_.durable())) {
      outcome.journal_fingerprint =
          (outcome.journal_fingerprint ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
    }
    return outcome;
  }

 private:
  static size_t Index(int worker) { return static_cast<size_t>(worker); }

  // --- links ---

  void StartWorker(int number) {
    Worker& worker = *workers_[Index(number)];
    worker.Start(
        {.dial = [this, number] { Dial(number); },
         .send = [this, number](const v1::WorkerMessage& message) { SendUp(number, message); },
         .upload = [this, number](
                       const v1::ArtifactInfo& info,
                       const std::function<void()>& done) { Upload(number, info, done); }});
  }

  void Dial(int number) {
    if (!coordinator_.alive()) {
      workers_[Index(number)]->Disconnected();
      return;
    }
    const int64_t stream = next_stream_++;
    workers_[Index(number)]->Connected(stream);
  }

  void SendUp(int number, const v1::WorkerMessage& message) {
    Worker& worker = *workers_[Index(number)];
    const int64_t stream = worker.stream();
    const DeviceId device(worker.info().device_id());
    const int64_t incarnation = worker.incarnation();
    const auto deliver = [this, number, stream, device, incarnation, message] {
      if (coordinator_.alive()) {
        Deliver(number, stream, device, incarnation, message);
      } else {
        network_.Break(number, stream);
      }
    };
    network_.Send(number, stream, Direction::kUp, deliver);
    if (message.has_report() && faults_ && random_.Chance(options_.duplication)) {
      ++counts_.duplicates;
      loop_.After(random_.Between(0.1, 30.0), [this, device, incarnation, message] {
        if (coordinator_.alive()) {
          coordinator_.Post(core::WorkerReport{device, incarnation, message.report()}, {});
        }
      });
    }
  }

  void Deliver(int number, int64_t stream, const DeviceId& device, int64_t incarnation,
               const v1::WorkerMessage& message) {
    coordinator_.Seen(device, message.has_heartbeat() ? &message.heartbeat() : nullptr);
    if (message.has_hello()) {
      current_stream_[Index(number)] = stream;
      coordinator_.SetConnected(device, true);
      coordinator_.Post(core::WorkerHello{message.hello()}, {});
    } else if (message.has_report()) {
      coordinator_.Post(core::WorkerReport{device, incarnation, message.report()}, {});
    }
  }

  void SendDown(const DeviceId& device, const v1::CoordinatorMessage& message) {
    for (int number = 0; number < options_.workers; ++number) {
      if (workers_[Index(number)]->info().device_id() != device.value()) {
        continue;
      }
      const int64_t stream = current_stream_[Index(number)];
      if (stream == 0) {
        return;
      }
      network_.Send(number, stream, Direction::kDown, [this, number, stream, message] {
        Worker& worker = *workers_[Index(number)];
        if (!worker.alive() || worker.stream() != stream) {
          return;  // Of a stream that the worker has given up.
        }
        worker.Receive(message);
        if (message.has_desired()) {
          CheckHolds(worker, message.desired());
        }
        if (message.has_acknowledgement()) {
          invariants_.OnAcknowledged(worker.info().device_id(), worker.incarnation(),
                                     worker.acknowledged());
        }
      });
    }
  }

  void CheckHolds(const Worker& worker, const v1::DesiredSet& desired) {
    std::set<std::string> wanted;
    for (const v1::Assignment& assignment : desired.assignments()) {
      wanted.insert(assignment.attempt_id());
    }
    for (const std::string& id : worker.Held()) {
      if (!wanted.contains(id)) {
        invariants_.Break(absl::StrCat(worker.info().device_id(), " still holds ", id,
                                       ", which it was told to stop"));
      }
    }
  }

  // Each end finds out by itself that the stream is dead.
  void OnBroken(int number, int64_t stream) {
    loop_.After(random_.Between(0.1, 8.0), [this, number, stream] {
      if (workers_[Index(number)]->alive() && workers_[Index(number)]->stream() == stream) {
        workers_[Index(number)]->Disconnected();
      }
    });
    loop_.After(random_.Between(0.1, 12.0), [this, number, stream] {
      if (coordinator_.alive() && current_stream_[Index(number)] == stream) {
        current_stream_[Index(number)] = 0;
        coordinator_.SetConnected(DeviceId(workers_[Index(number)]->info().device_id()), false);
      }
    });
  }

  void Upload(int number, const v1::ArtifactInfo& info, const std::function<void()>& done) {
    const int64_t connection = next_stream_++;  // Artifacts move on their own connection.
    network_.Send(number, connection, Direction::kUp, [this, number, connection, info, done] {
      coordinator_.Post(core::CommitArtifact{info},
                        [this, number, connection, done](const core::Decision&) {
                          network_.Send(number, connection, Direction::kDown, done);
                        });
    });
  }

  // --- users ---

  void PushArtifacts() {
    v1::ArtifactInfo model;
    model.set_artifact_id("model-artifact");
    model.set_kind(v1::ARTIFACT_KIND_MODEL);
    model.set_name("tiny");
    model.set_size_bytes(4 << 20);
    model.set_parameter_count(150'000);
    v1::ModelShape& shape = *model.mutable_model_shape();
    shape.set_architecture("gpt2");
    shape.set_layers(2);
    shape.set_width(64);
    shape.set_heads(2);
    shape.set_vocabulary_size(512);
    shape.set_context_length(128);
    v1::ArtifactInfo data;
    data.set_artifact_id("data-artifact");
    data.set_kind(v1::ARTIFACT_KIND_DATASET);
    data.set_name("questions");
    data.set_size_bytes(1 << 20);
    data.mutable_dataset()->set_format("squad");
    data.mutable_dataset()->set_examples(1000);
    data.mutable_dataset()->set_mean_byte_length(400);
    for (int i = 0; i <= 32; ++i) {
      data.mutable_dataset()->add_byte_length_quantiles(200 + 12.5 * i);
    }
    for (const v1::ArtifactInfo& info : {model, data}) {
      coordinator_.Post(core::CommitArtifact{info}, {});
    }
  }

  // A user with a spec repeats the same submit, under the same key, until it is answered.
  void SubmitUntilAnswered(int number) {
    if (answered_.contains(number)) {
      return;
    }
    core::SubmitJob submit;
    submit.idempotency_key = absl::StrCat("key-", number);
    if (!specs_.contains(number)) {
      specs_[number] = MakeSpec();
    }
    submit.spec = specs_[number];
    coordinator_.Post(submit, [this, number](const core::Decision& decision) {
      if (!random_.Chance(0.2)) {  // Some answers are lost on the way.
        answered_.insert(number);
      }
      if (!decision.status.ok()) {
        // Its input has failed in the meantime: the user is told, there is no job.
        answered_.insert(number);
        refused_.insert(number);
      } else {
        ids_[number] = decision.id;
      }
    });
    loop_.After(kUserRetrySeconds, [this, number] { SubmitUntilAnswered(number); });
  }

  v1::JobSpec MakeSpec() {
    constexpr v1::Objective kObjectives[] = {v1::OBJECTIVE_ENERGY, v1::OBJECTIVE_TIME,
                                             v1::OBJECTIVE_EDP};
    v1::JobSpec spec;
    spec.set_objective(kObjectives[random_.Below(3)]);
    spec.set_lease_seconds(random_.Between(15.0, 90.0));
    spec.set_retries(random_.Below(4));
    spec.set_priority(random_.Below(3));
    v1::FinetuneSpec& finetune = *spec.mutable_finetune();
    finetune.set_model("tiny");
    if (!ids_.empty() && random_.Chance(0.3)) {
      auto chosen = ids_.begin();
      std::advance(chosen, random_.Below(static_cast<int>(ids_.size())));
      finetune.set_model(absl::StrCat("job:", chosen->second, "/output"));
    }
    finetune.set_data("questions");
    finetune.set_batch_size(4);
    finetune.set_sequence_length(128);
    finetune.set_steps(50 + random_.Below(600));
    return spec;
  }

  // --- faults ---

  void Repeat(double mean_seconds, const std::function<void()>& fault) {
    if (mean_seconds <= 0.0) {
      return;
    }
    loop_.After(-mean_seconds * std::log(1.0 - random_.Fraction()), [this, mean_seconds, fault] {
      if (faults_) {
        fault();
        Repeat(mean_seconds, fault);
      }
    });
  }

  void ScheduleFaults() {
    Repeat(options_.coordinator_crash_seconds, [this] { CrashCoordinator(); });
    Repeat(options_.worker_crash_seconds, [this] { CrashWorker(false); });
    Repeat(options_.disk_loss_seconds, [this] { CrashWorker(true); });
    Repeat(options_.partition_seconds, [this] {
      const int number = random_.Below(options_.workers);
      network_.SetPartitioned(number, true);
      loop_.After(random_.Between(1.0, 240.0),
                  [this, number] { network_.SetPartitioned(number, false); });
    });
    Repeat(options_.clock_jump_seconds,
           [this] { coordinator_.JumpClock(random_.Between(-120.0, 120.0)); });
    Repeat(options_.drain_seconds, [this] {
      const DeviceId device(workers_[Index(random_.Below(options_.workers))]->info().device_id());
      coordinator_.Post(core::DrainDevice{device, "maintenance"}, {});
      loop_.After(random_.Between(1.0, 200.0), [this, device] { ResumeUntilAnswered(device); });
    });
    Repeat(options_.cancel_seconds, [this] {
      if (!ids_.empty()) {
        auto chosen = ids_.begin();
        std::advance(chosen, random_.Below(static_cast<int>(ids_.size())));
        coordinator_.Post(core::CancelJob{JobId(chosen->second), "changed my mind"}, {});
      }
    });
  }

  void ResumeUntilAnswered(const DeviceId& device) {
    auto answered = std::make_shared<bool>(false);
    coordinator_.Post(core::ResumeDevice{device},
                      [answered](const core::Decision&) { *answered = true; });
    loop_.After(kUserRetrySeconds, [this, device, answered] {
      if (!*answered) {
        ResumeUntilAnswered(device);
      }
    });
  }

  void CrashCoordinator() {
    if (!coordinator_.alive()) {
      return;
    }
    coordinator_.Crash();
    for (int number = 0; number < options_.workers; ++number) {
      if (current_stream_[Index(number)] != 0) {
        network_.Break(number, std::exchange(current_stream_[Index(number)], 0));
      }
    }
    loop_.After(random_.Between(0.5, 40.0), [this] { coordinator_.Restart(); });
  }

  void CrashWorker(bool disk_lost) {
    const int number = random_.Below(options_.workers);
    Worker& worker = *workers_[Index(number)];
    if (!worker.alive()) {
      return;
    }
    ++counts_.worker_crashes;
    const int64_t stream = worker.stream();
    worker.Crash();
    if (disk_lost) {
      ++counts_.lost_disks;
      worker.LoseDisk();
    }
    if (stream != 0) {
      network_.Break(number, stream);
    }
    loop_.After(random_.Between(0.5, 90.0), [&worker] { worker.Restart(); });
  }

  void StopFaults() {
    faults_ = false;
    network_.StopFaults();
    for (const std::unique_ptr<Worker>& worker : workers_) {
      worker->StopFaults();
    }
  }

  // --- the end ---

  [[nodiscard]] bool IsAtRest() const {
    bool rest = coordinator_.alive() && coordinator_.durable().open_jobs.empty() &&
                answered_.size() == static_cast<size_t>(options_.jobs);
    for (const std::unique_ptr<Worker>& worker : workers_) {
      rest = rest && worker->spool().empty() && worker->Held().empty();
    }
    return rest;
  }

  void CheckAtRest() {
    const core::State& state = coordinator_.durable();
    if (state.jobs.size() != static_cast<size_t>(options_.jobs) - refused_.size()) {
      invariants_.Break(absl::StrCat(state.jobs.size(), " jobs, ", options_.jobs,
                                     " were submitted and ", refused_.size(), " refused"));
    }
    for (const auto& [number, record] : state.jobs) {
      const v1::Job& job = record.job();
      if (!core::IsTerminal(job.state())) {
        invariants_.Break(absl::StrCat(job.job_id(), " is lost: ", v1::JobState_Name(job.state()),
                                       ", ", job.reason()));
      }
      if (job.state() == v1::JOB_STATE_SUCCEEDED &&
          !state.artifacts.contains(ArtifactId(job.output_artifact_id()))) {
        invariants_.Break(absl::StrCat(job.job_id(), ": its output is no artifact"));
      }
    }
    for (const std::unique_ptr<Worker>& worker : workers_) {
      CheckWorkerAtRest(state, *worker);
    }
  }

  void CheckWorkerAtRest(const core::State& state, const Worker& worker) {
    const std::string& id = worker.info().device_id();
    if (!worker.spool().empty() || worker.acknowledged() != worker.reports_made()) {
      invariants_.Break(absl::StrCat(id, " still has ", worker.spool().size(),
                                     " reports that were never acknowledged"));
    }
    if (!worker.Held().empty()) {
      invariants_.Break(
          absl::StrCat(id, " still holds ", *worker.Held().begin(), ", which nobody wants"));
    }
    if (worker.lost_disk()) {
      return;  // What it had spent and not reported is gone, on both sides of the sums.
    }
    double receipts_joules = 0.0;
    for (const auto& [number, record] : state.jobs) {
      for (const v1::Attempt& attempt : record.job().attempts()) {
        if (attempt.device_id() == id) {
          receipts_joules += attempt.receipt().total().gross_energy_joules();
        }
      }
    }
    const v1::DeviceRecord* record = core::FindDevice(state, DeviceId(id));
    const double ledger_joules = record == nullptr ? 0.0 : record->ledger().attempt_energy_joules();
    const double tolerance = 1e-9 * (1.0 + worker.attempt_energy_joules());
    if (std::abs(ledger_joules - worker.attempt_energy_joules()) > tolerance) {
      invariants_.Break(absl::StrCat(id, ": the ledger has ", ledger_joules, " J, it spent ",
                                     worker.attempt_energy_joules()));
    }
    if (std::abs(receipts_joules - ledger_joules) > tolerance) {
      invariants_.Break(absl::StrCat(id, ": the ledger has ", ledger_joules,
                                     " J, its attempts' receipts ", receipts_joules));
    }
  }

  Options options_;
  Random random_;
  EventLoop loop_;
  Counts counts_;
  Invariants invariants_;
  Network network_;
  Coordinator coordinator_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<int64_t> current_stream_;  // as the coordinator sees it; 0: none
  int64_t next_stream_ = 1;
  bool faults_ = true;
  std::map<int, v1::JobSpec> specs_;  // by the user's number
  std::map<int, std::string> ids_;    // of answered submits
  std::set<int> answered_;
  std::set<int> refused_;
};

}  // namespace

Outcome RunWorld(const Options& options) {
  return World(options).Run();
}

}  // namespace wattle::sim
