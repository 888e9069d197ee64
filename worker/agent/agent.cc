// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/agent.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "artifacts/blob_store.h"
#include "base/clock.h"
#include "base/host_port.h"
#include "base/status_macros.h"
#include "telemetry/export/device_metrics.h"
#include "telemetry/sensors/pressure.h"
#include "telemetry/sensors/registry.h"
#include "worker/agent/board_load.h"
#include "worker/agent/board_probe.h"
#include "worker/agent/found_line.h"
#include "worker/agent/model_trust.h"
#include "worker/agent/owner_programs.h"

namespace wattle::agent {
namespace {

// How long the link waits for the sensors' first answers, because the hello reports the battery's
// capacity.
constexpr absl::Duration kFirstReadings = absl::Seconds(2);
// The shortest interval of status updates. An update happens with samples and heartbeats and causes
// no wake-up.
constexpr absl::Duration kStatusPeriod = absl::Milliseconds(200);
// A mode that others set is known after two looks at most, so within 10 s.
constexpr absl::Duration kPowerModeLookPeriod = absl::Seconds(4);
constexpr absl::Duration kMemoryLookPeriod = absl::Seconds(2);  // while work runs
constexpr absl::Duration kLoadLookPeriod = absl::Seconds(4);    // while work runs
constexpr absl::Duration kProgramLookPeriod = absl::Seconds(5);
constexpr absl::Duration kMemoryLookPeriodIdle = absl::Seconds(10);

}  // namespace

absl::StatusOr<std::unique_ptr<Agent>> Agent::Create(const Config& config,
                                                     const std::string& version) {
  std::unique_ptr<Agent> agent(new Agent(config, version));
  WATTLE_RETURN_IF_ERROR(agent->Open());
  return agent;
}

Agent::Agent(const Config& config, std::string version)
    : config_(config),
      version_(std::move(version)),
      clock_(config.emulate.empty() ? DeviceClock()
                                    : DeviceClock(Clock::Real().Boottime(), config.time_scale)),
      device_(config.device),
      releases_(config.releases) {}

Agent::~Agent() {
  events_.Close();
  owner_socket_.reset();
  sampler_.reset();
  metrics_.reset();  // Its threads write to the log.
  // These objects post events, so they are destroyed before the queue.
  link_.reset();
  storage_probe_.reset();
  transfers_.reset();
  if (directory_link_ != nullptr) {
    directory_link_->Stop();
  }
  peer_server_.reset();  // asks the next one
  directory_link_.reset();
  credentials_.reset();
  runner_.reset();
  if (self_test_.joinable()) {
    self_test_.join();
  }
}

Instant Agent::Now() {
  const Monotonic wall = Clock::Real().Boottime();
  return clock_.At(wall, time_.At(wall, ReadSystemTime(config_.sensor_root)));
}

absl::Status Agent::SetPowerMode(const std::string& mode) {
  std::string names;
  for (const PowerModeRow& row : power_modes_) {
    if (row.name == mode) {
      WATTLE_RETURN_IF_ERROR(board_power_->Set(row));
      Note(absl::StrCat("power mode ", mode, " is set"));
      return absl::OkStatus();
    }
    absl::StrAppend(&names, names.empty() ? "" : ", ", row.name);
  }
  return absl::InvalidArgumentError(
      absl::StrCat(mode, ": this board has ", names.empty() ? "no modes" : names));
}

absl::Status Agent::RestorePowerMode() {
  if (!wanted_power_mode_.empty()) {
    return SetPowerMode(wanted_power_mode_);
  }
  WATTLE_RETURN_IF_ERROR(board_power_->Restore());
  Note("power mode: the board is as it was");
  return absl::OkStatus();
}

void Agent::KeepPowerMode() {
  wanted_power_mode_.clear();
  if (const absl::Status forgotten = board_power_->Forget(); !forgotten.ok()) {
    Note(absl::StrCat("power mode: ", std::string(forgotten.message())));
  }
}

void Agent::WatchPowerMode(const Instant& now) {
  if (power_mode_watch_ == nullptr || now.wall < next_power_mode_look_) {
    return;
  }
  next_power_mode_look_ = now.wall + kPowerModeLookPeriod;
  if (const auto mode = power_mode_watch_->Look(core_->power_mode())) {
    settings_.info.set_power_mode(*mode);
    core_->OnPowerModeSetByOthers(*mode, now);
  }
}

void Agent::WatchMemory(const Instant& now) {
  if (emulator_ != nullptr || now.wall < next_memory_look_) {
    return;
  }
  next_memory_look_ = now.wall + (core_->busy() ? kMemoryLookPeriod : kMemoryLookPeriodIdle);
  if (const auto stalled = telemetry::StalledTime(config_.sensor_root, "memory", "full")) {
    core_->OnMemoryStalled(*stalled, now);
  }
}

void Agent::WatchLoad(const Instant& now) {
  if (emulator_ == nullptr && core_->busy() && now.wall >= next_load_look_) {
    next_load_look_ = now.wall + kLoadLookPeriod;
    core_->OnBoardLoad(ReadBoardLoad(config_.sensor_root, getpid()), now);
  }
}

void Agent::WatchOwnerPrograms(const Instant& now) {
  if (config_.exclusive.empty() || now.wall < next_program_look_) {
    return;
  }
  next_program_look_ = now.wall + kProgramLookPeriod;
  core_->OnOwnerProgram(RunningProgram(config_.sensor_root, config_.exclusive), now);
}

std::string Agent::ReadyLine() const {
  return absl::StrCat(
      "worker ", settings_.info.name(), " id=", settings_.info.device_id(),
      " metrics=", metrics_ == nullptr ? config_.metrics : settings_.info.metrics_address());
}

void Agent::Post(Event event, size_t size_bytes) {
  events_.Post(std::move(event), size_bytes);
}

void Agent::RequestStop() {
  Post([this](const Instant&) { stop_begun_ = true; });
}

void Agent::StartLink() {
  LinkCallbacks callbacks;
  callbacks.on_connected = [this](const std::string& coordinator) {
    transfers_->UseCoordinator(coordinator);
    credentials_->UseCoordinator(coordinator);
    if (directory_link_ != nullptr) {
      directory_link_->OnConnected(coordinator);
    }
    Post([this, coordinator](const Instant& now) {
      connected_ = true;
      core_->OnConnected(now, coordinator);
    });
  };
  callbacks.on_message = [this](v1::CoordinatorMessage message) {
    Post([this, message = std::move(message)](const Instant& now) {
      if (message.has_welcome()) {
        Note(absl::StrCat("coordinator ", core_->coordinator(), ": connected"));
      }
      if (message.has_closing()) {
        Note(absl::StrCat("coordinator: closes the stream: ", message.closing().reason()));
      }
      if (push_ != nullptr) {
        if (message.has_welcome()) {
          push_->OnWelcome(message.welcome());
        } else if (message.has_metrics_acknowledgement()) {
          push_->OnAcknowledged(message.metrics_acknowledgement().number());
        }
      }
      core_->OnMessage(message, now);
    });
  };
  callbacks.on_disconnected = [this] {
    Post([this](const Instant& now) {
      connected_ = false;
      if (push_ != nullptr) {
        push_->OnDisconnected();
      }
      core_->OnDisconnected(now);
    });
  };
  callbacks.on_refused = [this] { credentials_->RenewNow(); };
  callbacks.on_note = [this](const std::string& line) { Note(line); };
  link_ = std::make_unique<CoordinatorLink>(coordinators_, credentials_->channel(),
                                            std::move(callbacks));
}

void Agent::StartSampling() {
  if (emulator_ != nullptr) {
    return;
  }
  auto sink = [this](size_t source, absl::StatusOr<std::vector<telemetry::Reading>> readings) {
    Post([this, source, readings = std::move(readings)](const Instant& now) {
      readings_->OnPoll(source, readings, now.device);
    });
  };
  sampler_ = std::make_unique<Sampler>(std::move(sources_), std::move(sink), Clock::Real());
}

bool Agent::SensorsKnown(const Instant& now) const {
  const auto& sources = readings_->sources();
  return now.wall >= sensors_known_by_ ||
         std::all_of(sources.begin(), sources.end(), [](const SourceStatus& source) {
           return source.answered_at.has_value() || source.errors > 0;
         });
}

void Agent::ShowUnusableSources() {
  for (const telemetry::Candidate& candidate : unusable_) {
    // Shown as a source without channels whose only read failed: the log gives the reason, and
    // wattle_sensor_up is 0.
    const size_t number = readings_->Add({.name = candidate.name}, {});
    readings_->OnPoll(number, candidate.problem, Now().device);
  }
}

void Agent::Run(const ServiceManager& manager) {
  Note(FoundLine(settings_.info, readings_->sources()));
  core_->Start(Now());
  ShowUnusableSources();
  StartSampling();
  next_status_ = Now().wall;
  next_push_ = Now().wall + kFirstReadings;
  sensors_known_by_ = Now().wall + kFirstReadings;
  next_alive_ = Now().wall + manager.alive_interval();
  while (!core_->done()) {
    Instant now = Now();
    if (now.wall >= next_alive_) {
      manager.Alive();
      next_alive_ = now.wall + manager.alive_interval();
    }
    if (link_ == nullptr && SensorsKnown(now)) {
      StartLink();
    }
    if (sampler_ != nullptr) {
      sampler_->SetBusy(core_->busy());
    }
    const std::deque<Event> events = events_.TakeAll(NextWake(now));
    now = Now();
    PassDeviceTime(now);
    for (const Event& event : events) {
      event(now);
      PassDeviceTime(now);
    }
    if (stop_begun_ && !core_->shutting_down()) {
      core_->Shutdown(now);
    }
    readings_->AdvanceTo(now.device);
    WatchPowerMode(now);
    WatchMemory(now);
    WatchLoad(now);
    WatchOwnerPrograms(now);
    core_->Step(now);
    PassDeviceTime(now);
    if (peer_server_ != nullptr) {
      peer_server_->Serve(core_->MayServePeers());
      directory_link_->Serve(core_->MayServePeers());
    }
    UpdateMetrics(now);
    PushMetrics(now);
  }
  if (push_ != nullptr) {
    push_->Save();
  }
  if (board_power_ != nullptr) {
    const absl::Status restored = board_power_->Restore();
    if (!restored.ok()) {
      Note(absl::StrCat("power mode: ", std::string(restored.message())));
    }
  }
  if (link_ != nullptr) {
    link_->Flush(absl::Seconds(1));
  }
}

void Agent::PassDeviceTime(Instant& now) {
  if (emulated_time_ != nullptr) {
    emulated_time_->Pass(now);
  }
}

Monotonic Agent::NextWake(const Instant& now) const {
  Monotonic wake = std::min(core_->NextStep(now), next_alive_);
  if (link_ == nullptr) {
    wake = std::min(wake, sensors_known_by_);
  }
  if (push_ != nullptr) {
    wake = std::min(wake, next_push_);
  }
  if (power_mode_watch_ != nullptr) {
    wake = std::min(wake, next_power_mode_look_);
  }
  if (emulator_ == nullptr) {
    wake = std::min(wake, next_memory_look_);
    if (core_->busy()) {
      wake = std::min(wake, next_load_look_);
    }
  }
  if (!config_.exclusive.empty()) {
    wake = std::min(wake, next_program_look_);
  }
  if (emulated_time_ != nullptr) {
    wake = std::min(wake, emulated_time_->NextPass(now));
  }
  return wake;
}

void Agent::NoteHungSources() {
  if (sampler_ == nullptr) {
    return;
  }
  std::vector<size_t> hung = sampler_->Hung();
  for (const size_t source : hung) {
    if (std::find(hung_.begin(), hung_.end(), source) == hung_.end()) {
      const telemetry::SourceInfo& info = readings_->sources()[source].info;
      Note(absl::StrCat("sensor ", info.name, ": a read takes longer than ",
                        absl::FormatDuration(info.deadline),
                        "; the worker no longer waits for it"));
    }
  }
  hung_ = std::move(hung);
}

void Agent::UpdateMetrics(const Instant& now) {
  if (now.wall < next_status_) {
    return;
  }
  next_status_ = now.wall + kStatusPeriod;
  core_->SetMemoryAvailable(emulator_ != nullptr ? settings_.info.memory_bytes()
                                                 : MemoryAvailableBytes(""));
  if (link_ != nullptr) {
    core_->OnLinkBytes(link_->TakeBytes(), now);
  }
  core_->SetDiskFree(artifacts::FreeSpaceOf(config_.state_dir).value_or(0));
  NoteHungSources();
  WatchClocks();
  if (metrics_ != nullptr) {
    metrics_->Update(Status(now));
  }
}

WorkerStatus Agent::Status(const Instant& now) const {
  return {.info = settings_.info,
          .origin = account_->origin(),
          .has_power_sensor = readings_->measures_power(),
          .heartbeat = core_->MakeHeartbeat(now),
          .ledger = account_->ledger(),
          .counters = core_->Counters(),
          .peers = PeersNow(),
          .connected = connected_,
          .now = now.device,
          .sources = readings_->sources(),
          .hung = hung_,
          .suspended = clock_watch_.suspended(),
          .clock_steps = clock_watch_.clock_steps()};
}

void Agent::WatchClocks() {
  timespec monotonic = {};
  clock_gettime(CLOCK_MONOTONIC, &monotonic);
  const std::string news = clock_watch_.Observe({.boottime = Clock::Real().Boottime().since_boot(),
                                                 .monotonic = absl::DurationFromTimespec(monotonic),
                                                 .civil = Clock::Real().Now()});
  if (!news.empty()) {
    Note(news);
  }
}

void Agent::PushMetrics(const Instant& now) {
  if (push_ == nullptr || now.wall < next_push_) {
    return;
  }
  const absl::Duration interval = absl::Seconds(config_.metrics_interval_seconds);
  // A page that was taken late is not followed by the next one at once.
  next_push_ = std::max(next_push_ + interval, now.wall + 0.5 * interval);
  telemetry::MetricsPage page;
  AddStatus(Status(now), page);
  const telemetry::MetricLabels device = telemetry::DeviceLabels(settings_.info);
  page.Gauge("wattle_worker_pushed_spool_bytes", "Samples on the disk that wait for a link.",
             device, static_cast<double>(push_->spool().size_bytes()));
  page.Counter("wattle_worker_pushed_dropped_samples_total",
               "Samples that were thinned out, or for which there was no room.", device,
               static_cast<double>(push_->spool().dropped_samples()));
  push_->Take(page, device, now);
}

absl::Status Agent::StartRunner(const v1::RunnerTask& task) {
  const int64_t number = ++runner_number_;
  auto current = [this, number](Event event, size_t size_bytes = 0) {
    Post(
        [this, number, event = std::move(event)](const Instant& now) {
          if (number == runner_number_) {
            event(now);
          }
        },
        size_bytes);
  };
  child::RunnerCallbacks callbacks;
  callbacks.on_frame = [this, current](v1::RunnerFrame frame) {
    const size_t size_bytes = frame.ByteSizeLong();
    current([this, frame = std::move(frame)](const Instant& now) { core_->OnFrame(frame, now); },
            size_bytes);
  };
  callbacks.on_line = [this, current](const std::string& line) {
    current([this, line](const Instant& now) { core_->OnRunnerLine(line, now); });
  };
  callbacks.on_exit = [this, current](const child::RunnerExit& exit) {
    current([this, exit](const Instant& now) {
      if (runner_group_ != nullptr) {
        runner_group_->Remove();
      }
      core_->OnRunnerExit(exit, now);
    });
  };
  runner_.reset();
  WATTLE_ASSIGN_OR_RETURN(sandbox::Sandbox sandbox, PrepareBox(task));
  const UniqueDescriptor group = MakeRunnerGroup();
  WATTLE_ASSIGN_OR_RETURN(runner_, child::RunnerProcess::Start({.program = config_.runner,
                                                                .threads = settings_.threads,
                                                                .nice = 0,
                                                                .sandbox = &sandbox,
                                                                .kernels = CompiledKernels(),
                                                                .group = group.get()},
                                                               task, std::move(callbacks)));
  return absl::OkStatus();
}

void Agent::SendToRunner(const v1::RunnerCommand& command) {
  if (runner_ != nullptr) {
    (void)runner_->Send(command);  // if the runner no longer reads, its exit reports it
  }
}

void Agent::KillRunner() {
  if (runner_ != nullptr) {
    runner_->Kill();
  }
}

void Agent::StartFetch(const v1::Assignment& assignment) {
  if (const absl::Status trusted =
          signers_.has_value() ? CheckModels(*signers_, assignment) : absl::OkStatus();
      !trusted.ok()) {
    Post([this, trusted](const Instant& now) { core_->OnFetched({.status = trusted}, now); });
    return;
  }
  transfers_->Fetch(assignment, core_->NeededArtifacts(),
                    CheckpointDirectory(state_->WorkDirectory(assignment.attempt_id()),
                                        assignment.checkpoint_step()));
}
void Agent::StartUpload(const std::string& directory, const v1::ArtifactInfo& info) {
  transfers_->Upload(directory, info);
}
void Agent::CancelTransfer() {
  transfers_->Cancel();
}

void Agent::MakeRoom(int64_t size_bytes) {
  transfers_->MakeRoom(size_bytes, core_->NeededArtifacts());
}

void Agent::ProbeStorage() {
  storage_probe_->Begin();
}

void Agent::Send(const v1::WorkerMessage& message) {
  if (link_ != nullptr) {
    link_->Send(message);
  }
}

void Agent::Reconnect() {
  if (link_ != nullptr) {
    link_->Reconnect();
  }
}

void Agent::Follow(const std::string& coordinator) {
  if (config_.plaintext_loopback) {
    const absl::StatusOr<HostPort> address = ParseHostPort("moved_to", coordinator);
    if (!address.ok() || !IsLoopback(*address)) {
      Note(absl::StrCat("--plaintext-loopback: ", coordinator,
                        " is another machine, the worker stays here"));
      return;
    }
  }
  link_->Follow(coordinator);
}

void Agent::TryNextCoordinator() {
  link_->TryNext();
}

void Agent::Note(const std::string& line) {
  log_.Write(line);
}

}  // namespace wattle::agent
