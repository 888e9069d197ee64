// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/probe_command.h"

#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/clock.h"
#include "base/standard_output.h"
#include "telemetry/sensors/registry.h"
#include "worker/agent/probe.h"
#include "worker/agent/sensor_settings.h"

namespace wattle::agent {
namespace {

int Fail(int code, const absl::Status& status) {
  std::fprintf(stderr, "wattle-worker probe: %s\n", std::string(status.message()).c_str());
  return code;
}

}  // namespace

int RunProbe(int argc, char** argv) {
  CLI::App app(
      "What can be measured on this board, which sensor measures the device, what is "
      "denied and how to permit it.",
      "wattle-worker probe");
  std::string root;
  std::string settings;
  std::string record;
  bool json = false;
  app.add_option("--sensor-root", root, "Look at a recorded file tree instead of this machine")
      ->check(CLI::ExistingDirectory);
  app.add_option("--sensors", settings, "The worker's file of sensors, as wattle-worker --sensors");
  app.add_option(
      "--record", record,
      "Copy the files that sensors are read from into this new directory, without serial "
      "numbers; the copy is a --sensor-root");
  app.add_flag("--json", json, "For scripts");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help
    std::ostringstream help;
    app.exit(asked, help, std::cerr);
    return PrintHelp("wattle-worker probe", help.str());
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "wattle-worker probe: %s; see wattle-worker probe --help\n", error.what());
    return 2;
  }
  std::vector<telemetry::SourceSettings> entries;
  if (!settings.empty()) {
    auto read = ReadSensorSettings(settings);
    if (!read.ok()) {
      return Fail(2, read.status());
    }
    entries = *std::move(read);
  }
  if (!record.empty()) {
    const absl::Status recorded = RecordSensors(root, record);
    if (!recorded.ok()) {
      return Fail(1, recorded);
    }
  }
  const std::vector<ProbedSource> sources =
      ProbeSources(telemetry::DiscoverSources(root, entries), Clock::Real());
  std::fputs((json ? ProbeJson(sources) : ProbeText(sources)).c_str(), stdout);
  return AfterOutput("wattle-worker probe", 0);
}

}  // namespace wattle::agent
