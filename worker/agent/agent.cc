// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/agent.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "artifacts/blob_store.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "telemetry/export/device_metrics.h"
#include "telemetry/sensors/registry.h"
#include "worker/agent/board_probe.h"
#include "worker/agent/emulation/emulated_pace.h"
#include "worker/agent/found_line.h"

namespace wattle::agent {
namespace {

constexpr int64_t kDefaultDiskQuota = int64_t{20} << 30;
// Limit of waiting events. Beyond it a thread that posts waits too (a runner's pipe then fills up).
constexpr size_t kEventsMax = 10'000;
// Emulated sensors are asked in batches, so that a small time scale does not cost one wake-up per
// sample.
constexpr absl::Duration kSampleWakeMin = absl::Milliseconds(100);
// Interval in wall time at which an idle emulated board is asked.
constexpr absl::Duration kIdleSamplePeriod = absl::Milliseconds(250);
// How long the link waits for the sensors' first answers, because the hello reports the battery's
// capacity.
constexpr absl::Duration kFirstReadings = absl::Seconds(2);
// How long a runner may take for an answer; it loads libtorch first.
constexpr absl::Duration kRunnerAnswers = absl::Seconds(60);
// The shortest interval of status updates. An update happens with samples and heartbeats and causes
// no wake-up.
constexpr absl::Duration kStatusPeriod = absl::Milliseconds(200);

std::string HostName() {
  std::array<char, 256> name = {};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "worker";
}

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
      clock_(Clock::Real().Boottime(), config.time_scale) {}

Agent::~Agent() {
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
    events_.clear();
  }
  sampler_.reset();
  // These objects post events, so they are destroyed before the queue.
  link_.reset();
  transfers_.reset();
  runner_.reset();
}

Instant Agent::Now() const {
  return clock_.At(Clock::Real().Boottime(), Clock::Real().Now());
}

absl::Status Agent::OpenEmulation(const v1::WorkerRecord& kept) {
  WATTLE_ASSIGN_OR_RETURN(BoardFile file, ReadBoardFile(config_.emulated_dir, config_.emulate));
  telemetry::EmulatedPhysics& physics = file.physics;
  if (config_.battery_wh) {
    physics.battery_capacity =
        *config_.battery_wh > 0 ? std::optional(FromWattHours(*config_.battery_wh)) : std::nullopt;
  }
  if (config_.state_of_charge) {
    if (!physics.battery_capacity) {
      return absl::InvalidArgumentError(
          "--state-of-charge: this board has no battery; give it one with --battery-wh");
    }
    physics.state_of_charge = Fraction(*config_.state_of_charge);
  }
  settings_.initial_charge = physics.state_of_charge;
  // A restarted worker finds its battery as it was, not full again.
  if (kept.initial_state_of_charge_ratio() == physics.state_of_charge.value() &&
      kept.state_of_charge_ratio() > 0) {
    physics.state_of_charge = Fraction(kept.state_of_charge_ratio());
  }
  v1::DeviceInfo& info = settings_.info;
  info.set_name(file.device_class);
  info.set_device_class(file.device_class);
  info.set_board(file.board);
  info.set_architecture(file.architecture);
  info.set_emulated(true);
  info.set_memory_bytes(file.memory_bytes);
  info.set_cores(file.cores);
  info.set_accelerator(file.accelerator);
  for (const BoardPowerMode& board_mode : file.power_modes) {
    v1::PowerMode& mode = *info.add_power_modes();
    mode.set_name(board_mode.name);
    mode.set_nominal_power_watts(board_mode.nominal.value());
  }
  info.set_power_mode(file.power_mode);
  info.set_battery_capacity_wh(ToWattHours(physics.battery_capacity.value_or(Joules(0))));
  info.set_link_bytes_per_second(file.link_bytes_per_second);
  info.set_cache_quota_bytes(file.cache_quota_bytes);
  info.set_throughput_flops_datasheet(file.throughput_flops_datasheet);
  settings_.threads = config_.threads > 0 ? config_.threads : 1;
  emulator_ = std::make_unique<Emulator>(
      std::move(file),
      EmulationOptions{.seed = config_.emulation_seed,
                       .hidden_offset_ratio = config_.hidden_offset_percent / 100},
      Now().device);
  sources_.push_back(emulator_->board().MakeSource());
  next_sample_ = Now().device;
  const std::string offsets = absl::StrFormat(
      "{\"seed\": %d, \"time_factor\": %.6f, \"power_factor\": %.6f}\n", config_.emulation_seed,
      emulator_->hidden_time_factor(), emulator_->hidden_power_factor());
  if (config_.print_hidden_offsets) {
    std::printf("hidden offsets: %s", offsets.c_str());
  }
  return disk_->Replace("hidden_offsets.json", offsets);
}

// First restores the changes of a killed worker, even if this worker may change nothing.
absl::Status Agent::OpenPowerModes() {
  power_settings_ = std::make_unique<PowerSettings>(config_.sensor_root, BootId(""), disk_.get());
  const absl::Status restored = power_settings_->Restore();
  if (!restored.ok()) {
    AddFinding(absl::StrCat("power mode: the settings of an earlier worker could not be restored: ",
                            std::string(restored.message())));
  }
  v1::DeviceInfo& info = settings_.info;
  AddPowerModes(config_.sensor_root, &info);
  if (!config_.allow_power_modes) {
    return absl::OkStatus();
  }
  power_modes_ = NvpmodelModes(config_.sensor_root);
  if (power_modes_.empty()) {
    power_modes_ = KernelModes(config_.sensor_root);
    AddModes(power_modes_, &info);
    info.set_power_mode(ActiveKernelMode(config_.sensor_root, power_modes_));
  }
  if (power_modes_.empty()) {
    AddFinding("--allow-power-modes: this board has no nvpmodel.conf and no cpufreq to set");
  }
  info.set_sets_power_modes(!power_modes_.empty());
  if (config_.power_mode.empty()) {
    return absl::OkStatus();
  }
  WATTLE_RETURN_IF_ERROR(WithContext("--power-mode", SetPowerMode(config_.power_mode)));
  info.set_power_mode(config_.power_mode);
  return absl::OkStatus();
}

absl::Status Agent::SetPowerMode(const std::string& mode) {
  std::string names;
  for (const PowerModeRow& row : power_modes_) {
    if (row.name == mode) {
      WATTLE_RETURN_IF_ERROR(power_settings_->Set(row));
      Note(absl::StrCat("power mode ", mode, " is set"));
      return absl::OkStatus();
    }
    absl::StrAppend(&names, names.empty() ? "" : ", ", row.name);
  }
  return absl::InvalidArgumentError(
      absl::StrCat(mode, ": this board has ", names.empty() ? "no modes" : names));
}

absl::Status Agent::RestorePowerMode() {
  if (!config_.power_mode.empty()) {
    return SetPowerMode(config_.power_mode);
  }
  WATTLE_RETURN_IF_ERROR(power_settings_->Restore());
  Note("power mode: the board is as it was");
  return absl::OkStatus();
}

absl::Status Agent::DescribeReal() {
  for (telemetry::Candidate& candidate :
       telemetry::DiscoverSources(config_.sensor_root, config_.sensors)) {
    if (candidate.source != nullptr) {
      sources_.push_back(std::move(candidate.source));
    } else {
      settings_.info.add_findings(
          absl::StrCat("sensor ", candidate.name, ": ", candidate.problem.message()));
      unusable_.push_back(std::move(candidate));
    }
  }
  const BoardIdentity identity = ProbeBoard(config_.sensor_root);
  v1::DeviceInfo& info = settings_.info;
  info.set_name(HostName());
  info.set_device_class(identity.device_class);
  info.set_board(identity.board);
  info.set_architecture(identity.architecture);
  info.set_memory_bytes(identity.memory_bytes);
  settings_.threads = config_.threads > 0
                          ? config_.threads
                          : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  info.set_cores(settings_.threads);
  info.set_accelerator(config_.device == "cuda" ? "cuda" : "");
  info.set_cache_quota_bytes(kDefaultDiskQuota);
  return OpenPowerModes();
}

void Agent::OpenAccount(const v1::WorkerRecord& kept) {
  EnergyOrigin origin;
  const telemetry::SourceInfo* best = nullptr;
  for (const auto& source : sources_) {
    const telemetry::SourceInfo& info = source->info();
    if (info.measures_power() && (best == nullptr || info.rank < best->rank)) {
      best = &info;
    }
    settings_.guard.has_thermometer |= info.has_thermometer();
    if (info.has_gauge()) {
      settings_.guard.has_gauge = true;
      settings_.guard.gauge_error = std::max(settings_.guard.gauge_error, info.gauge_error);
    }
  }
  telemetry::MeterSettings meter;
  if (best != nullptr) {
    origin = {best->energy_source, best->scope};
    meter.cadence = best->cadence;
  } else {
    AddFinding("no power sensor: energy is modelled from predictions and labelled so");
  }
  account_ = std::make_unique<EnergyAccount>(
      meter, origin, Now().device, kept.ledger(),
      telemetry::IdleBaseline(Watts(kept.idle_power_watts()), kept.idle_samples()));
}

void Agent::AddFinding(const std::string& sentence) {
  Note(sentence);
  settings_.info.add_findings(sentence);
}

absl::Status Agent::Open() {
  WATTLE_ASSIGN_OR_RETURN(disk_, PosixDisk::Open(config_.state_dir));
  WATTLE_ASSIGN_OR_RETURN(state_, StateDirectory::Open(disk_.get()));
  WATTLE_ASSIGN_OR_RETURN(spool_, Spool::Open(disk_.get()));
  const v1::WorkerRecord kept = ReadKeptDevice(*state_, *this);
  if (config_.emulate.empty()) {
    WATTLE_RETURN_IF_ERROR(DescribeReal());
    pace_ = std::make_unique<RealPace>();
  } else {
    WATTLE_RETURN_IF_ERROR(OpenEmulation(kept));
    pace_ = std::make_unique<EmulatedPace>(emulator_.get(), config_.time_scale);
  }
  OpenAccount(kept);
  v1::DeviceInfo& info = settings_.info;
  info.set_device_id(state_->device_id());
  info.set_time_scale(config_.time_scale);
  info.set_worker_version(version_);
  if (!config_.name.empty()) {
    info.set_name(config_.name);
  }
  for (const auto& [key, value] : config_.labels) {
    v1::Label& label = *info.add_labels();
    label.set_key(key);
    label.set_value(value);
  }
  if (config_.disk_quota_bytes > 0) {
    info.set_cache_quota_bytes(config_.disk_quota_bytes);
  }
  WATTLE_RETURN_IF_ERROR(AskRunner());
  if (config_.metrics == kPushedMetrics) {
    push_ = std::make_unique<MetricPush>(
        disk_.get(), MetricSpoolLimits{.size_bytes_max = config_.metrics_spool_bytes},
        [this](const v1::WorkerMessage& message) { Send(message); });
    info.set_pushes_metrics(true);
  } else if (config_.metrics != kNoMetrics) {
    WATTLE_ASSIGN_OR_RETURN(metrics_, MetricsServer::Start(config_.metrics));
    info.set_metrics_address(metrics_->address());
  }
  TransferCallbacks callbacks;
  callbacks.on_fetched = [this](const FetchResult& result) {
    Post([this, result](const Instant& now) { core_->OnFetched(result, now); });
  };
  callbacks.on_uploaded = [this](const UploadResult& result) {
    Post([this, result](const Instant& now) { core_->OnUploaded(result, now); });
  };
  callbacks.on_cache = [this](const std::vector<std::string>& ids, int64_t used) {
    Post([this, ids, used](const Instant&) { core_->SetCache(ids, used); });
  };
  callbacks.on_short_of_room = [this](int64_t bytes) {
    Post([this, bytes](const Instant&) { core_->OnShortOfRoom(bytes); });
  };
  settings_.runner_device = config_.device;
  settings_.watch.silence = absl::Seconds(config_.runner_silence_seconds);
  settings_.watch.start = 3 * settings_.watch.silence;
  settings_.free_space_reserve_bytes = config_.disk_reserve_bytes;
  settings_.boot_id = BootId("");
  core_ = std::make_unique<AgentCore>(CoreDependencies{.state = state_.get(),
                                                       .spool = spool_.get(),
                                                       .ports = this,
                                                       .account = account_.get(),
                                                       .pace = pace_.get(),
                                                       .clock = &clock_,
                                                       .kept = kept},
                                      settings_);
  readings_ = std::make_unique<DeviceReadings>(core_.get(), account_.get(), this);
  for (const auto& source : sources_) {
    readings_->Add(source->info(), PlausiblePower(info));
  }
  WATTLE_ASSIGN_OR_RETURN(
      transfers_, Transfers::Open(config_.coordinator, CacheBudget(), std::move(callbacks)));
  return absl::OkStatus();
}

// Validate has found the driver. The runner's libtorch may still lack CUDA, and then every job that
// is placed here would fail.
absl::Status Agent::AskRunner() {
  const auto engine = child::RunnerVersion(config_.runner, kRunnerAnswers);
  if (!engine.ok()) {
    AddFinding(
        absl::StrCat(std::string(engine.status().message()), "; no job can run here until then"));
    return absl::OkStatus();
  }
  settings_.info.set_engine_version(*engine);
  if (config_.device == "cpu") {
    return absl::OkStatus();
  }
  const absl::Status usable =
      child::CheckRunnerDevice(config_.runner, config_.device, kRunnerAnswers);
  if (absl::IsFailedPrecondition(usable)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--device ", config_.device, ": ", std::string(usable.message())));
  }
  if (!usable.ok()) {
    AddFinding(absl::StrCat("--device ", config_.device, ": ", std::string(usable.message())));
  }
  return absl::OkStatus();
}

// Checkpoints, results and records count against the cache's quota, and the cache yields to them.
artifacts::DiskBudget Agent::CacheBudget() const {
  const std::string state = config_.state_dir;
  const std::string cache = disk_->PathOf("cache");
  return {.directory = cache,
          .quota_bytes = settings_.info.cache_quota_bytes(),
          .reserve_bytes = config_.disk_reserve_bytes,
          .others = [state, cache] {
            return artifacts::TreeSizeBytes(state) - artifacts::TreeSizeBytes(cache);
          }};
}

std::string Agent::ReadyLine() const {
  return absl::StrCat(
      "worker ", settings_.info.name(), " id=", settings_.info.device_id(),
      " metrics=", metrics_ == nullptr ? config_.metrics : settings_.info.metrics_address());
}

void Agent::Post(Event event) {
  absl::MutexLock lock(&mutex_);
  auto room = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return events_.size() < kEventsMax || closing_;
  };
  mutex_.Await(absl::Condition(&room));
  events_.push_back(std::move(event));
}

void Agent::RequestStop() {
  absl::MutexLock lock(&mutex_);
  stop_requested_ = true;
}

std::deque<Agent::Event> Agent::AwaitEvents(Monotonic wake) {
  absl::MutexLock lock(&mutex_);
  auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !events_.empty() || (stop_requested_ && !stop_begun_);
  };
  mutex_.AwaitWithTimeout(absl::Condition(&ready), wake - Clock::Real().Boottime());
  return std::exchange(events_, {});
}

void Agent::StartLink() {
  LinkCallbacks callbacks;
  callbacks.on_connected = [this] {
    Post([this](const Instant& now) {
      connected_ = true;
      core_->OnConnected(now);
    });
  };
  callbacks.on_message = [this](v1::CoordinatorMessage message) {
    Post([this, message = std::move(message)](const Instant& now) {
      if (message.has_welcome()) {
        Note(absl::StrCat("coordinator ", config_.coordinator, ": connected"));
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
  callbacks.on_note = [this](const std::string& line) { Note(line); };
  link_ = std::make_unique<CoordinatorLink>(config_.coordinator, std::move(callbacks));
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

void Agent::Run() {
  Note(FoundLine(settings_.info, readings_->sources()));
  core_->Start(Now());
  ShowUnusableSources();
  StartSampling();
  next_status_ = Now().wall;
  next_push_ = Now().wall + kFirstReadings;
  sensors_known_by_ = Now().wall + kFirstReadings;
  while (!core_->done()) {
    Instant now = Now();
    if (link_ == nullptr && SensorsKnown(now)) {
      StartLink();
    }
    if (sampler_ != nullptr) {
      sampler_->SetBusy(core_->busy());
    }
    std::deque<Event> events = AwaitEvents(NextWake(now));
    now = Now();
    SampleEmulated(now);
    for (const Event& event : events) {
      event(now);
    }
    {
      absl::MutexLock lock(&mutex_);
      if (stop_requested_ && !stop_begun_) {
        stop_begun_ = true;
      }
    }
    if (stop_begun_ && !core_->shutting_down()) {
      core_->Shutdown(now);
    }
    readings_->AdvanceTo(now.device);
    core_->Step(now);
    UpdateMetrics(now);
    PushMetrics(now);
  }
  if (push_ != nullptr) {
    push_->Save();
  }
  if (power_settings_ != nullptr) {
    const absl::Status restored = power_settings_->Restore();
    if (!restored.ok()) {
      Note(absl::StrCat("power mode: ", std::string(restored.message())));
    }
  }
  if (link_ != nullptr) {
    link_->Flush(absl::Seconds(1));
  }
}

Monotonic Agent::NextWake(const Instant& now) const {
  Monotonic wake = core_->NextStep(now);
  if (link_ == nullptr) {
    wake = std::min(wake, sensors_known_by_);
  }
  if (push_ != nullptr) {
    wake = std::min(wake, next_push_);
  }
  if (emulator_ != nullptr) {
    wake = std::min(wake, std::max(clock_.ToWall(next_sample_), now.wall + kSampleWakeMin));
  }
  return wake;
}

// The board's sensors give every reading since the last call, so rare calls lose nothing.
void Agent::SampleEmulated(const Instant& now) {
  if (emulator_ == nullptr) {
    return;
  }
  telemetry::Source& board = *sources_.front();
  readings_->OnPoll(0, board.Poll(now.device), now.device);
  const absl::Duration cadence = board.info().cadence;
  next_sample_ =
      now.device +
      (core_->busy() ? cadence : std::max(cadence, kIdleSamplePeriod / clock_.time_scale()));
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
  push_->Take(page, device, now.civil);
}

absl::Status Agent::StartRunner(const v1::RunnerTask& task) {
  const int64_t number = ++runner_number_;
  auto current = [this, number](Event event) {
    Post([this, number, event = std::move(event)](const Instant& now) {
      if (number == runner_number_) {
        event(now);
      }
    });
  };
  child::RunnerCallbacks callbacks;
  callbacks.on_frame = [this, current](v1::RunnerFrame frame) {
    current([this, frame = std::move(frame)](const Instant& now) { core_->OnFrame(frame, now); });
  };
  callbacks.on_line = [this, current](const std::string& line) {
    current([this, line](const Instant& now) { core_->OnRunnerLine(line, now); });
  };
  callbacks.on_exit = [this, current](const child::RunnerExit& exit) {
    current([this, exit](const Instant& now) { core_->OnRunnerExit(exit, now); });
  };
  runner_.reset();
  WATTLE_ASSIGN_OR_RETURN(
      runner_, child::RunnerProcess::Start(
                   {.program = config_.runner, .threads = settings_.threads, .nice = 0}, task,
                   std::move(callbacks)));
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

void Agent::Note(const std::string& line) {
  const std::string time =
      absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", Clock::Real().Now(), absl::UTCTimeZone());
  std::fprintf(stderr, "%s wattle-worker: %s\n", time.c_str(), line.c_str());
}

}  // namespace wattle::agent
