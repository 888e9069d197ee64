// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Opens an agent: what the board is, which sensors it has, and the parts that its flags ask for.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "artifacts/disk_budget.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "identity/identity.h"
#include "proto/board_class.h"
#include "telemetry/sensors/registry.h"
#include "worker/agent/agent.h"
#include "worker/agent/board_probe.h"
#include "worker/agent/emulation/emulated_pace.h"
#include "worker/agent/owner_programs.h"
#include "worker/agent/probe_kernels.h"
#include "worker/agent/probe_rates.h"
#include "worker/power/power_settings.h"
#include "worker/power/powerd_client.h"
#include "worker/sandbox/isolation.h"

namespace wattle::agent {
namespace {

constexpr int64_t kDefaultDiskQuota = int64_t{20} << 30;
// How long a runner may take for an answer; it loads libtorch first.
constexpr absl::Duration kRunnerAnswers = absl::Seconds(60);
// The share of the board's memory that a plan gives to a runner at most
// (scheduler/place/rules/memory_rule.cc).
constexpr double kRunnerMemoryRatio = 0.95;
// Other programs have 100 at the processor and at the disk.
constexpr int kRunnerWeight = 50;

std::string HostName() {
  std::array<char, 256> name = {};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "worker";
}

}  // namespace

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
  info.set_offers_cpu(!file.cpu_rates.empty());
  info.mutable_power_modes()->Add(file.power_modes.begin(), file.power_modes.end());
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
  const std::string offsets = absl::StrFormat(
      "{\"seed\": %d, \"time_factor\": %.6f, \"power_factor\": %.6f}\n", config_.emulation_seed,
      emulator_->hidden_time_factor(), emulator_->hidden_power_factor());
  return disk_->Replace("hidden_offsets.json", offsets);
}

// First restores the changes of a killed worker, even if this worker may change nothing.
absl::Status Agent::OpenPowerModes() {
  auto powerd = PowerdClient::Connect(config_.powerd_socket);
  if (powerd.ok()) {
    board_power_ = *std::move(powerd);
  } else {
    if (!absl::IsNotFound(powerd.status())) {
      AddFinding(std::string(powerd.status().message()));
    }
    board_power_ = std::make_unique<PowerSettings>(config_.sensor_root, BootId(""), disk_.get());
  }
  settings_.powers_off = board_power_->may_power_off();
  const absl::Status restored = board_power_->Restore();
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
  wanted_power_mode_ = config_.power_mode;
  info.set_power_mode(config_.power_mode);
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
  info.set_accelerator(device_ == "cuda" ? "cuda" : "");
  info.set_offers_cpu(device_ == "cuda");
  info.set_cache_quota_bytes(kDefaultDiskQuota);
  WATTLE_RETURN_IF_ERROR(OpenPowerModes());
  power_mode_watch_ = std::make_unique<PowerModeWatch>(config_.sensor_root, power_modes_);
  return absl::OkStatus();
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

// From a service in a sandbox, which is that of deploy/systemd.
void Agent::TellWhatIsHidden() {
  if (const std::string problem = TimeServiceProblem(config_.sensor_root); !problem.empty()) {
    AddFinding(problem);
  }
  if (!config_.exclusive.empty() && !SeesProgramsOfOthers(config_.sensor_root)) {
    AddFinding(
        "--exclusive: the programs of other users are hidden from this service; the remedy is in "
        "docs/operate/symptoms.md");
  }
}

void Agent::OrderCoordinators() {
  const v1::LineageRecord lineage = state_->ReadLineage().record;
  coordinators_.assign(lineage.moved_to().begin(), lineage.moved_to().end());
  for (const std::string& coordinator : credentials_->coordinators()) {
    if (std::find(coordinators_.begin(), coordinators_.end(), coordinator) == coordinators_.end()) {
      coordinators_.push_back(coordinator);
    }
  }
  settings_.several_coordinators = coordinators_.size() > 1;
  credentials_->UseCoordinator(coordinators_.front());
}

absl::Status Agent::OpenMetrics(bool same_boot) {
  if (config_.metrics == kPushedMetrics) {
    push_ = std::make_unique<MetricPush>(
        disk_.get(), MetricSpoolLimits{.size_bytes_max = config_.metrics_spool_bytes},
        [this](const v1::WorkerMessage& message) { Send(message); }, same_boot);
    settings_.info.set_pushes_metrics(true);
  } else if (config_.metrics != kNoMetrics) {
    MetricsServer::Options options = {.address = config_.metrics};
    if (!config_.plaintext_loopback) {
      WATTLE_ASSIGN_OR_RETURN(const identity::Identity identity,
                              identity::Load(IdentityFolder(config_.state_dir)));
      options.https = {.own = identity::FilesOf(identity),
                       .client_roots = identity::RootsOf(identity),
                       .rules = {.token_file = config_.metrics_token_file,
                                 .floor = time_.floor(),
                                 .note = [this](const std::string& line) { Note(line); }}};
    }
    WATTLE_ASSIGN_OR_RETURN(metrics_, MetricsServer::Start(options, Clock::Real()));
    settings_.info.set_metrics_address(metrics_->address());
  }
  return absl::OkStatus();
}

void Agent::OpenCore(const v1::WorkerRecord& kept) {
  settings_.runner_device = device_;
  settings_.watch.silence = absl::Seconds(config_.runner_silence_seconds);
  settings_.watch.start = 3 * settings_.watch.silence;
  settings_.takes_releases = !config_.releases.empty();
  settings_.free_space_reserve_bytes = config_.disk_reserve_bytes;
  settings_.boot_id = BootId("");
  core_ = std::make_unique<AgentCore>(CoreDependencies{.state = state_.get(),
                                                       .spool = spool_.get(),
                                                       .ports = this,
                                                       .account = account_.get(),
                                                       .pace = pace_.get(),
                                                       .clock = &clock_,
                                                       .time = &time_,
                                                       .kept = kept},
                                      settings_);
  readings_ = std::make_unique<DeviceReadings>(core_.get(), account_.get(), this);
  for (const auto& source : sources_) {
    readings_->Add(source->info(), PlausiblePower(settings_.info));
  }
  if (emulator_ != nullptr) {
    emulated_time_ = std::make_unique<EmulatedTime>(&clock_, core_.get(), readings_.get(),
                                                    sources_.front().get(), Now().device);
  }
}

absl::StatusOr<v1::WorkerRecord> Agent::OpenState() {
  WATTLE_RETURN_IF_ERROR(MakeStateFolder(config_.state_dir));
  WATTLE_ASSIGN_OR_RETURN(disk_, PosixDisk::Open(config_.state_dir));
  WATTLE_ASSIGN_OR_RETURN(state_, StateDirectory::Open(disk_.get()));
  WATTLE_ASSIGN_OR_RETURN(spool_, Spool::Open(disk_.get()));
  v1::WorkerRecord kept = ReadKeptDevice(*state_, *this);
  time_.Resume(kept.clock(), BootId(""));
  time_.RaiseFloor(config_.source_date);
  return kept;
}

absl::Status Agent::OpenBoard(const v1::WorkerRecord& kept) {
  if (config_.emulate.empty()) {
    WATTLE_RETURN_IF_ERROR(DescribeReal());
    pace_ = std::make_unique<RealPace>();
  } else {
    WATTLE_RETURN_IF_ERROR(OpenEmulation(kept));
    pace_ = std::make_unique<EmulatedPace>(emulator_.get());
  }
  OpenAccount(kept);
  v1::DeviceInfo& info = settings_.info;
  info.set_device_id(state_->device_id());
  info.set_time_scale(clock_.time_scale());
  info.set_worker_version(version_);
  return absl::OkStatus();
}

absl::Status Agent::OpenCredentials() {
  WATTLE_ASSIGN_OR_RETURN(
      credentials_,
      Credentials::Open(
          {.state_directory = config_.state_dir,
           .device_id = state_->device_id(),
           .coordinators = config_.coordinators,
           .plaintext_loopback = config_.plaintext_loopback,
           .floor = time_.floor()},
          [this](const std::string& line) { Post([this, line](const Instant&) { Note(line); }); },
          [this](const std::string& problem) {
            Post([this, problem](const Instant&) { core_->SetCertificateProblem(problem); });
          }));
  time_.RaiseFloor(credentials_->floor());
  if (!config_.signers.empty()) {
    auto signers = artifacts::Signers::Load(config_.signers);
    WATTLE_RETURN_IF_ERROR(WithContext("--signers", signers.status()));
    signers_ = *std::move(signers);
  }
  return absl::OkStatus();
}

void Agent::DescribeByFlags() {
  v1::DeviceInfo& info = settings_.info;
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
}

absl::Status Agent::OpenRunner() {
  WATTLE_RETURN_IF_ERROR(DetectIsolation());
  AskRunner();
  v1::DeviceInfo& info = settings_.info;
  if (emulator_ == nullptr && device_ == "cpu" && HasAccelerator(info.device_class())) {
    info.set_device_class(ClassOfCores(info.device_class()));
  }
  TellRates();
  return absl::OkStatus();
}

absl::Status Agent::OpenTransfers() {
  WATTLE_ASSIGN_OR_RETURN(
      transfers_, Transfers::Open(coordinators_.front(), credentials_->channel(), CacheBudget(),
                                  OnTransfers(), PeerCredentialsOf()));
  return OpenPeers();
}

absl::Status Agent::Open() {
  WATTLE_ASSIGN_OR_RETURN(const v1::WorkerRecord kept, OpenState());
  WATTLE_RETURN_IF_ERROR(OpenBoard(kept));
  WATTLE_RETURN_IF_ERROR(OpenCredentials());
  OrderCoordinators();
  DescribeByFlags();
  WATTLE_RETURN_IF_ERROR(OpenRunner());
  WATTLE_RETURN_IF_ERROR(OpenMetrics(kept.boot_id() == BootId("")));
  TellWhatIsHidden();
  OpenOwnerSocket();           // before the core, which tells the coordinator what was found
  if (emulator_ == nullptr) {  // an emulated board's memory is not this machine's
    OpenRunnerGroup();
  }
  OpenCore(kept);
  storage_probe_ = std::make_unique<StorageProbe>(config_.state_dir, [this](absl::Status status) {
    Post([this, status = std::move(status)](const Instant& now) {
      core_->OnStorageProbed(status, now);
    });
  });
  return OpenTransfers();
}

TransferCallbacks Agent::OnTransfers() {
  TransferCallbacks callbacks;
  callbacks.on_fetched = [this](const FetchResult& result) {
    Post([this, result](const Instant& now) { core_->OnFetched(result, now); });
  };
  callbacks.on_release_fetched = [this](const FetchResult& result) {
    Post([this, result](const Instant& now) { core_->OnReleaseFetched(result, now); });
  };
  callbacks.on_release_progress = [this](int64_t fetched, int64_t size) {
    Post([this, fetched, size](const Instant&) { core_->OnReleaseProgress(fetched, size); });
  };
  callbacks.on_uploaded = [this](const UploadResult& result) {
    Post([this, result](const Instant& now) { core_->OnUploaded(result, now); });
  };
  callbacks.on_upload_progress = [this](const UploadProgress& progress) {
    Post([this, progress](const Instant&) { core_->OnUploadProgress(progress); });
  };
  callbacks.on_cache = [this](const std::vector<std::string>& ids, int64_t used) {
    Post([this, ids, used](const Instant&) { core_->SetCache(ids, used); });
  };
  callbacks.on_link_bytes = [this](const v1::LinkBytes& bytes) {
    Post([this, bytes](const Instant& now) { core_->OnLinkBytes(bytes, now); });
  };
  callbacks.on_short_of_room = [this](int64_t bytes) {
    Post([this, bytes](const Instant&) { core_->OnShortOfRoom(bytes); });
  };
  AddPeerCallbacks(callbacks);
  return callbacks;
}

void Agent::OpenRunnerGroup() {
  const absl::StatusOr<std::string> own = child::OwnGroupDirectory("");
  absl::StatusOr<std::unique_ptr<child::RunnerGroup>> group =
      own.ok() ? child::RunnerGroup::Open(*own) : own.status();
  if (!group.ok()) {
    Note(absl::StrCat("control group: ", std::string(group.status().message()),
                      "; the kernel does not bound a runner's memory, see "
                      "docs/operate/services.md"));
    return;
  }
  runner_group_ = *std::move(group);
  if (!runner_group_->missing().empty()) {
    Note(absl::StrCat("control group: the kernel does not bound a runner's ",
                      runner_group_->missing()));
  }
}

UniqueDescriptor Agent::MakeRunnerGroup() {
  if (runner_group_ == nullptr) {
    return UniqueDescriptor();
  }
  const auto memory = static_cast<double>(settings_.info.memory_bytes());
  absl::StatusOr<UniqueDescriptor> group =
      runner_group_->Make({.memory_bytes = static_cast<int64_t>(kRunnerMemoryRatio * memory),
                           .cpu_weight = kRunnerWeight,
                           .io_weight = kRunnerWeight});
  if (!group.ok()) {
    Note(absl::StrCat("control group: ", std::string(group.status().message())));
    return UniqueDescriptor();
  }
  return *std::move(group);
}

absl::Status Agent::DetectIsolation() {
  const sandbox::Isolation isolation = sandbox::DetectIsolation(config_.isolation);
  WATTLE_RETURN_IF_ERROR(sandbox::CheckAtLeast(isolation, config_.isolation_min));
  isolation_ = isolation.level;
  settings_.info.set_isolation(std::string(sandbox::LevelName(isolation_)));
  if (isolation_ < config_.isolation) {
    Note(absl::StrCat("isolation ", sandbox::LevelName(isolation_), ": ", isolation.missing,
                      "; docs/operate/security.md says what a runner can do then"));
  }
  return absl::OkStatus();
}

std::string Agent::CompiledKernels() const {
  return device_ == "cpu" ? "" : KernelsCompiledAhead(config_.state_dir);
}

absl::StatusOr<sandbox::Sandbox> Agent::PrepareBox(const v1::RunnerTask& task) {
  WATTLE_RETURN_IF_ERROR(child::CheckRunnerProgram(config_.runner));
  const bool cuda = device_ == "cuda" && task.device() != "cpu";
  sandbox::Spec spec = {
      .level = isolation_,
      .program = config_.runner,
      .cuda = cuda,
      .limits = {.memory_bytes = sandbox::MemoryLimit(task.peak_memory_bytes(), task.threads())}};
  for (const std::string& path :
       {task.model_directory(), task.data_file(), task.heldout_data_file(),
        task.calibration_data_file(), task.reference_model_directory()}) {
    if (!path.empty()) {
      spec.readable.push_back(path);
    }
  }
  for (const std::string& path : {task.work_directory(), task.output_directory()}) {
    if (!path.empty()) {
      WATTLE_RETURN_IF_ERROR(MakeDirectories(path));  // Landlock wants them to be there
      spec.writable.push_back(path);
    }
  }
  if (const std::string kernels = CompiledKernels(); cuda && !kernels.empty()) {
    spec.readable.push_back(kernels);
  }
  const absl::StatusOr<int64_t> free_bytes = artifacts::FreeSpaceOf(config_.state_dir);
  if (free_bytes.ok()) {
    spec.limits.file_bytes = sandbox::FileLimit(*free_bytes, config_.disk_reserve_bytes);
  }
  return sandbox::Sandbox::Prepare(spec);
}

// The board keeps its cores and whatever else it does in the fleet. The GPU may only be lost until
// the next start, and a service manager would start a worker that refuses for ever.
void Agent::UseCoresOnly(absl::string_view reason) {
  AddFinding(absl::StrCat("--device ", device_, ": the GPU does not answer: ", reason,
                          "; work runs on the cores, and the worker's next start looks again"));
  device_ = "cpu";
  if (emulator_ == nullptr) {  // an emulated board keeps what its file says
    settings_.info.clear_accelerator();
    settings_.info.clear_accelerator_total_bytes();
    settings_.info.clear_accelerator_shares_memory();
    settings_.info.clear_offers_cpu();
  }
}

// Without a driver, or with a runner whose libtorch lacks CUDA or sees no GPU, every job that is
// placed on the GPU would fail.
void Agent::AskRunner() {
  if (const std::string problem = NvidiaDriverProblem(config_.sensor_root);
      device_ == "cuda" && !problem.empty()) {
    UseCoresOnly(problem);
  }
  absl::StatusOr<sandbox::Sandbox> sandbox = PrepareBox({});
  const auto engine =
      sandbox.ok()
          ? child::RunnerVersion({.program = config_.runner, .sandbox = &*sandbox}, kRunnerAnswers)
          : sandbox.status();
  if (!engine.ok()) {
    AddFinding(
        absl::StrCat(std::string(engine.status().message()), "; no job can run here until then"));
    return;
  }
  settings_.info.set_engine_version(*engine);
  if (device_ == "cpu") {
    return;
  }
  absl::StatusOr<sandbox::Sandbox> device_sandbox = PrepareBox({});
  const absl::StatusOr<v1::DeviceInfo> told =
      device_sandbox.ok()
          ? child::CheckRunnerDevice({.program = config_.runner, .sandbox = &*device_sandbox},
                                     device_, kRunnerAnswers)
          : device_sandbox.status();
  if (!told.ok()) {
    UseCoresOnly(told.status().message());
  } else if (emulator_ == nullptr) {  // an emulated board's GPU is not this machine's
    settings_.info.MergeFrom(*told);
  }
}

// An emulated board is not this machine: its rates are nobody's.
void Agent::TellRates() {
  if (settings_.info.emulated()) {
    return;
  }
  const StoredRecord<v1::DeviceInfo> stored = state_->ReadRates();
  std::vector<std::string> problems;
  if (!stored.problem.empty()) {
    problems.push_back(stored.problem);
  }
  for (v1::MeasuredRates& rates : CurrentRates(stored.record, settings_.info, &problems)) {
    *settings_.info.add_rates() = std::move(rates);
  }
  for (const std::string& problem : problems) {
    AddFinding(problem);
  }
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

}  // namespace wattle::agent
