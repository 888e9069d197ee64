// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle-coordinator: composes journal, core, artifacts, gRPC and HTTP, then waits for a signal.
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

#include "artifacts/blob_store.h"
#include "base/clock.h"
#include "base/host_port.h"
#include "base/status_macros.h"
#include "coordinator/backup.h"
#include "coordinator/estimate_memory.h"
#include "coordinator/http/http_server.h"
#include "coordinator/remote_write/remote_writer.h"
#include "coordinator/restore.h"
#include "coordinator/rpc/server.h"
#include "coordinator/runtime/api.h"
#include "coordinator/runtime/runtime.h"

namespace {

using wattle::WithContext;

constexpr char kExamples[] =
    "Examples:\n"
    "  wattle-coordinator --data-dir /var/lib/wattle\n"
    "  wattle-coordinator --data-dir ./data --listen 127.0.0.1:0 --http 127.0.0.1:0\n"
    "  wattle-coordinator backup --data-dir /var/lib/wattle --to /backup/wattle-monday\n"
    "  wattle-coordinator restore --from /backup/wattle-monday --data-dir /var/lib/wattle\n";

struct Options {
  std::string data_directory;
  std::string listen_address = "127.0.0.1:7410";
  std::string http_address = "127.0.0.1:7411";
  bool insecure_listen = false;
  double heartbeat_seconds = 1.0;
  double unreachable_seconds = 10.0;
  double keep_ended_days = 7;
  int64_t keep_ended_jobs = 10'000;
  int64_t snapshot_every_events = 20'000;
  double artifact_quota_gib = 0;  // 0: none.
  // The journal beside the artifacts must still be able to commit.
  int64_t disk_reserve_mib = 256;
  double impossible_grace_seconds = 600;
  std::string impossible_jobs = "fail";
  std::string remote_write;  // Empty: none.
  double remote_write_window_days = 7;
  std::string log_level = "info";
};

// CLI11's own range lets NaN pass: every comparison with it is false.
CLI::Validator Between(double low, double high) {
  return {[low, high](const std::string& text) {
            double value = 0.0;
            return absl::SimpleAtod(text, &value) && value >= low && value <= high
                       ? std::string()
                       : absl::StrCat(text, ": wants a number from ", low, " to ", high);
          },
          ""};
}

absl::Status Validate(const Options& options) {
  for (const auto& [flag, text] : {std::pair("--listen", &options.listen_address),
                                   std::pair("--http", &options.http_address)}) {
    WATTLE_ASSIGN_OR_RETURN(const wattle::HostPort address, wattle::ParseHostPort(flag, *text));
    if (!wattle::IsLoopback(address) && !options.insecure_listen) {
      return absl::InvalidArgumentError(
          absl::StrCat(flag, " ", *text,
                       ": can be reached from other machines, and there is no TLS in this version; "
                       "listen on 127.0.0.1, or add --insecure-listen on a network you trust"));
    }
  }
  if (options.unreachable_seconds < 2 * options.heartbeat_seconds) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--unreachable-seconds ", options.unreachable_seconds, ": shorter than two heartbeats of ",
        options.heartbeat_seconds, " s, so that every device would be shown as unreachable; give ",
        2 * options.heartbeat_seconds, " or more, or lower --heartbeat-seconds"));
  }
  return absl::OkStatus();
}

absl::Status MakeDataDirectory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    return absl::PermissionDeniedError(
        absl::StrCat("--data-dir ", path, ": cannot be made: ", error.message(),
                     "; choose a directory that this user may write to"));
  }
  return absl::OkStatus();
}

// For scripts: which ports were chosen. Not vital, so a failure is only told.
void WriteEndpoints(const std::string& directory, const std::string& grpc,
                    const std::string& http) {
  const std::string path = absl::StrCat(directory, "/endpoints.json");
  std::ofstream(path + ".partial")
      << "{\"grpc\": \"" << grpc << "\", \"http\": \"" << http << "\"}\n";
  std::error_code error;
  std::filesystem::rename(path + ".partial", path, error);
  if (error) {
    spdlog::warn("{}: {}", path, error.message());
  }
}

sigset_t BlockStopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // Threads inherit it.
  return signals;
}

absl::Status Run(const Options& options) {
  WATTLE_RETURN_IF_ERROR(Validate(options));
  WATTLE_RETURN_IF_ERROR(MakeDataDirectory(options.data_directory));
  const sigset_t signals = BlockStopSignals();

  WATTLE_ASSIGN_OR_RETURN(const auto http,
                          wattle::http::HttpServer::Start({options.http_address, WATTLE_VERSION}));
  wattle::rpc::StreamTable streams;
  wattle::runtime::RuntimeOptions runtime_options;
  runtime_options.journal_path = absl::StrCat(options.data_directory, "/", wattle::kJournalFile);
  runtime_options.planning.estimate_memory = wattle::EstimateJobMemory;
  runtime_options.unreachable_after = absl::Seconds(options.unreachable_seconds);
  runtime_options.retention.age_max = absl::Hours(24) * options.keep_ended_days;
  runtime_options.retention.jobs_max = options.keep_ended_jobs;
  runtime_options.snapshot_every_events = options.snapshot_every_events;
  runtime_options.impossible_grace = absl::Seconds(options.impossible_grace_seconds);
  runtime_options.hold_impossible = options.impossible_jobs == "hold";
  std::unique_ptr<wattle::remote_write::RemoteWriter> remote_writer;
  if (!options.remote_write.empty()) {
    WATTLE_ASSIGN_OR_RETURN(
        remote_writer,
        wattle::remote_write::RemoteWriter::Start(
            {.url = options.remote_write,
             .window = absl::Hours(24) * options.remote_write_window_days,
             .old_samples_path = absl::StrCat(options.data_directory, "/old_samples.om")},
            wattle::Clock::Real()));
    runtime_options.metric_sink = remote_writer.get();
  }
  // The journal's lock comes first: nobody else may touch the artifacts of a running coordinator.
  WATTLE_ASSIGN_OR_RETURN(const auto runtime,
                          wattle::runtime::Runtime::Start(runtime_options, &streams));
  wattle::artifacts::BlobStoreOptions store_options;
  store_options.directory = absl::StrCat(options.data_directory, "/", wattle::kArtifactsFolder);
  store_options.quota_bytes = static_cast<int64_t>(options.artifact_quota_gib * (int64_t{1} << 30));
  store_options.free_space_reserve_bytes = options.disk_reserve_mib << 20;
  WATTLE_ASSIGN_OR_RETURN(const auto store,
                          wattle::artifacts::BlobStore::Open(store_options, wattle::Clock::Real()));
  wattle::runtime::Api api(*runtime);
  WATTLE_ASSIGN_OR_RETURN(
      const auto grpc,
      wattle::rpc::Server::Start({.listen_address = options.listen_address,
                                  .heartbeat_interval = absl::Seconds(options.heartbeat_seconds),
                                  .version = WATTLE_VERSION},
                                 api, streams, *store));
  http->Serve(api);
  WriteEndpoints(options.data_directory, grpc->address(), http->address());
  std::printf("listening grpc=%s http=%s\n", grpc->address().c_str(), http->address().c_str());
  std::fflush(stdout);

  int signal = 0;
  sigwait(&signals, &signal);
  spdlog::info("stopping: {}", signal == SIGTERM ? "SIGTERM" : "SIGINT");
  // From the outside in: nobody asks any more when the runtime ends.
  grpc->Stop();
  http->Stop();
  runtime->Stop();
  return absl::OkStatus();
}

void AddRunFlags(CLI::App& app, Options& options) {
  app.add_option("--data-dir", options.data_directory,
                 "Directory of journal and artifacts; made if it is not there (required)");
  app.add_option("--listen", options.listen_address, "gRPC, HOST:PORT; port 0: any free one")
      ->capture_default_str();
  app.add_option("--http", options.http_address,
                 "HTTP (metrics, health, discovery, API), HOST:PORT; port 0: any free one")
      ->capture_default_str();
  app.add_flag("--insecure-listen", options.insecure_listen,
               "Allow addresses other than loopback although there is no TLS");
  app.add_option("--heartbeat-seconds", options.heartbeat_seconds,
                 "Interval that workers are asked for")
      ->capture_default_str()
      ->check(Between(0.1, 3600.0));
  app.add_option("--unreachable-seconds", options.unreachable_seconds,
                 "Silence after which a device is shown as unreachable")
      ->capture_default_str()
      ->check(Between(0.2, 86400.0));
  app.add_option("--keep-ended-days", options.keep_ended_days,
                 "Ended jobs stay in memory so long; then they are read from the journal")
      ->capture_default_str()
      ->check(Between(0.0, 36500.0));
  app.add_option("--keep-ended-jobs", options.keep_ended_jobs,
                 "Beyond so many ended jobs the oldest leave memory sooner")
      ->capture_default_str()
      ->check(Between(0.0, 1e6));
  app.add_option("--snapshot-every-events", options.snapshot_every_events,
                 "A start reads the latest snapshot and at most so many events more")
      ->capture_default_str()
      ->check(Between(10.0, 1e7));
  app.add_option("--artifact-quota-gib", options.artifact_quota_gib,
                 "Evict the longest unused artifacts beyond it; 0: no quota")
      ->capture_default_str()
      ->check(Between(0.0, 1e6));
  app.add_option("--disk-reserve-mib", options.disk_reserve_mib,
                 "Uploads leave so much of the disk free, for the journal")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 30));
  app.add_option("--impossible-jobs", options.impossible_jobs,
                 "A queued job that no device of the fleet can ever run: fail it after a grace, or "
                 "hold it for a device that may come")
      ->capture_default_str()
      ->check(CLI::IsMember({"fail", "hold"}));
  app.add_option("--impossible-grace-seconds", options.impossible_grace_seconds,
                 "How long no device could ever run the job before it fails")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1e8));
  app.add_option(
      "--remote-write", options.remote_write,
      "Prometheus' remote-write URL, such as http://127.0.0.1:9090/api/v1/write: samples "
      "of workers that it cannot reach (--metrics pushed) go there");
  app.add_option("--remote-write-window-days", options.remote_write_window_days,
                 "Its out_of_order_time_window; older samples go to old_samples.om in the data "
                 "directory")
      ->capture_default_str()
      ->check(Between(0.05, 3650.0));
  app.add_option("--log-level", options.log_level, "debug, info, warn or err")
      ->capture_default_str()
      ->check(CLI::IsMember({"debug", "info", "warn", "err"}));
}

// 2 for what was asked wrongly, as in every program of Wattle; 1 for what then went wrong.
int Report(const absl::Status& status) {
  if (status.ok()) {
    return 0;
  }
  std::fprintf(stderr, "wattle-coordinator: %s\n", std::string(status.message()).c_str());
  return absl::IsInvalidArgument(status) ? 2 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Wattle's coordinator: places jobs on a fleet of devices and keeps their journal.",
               "wattle-coordinator");
  app.footer(kExamples);
  app.set_version_flag("--version", std::string("wattle-coordinator ") + WATTLE_VERSION);
  Options options;
  AddRunFlags(app, options);
  std::string backup_from;
  std::string backup_to;
  CLI::App* backup = app.add_subcommand(
      "backup", "Copy journal and artifacts, also while the coordinator runs; start another on it");
  backup->add_option("--data-dir", backup_from, "The running coordinator's")->required();
  backup->add_option("--to", backup_to, "A new directory")->required();
  wattle::RestoreOptions restore_options;
  bool restore_report = false;
  CLI::App* restore = app.add_subcommand(
      "restore", "Make a data directory from a backup; its journal goes on under the next epoch");
  restore->add_option("--data-dir", restore_options.data_directory, "Of the coordinator to start")
      ->required();
  restore->add_option("--from", restore_options.backup,
                      "The backup; without it the directory's own journal goes on under a later "
                      "epoch");
  restore->add_flag("--replace", restore_options.replace,
                    "Set the journal aside that is there; artifacts stay");
  restore
      ->add_option("--epoch", restore_options.epoch_min,
                   "At least this epoch, where a refused worker says so")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 22));
  restore->add_flag("--report", restore_report,
                    "Tell what the workers still had of the time after the backup");
  app.require_subcommand(0, 1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help, --version
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    return Report(
        absl::InvalidArgumentError(absl::StrCat(error.what(), "; see wattle-coordinator --help")));
  }

  // What gRPC cannot do comes back as a status; its own log would say it twice.
  // NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  spdlog::set_default_logger(spdlog::stderr_logger_mt("wattle-coordinator"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %v");
  spdlog::set_level(spdlog::level::from_str(options.log_level));
  if (backup->parsed()) {
    const absl::Status done = wattle::Backup(backup_from, backup_to);
    if (done.ok()) {
      std::printf("backup of %s is in %s\n", backup_from.c_str(), backup_to.c_str());
    }
    return Report(WithContext("backup", done));
  }
  if (restore->parsed()) {
    const absl::StatusOr<std::string> done =
        restore_report ? wattle::RestoreReport(restore_options.data_directory)
                       : wattle::Restore(restore_options);
    if (done.ok()) {
      std::printf("%s", done->c_str());
    }
    return Report(WithContext("restore", done.status()));
  }
  if (options.data_directory.empty()) {
    return Report(absl::InvalidArgumentError(
        "--data-dir is missing; for example: wattle-coordinator --data-dir ./data"));
  }
  return Report(Run(options));
}
