// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/commands.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "google/protobuf/util/json_util.h"
#include <CLI/CLI.hpp>

#include "base/clock.h"
#include "base/line_socket.h"
#include "base/process_privacy.h"
#include "base/standard_output.h"
#include "base/status_macros.h"
#include "base/tls/token.h"
#include "identity/enroll.h"
#include "telemetry/sensors/registry.h"
#include "worker/agent/config.h"
#include "worker/agent/core/owner_hold.h"
#include "worker/agent/link/credentials.h"
#include "worker/agent/probe.h"
#include "worker/agent/probe_kernels.h"
#include "worker/agent/probe_rates.h"
#include "worker/agent/sensor_settings.h"
#include "worker/agent/storage/posix_disk.h"
#include "worker/agent/storage/state_directory.h"

namespace wattle::agent {
namespace {

constexpr char kProbe[] = "wattle-worker probe";
constexpr char kEnroll[] = "wattle-worker enroll";
constexpr char kServiceFolder[] = "/var/lib/wattle-worker";  // deploy/systemd

int Fail(absl::string_view program, int code, absl::string_view message) {
  std::fprintf(stderr, "%s: %s\n", std::string(program).c_str(), std::string(message).c_str());
  return code;
}

// The exit status if the command ends here: help was asked for, or a flag is wrong.
std::optional<int> Parse(CLI::App& app, absl::string_view program, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help
    std::ostringstream help;
    app.exit(asked, help, std::cerr);
    return PrintHelp(program, help.str());
  } catch (const CLI::ParseError& error) {
    return Fail(program, 2, absl::StrCat(error.what(), "; see ", program, " --help"));
  }
  return std::nullopt;
}

const char* About(absl::string_view word) {
  if (word == "hold") {
    return "The board is yours for a while, also without a link and over reboots: its work saves a "
           "checkpoint and pauses, and goes on by itself afterwards. A second hold replaces the "
           "first.";
  }
  return word == "release" ? "Ends a hold: the board's work goes on."
                           : "What the worker on this board does, and who holds it.";
}

// Takes the identity of the folder's owner if run as root: the service could not read files that
// root writes there.
absl::Status BecomeOwnerOf(const std::string& folder) {
  struct stat facts = {};
  if (geteuid() != 0 || stat(folder.c_str(), &facts) != 0 || facts.st_uid == 0) {
    return absl::OkStatus();
  }
  const passwd* const owner = getpwuid(facts.st_uid);  // NOLINT(concurrency-mt-unsafe)
  if (owner == nullptr || initgroups(owner->pw_name, facts.st_gid) != 0 ||
      setgid(facts.st_gid) != 0 || setuid(facts.st_uid) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        folder, ": belongs to the user ", facts.st_uid, "; run this command as that user"));
  }
  return absl::OkStatus();
}

// Prints the latest rates of the record.
void PrintRates(const v1::DeviceInfo& record, bool json) {
  std::string out;
  if (!json) {
    out = RatesText(record);
  } else if (google::protobuf::util::MessageToJsonString(*record.rates().rbegin(), &out).ok()) {
    out += "\n";
  }
  std::fputs(out.c_str(), stdout);
  std::fflush(stdout);  // measuring the next mode takes seconds
}

volatile std::sig_atomic_t asked_to_end = 0;

// Signals are caught, because the board's own mode must be restored before the process ends.
void CatchSignals() {
  struct sigaction action = {};
  action.sa_handler = [](int /*signal*/) { asked_to_end = 1; };
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    sigaction(signal, &action, nullptr);
  }
}

int RunRateProbe(RateProbe probe, bool all_modes, bool json) {
  if (probe.threads <= 0) {
    probe.threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  }
  probe.note = [](const std::string& line) {
    std::fprintf(stderr, "%s: %s\n", kProbe, line.c_str());
  };
  const auto print = [json](const v1::DeviceInfo& record) { PrintRates(record, json); };
  absl::Status status;
  if (all_modes) {
    CatchSignals();
    status = ProbeRatesOfModes(probe, {.done = print, .stopped = [] { return asked_to_end != 0; }},
                               Clock::Real().Now());
  } else {
    const absl::StatusOr<v1::DeviceInfo> record = ProbeRates(probe, Clock::Real().Now());
    status = record.status();
    if (record.ok()) {
      print(*record);
    }
  }
  return status.ok() ? AfterOutput(kProbe, 0) : Fail(kProbe, 1, status.message());
}

int RunKernelProbe(const RateProbe& probe, bool json) {
  const absl::StatusOr<std::string> made = CompileKernels(
      {.state_directory = probe.state_directory, .runner = probe.runner, .device = probe.device});
  if (!made.ok()) {
    return Fail(kProbe, 1, absl::StrCat("--device ", probe.device, ": ", made.status().message()));
  }
  std::fputs((json ? absl::StrCat("{\"kernels\": \"", *made, "\"}\n")
                   : absl::StrCat(*made, "; jobs find them there\n"))
                 .c_str(),
             stdout);
  return AfterOutput(kProbe, 0);
}

// The probes that are not about sensors: the engine's rates, and its kernels for a GPU.
struct EngineProbe {
  RateProbe probe;
  bool rates = false;
  bool all_modes = false;

  void AddOptions(CLI::App& app) {
    auto* const measure = app.add_flag(
        "--rates", rates,
        "Measure instead what processor and memory do in a second, for predictions of jobs that no "
        "board of this class has run. Takes seconds; stop the worker before");
    app.add_flag(
           "--all-modes", all_modes,
           "Of --rates: in each power mode of the board, one after the other, by "
           "wattle-powerd or as root. Afterwards, also when interrupted, the board's own mode "
           "comes back")
        ->needs(measure);
    auto* const device = app.add_option("--device", probe.device,
                                        "cuda: compile the GPU's kernels now, and say how long it "
                                        "took. With --rates: measure it, cpu or cuda [cpu]");
    app.add_option("--state-dir", probe.state_directory,
                   "Of --rates and --device: the worker's folder [~/.local/state/wattle-worker]");
    app.add_option("--runner", probe.runner,
                   "Of --rates and --device: path of wattle-runner [beside this program]");
    app.add_option("--threads", probe.threads, "Of --rates: as wattle-worker --threads [all cores]")
        ->needs(measure);
    for (const char* const of_sensors : {"--sensor-root", "--sensors", "--record"}) {
      measure->excludes(of_sensors);
      device->excludes(of_sensors);
    }
  }

  [[nodiscard]] bool asked() const {
    return rates || probe.device != "cpu" || !probe.state_directory.empty() ||
           !probe.runner.empty();
  }

  int Run(bool json) {
    if (probe.state_directory.empty()) {
      probe.state_directory = DefaultStateDirectory("");
    }
    if (probe.runner.empty()) {
      probe.runner = ProgramDirectory() + "/wattle-runner";
    }
    if (const absl::Status ours = BecomeOwnerOf(probe.state_directory); !ours.ok()) {
      return Fail(kProbe, 1, ours.message());
    }
    if (rates) {
      return RunRateProbe(probe, all_modes, json);
    }
    return probe.device == "cpu" ? Fail(kProbe, 2, "what shall be probed? --rates or --device cuda")
                                 : RunKernelProbe(probe, json);
  }
};

}  // namespace

int RunProbe(int argc, char** argv) {
  CLI::App app(
      "What can be measured on this board, which sensor measures the device, what is "
      "denied and how to permit it.",
      kProbe);
  std::string root;
  std::string settings;
  std::string record;
  std::string exam;
  bool json = false;
  app.add_option("--sensor-root", root, "Look at a recorded file tree instead of this machine")
      ->check(CLI::ExistingDirectory);
  app.add_option("--sensors", settings, "The worker's file of sensors, as wattle-worker --sensors");
  auto* const recorded = app.add_option(
      "--record", record,
      "Copy the files that sensors are read from into this new directory, without serial "
      "numbers; the copy is a --sensor-root");
  app.add_option("--exam", exam,
                 "With --record: also put this gpu-exam.json of ./dev gpu-exam there")
      ->needs(recorded);
  app.add_flag("--json", json, "For scripts");
  EngineProbe engine;
  engine.AddOptions(app);
  if (const std::optional<int> code = Parse(app, kProbe, argc, argv)) {
    return *code;
  }
  if (engine.asked()) {
    return engine.Run(json);
  }
  std::vector<telemetry::SourceSettings> entries;
  if (!settings.empty()) {
    auto read = ReadSensorSettings(settings);
    if (!read.ok()) {
      return Fail(kProbe, 2, read.status().message());
    }
    entries = *std::move(read);
  }
  if (!record.empty()) {
    absl::Status written = RecordSensors(root, record);
    if (written.ok() && !exam.empty()) {
      written = RecordExam(exam, record);
    }
    if (!written.ok()) {
      return Fail(kProbe, 1, written.message());
    }
  }
  const std::vector<ProbedSource> sources =
      ProbeSources(telemetry::DiscoverSources(root, entries), Clock::Real());
  std::fputs((json ? ProbeJson(sources) : ProbeText(sources)).c_str(), stdout);
  return AfterOutput(kProbe, 0);
}

int RunEnroll(int argc, char** argv) {
  CLI::App app(
      "Lets this board into a fleet: makes its key here and exchanges a token of 'wattle device "
      "token' for a certificate. Repeat it where it was interrupted.",
      kEnroll);
  std::string token;
  std::string state_directory;
  app.add_option("TOKEN", token, "wattle1:HOST:PORT:ID:SECRET:PIN; -: read it from standard input")
      ->required();
  app.add_option("--state-dir", state_directory,
                 "The worker's folder [~/.local/state/wattle-worker]");
  std::string key = "file";
  app.add_option(
         "--key", key,
         "Where the board's key is: file, or tpm, which it never leaves (wants tpm2-openssl "
         "and /dev/tpmrm0)")
      ->capture_default_str()
      ->check(CLI::IsMember({"file", "tpm"}));
  const std::optional<int> code = Parse(app, kEnroll, argc, argv);
  HideArguments(argc, argv, tls::kTokenPrefix);
  if (code.has_value()) {
    return *code;
  }
  if (token == "-") {
    std::getline(std::cin, token);
  }
  if (state_directory.empty()) {
    state_directory = DefaultStateDirectory("");
  }
  const auto enrol = [&]() -> absl::StatusOr<identity::Identity> {
    WATTLE_RETURN_IF_ERROR(tls::ParseToken(token).status());
    WATTLE_RETURN_IF_ERROR(BecomeOwnerOf(state_directory));
    WATTLE_RETURN_IF_ERROR(MakeStateFolder(state_directory));
    WATTLE_ASSIGN_OR_RETURN(const auto disk, PosixDisk::Open(state_directory));
    WATTLE_ASSIGN_OR_RETURN(const auto state, StateDirectory::Open(disk.get()));
    return identity::Enroll(IdentityFolder(state_directory), token, state->device_id(),
                            key == "tpm" ? identity::KeyPlace::kTpm : identity::KeyPlace::kFile);
  };
  const absl::StatusOr<identity::Identity> enrolled = enrol();
  if (!enrolled.ok()) {
    return Fail(kEnroll, absl::IsInvalidArgument(enrolled.status()) ? 2 : 1,
                enrolled.status().message());
  }
  std::printf("enrolled as %s with the coordinator %s\n", enrolled->uri.c_str(),
              enrolled->coordinator.c_str());
  return AfterOutput(kEnroll, 0);
}

std::string FolderAtBoard(const std::string& own, const std::string& of_service) {
  std::error_code ignored;
  return !std::filesystem::exists(absl::StrCat(own, "/", kOwnerSocket), ignored) &&
                 std::filesystem::is_directory(of_service, ignored)
             ? of_service
             : own;
}

bool IsOwnerCommand(absl::string_view word) {
  return word == "hold" || word == "release" || word == "status";
}

int RunOwnerCommand(int argc, char** argv) {
  const std::string word = argv[0];
  const std::string program = absl::StrCat("wattle-worker ", word);
  CLI::App app(About(word), program);
  std::string state_directory;
  std::string time;
  if (word == "hold") {
    app.add_option("--for", time, "How long: 30m, 1h, 1h30m; at most 720h (30 days)")->required();
  }
  app.add_option("--state-dir", state_directory,
                 "The worker's folder [~/.local/state/wattle-worker, or else the service's]");
  if (const std::optional<int> code = Parse(app, program, argc, argv)) {
    return *code;
  }
  std::string request = word;
  if (word == "hold") {
    absl::Duration duration;
    if (!absl::ParseDuration(time, &duration)) {
      return Fail(program, 2, absl::StrCat("--for ", time, ": wanted a time such as 30m or 1h30m"));
    }
    if (const absl::Status checked = CheckOwnerHold(duration); !checked.ok()) {
      return Fail(program, 2, absl::StrCat("--for ", time, ": ", std::string(checked.message())));
    }
    absl::StrAppendFormat(&request, " %.3f", absl::ToDoubleSeconds(duration));
  }
  if (state_directory.empty()) {
    state_directory = FolderAtBoard(DefaultStateDirectory(""), kServiceFolder);
  }
  const auto answer =
      AskLineSocket(absl::StrCat(state_directory, "/", kOwnerSocket), "worker", request);
  if (absl::IsNotFound(answer.status())) {
    return Fail(program, 1,
                absl::StrCat(std::string(answer.status().message()),
                             ", or name its folder with --state-dir"));
  }
  if (!answer.ok()) {
    return Fail(program, 1, answer.status().message());
  }
  if (answer->exit_code != 0) {
    return Fail(program, answer->exit_code, answer->text);
  }
  std::fputs(answer->text.c_str(), stdout);
  return AfterOutput(program, 0);
}

}  // namespace wattle::agent
