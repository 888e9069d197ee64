// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a command gets: the world, the flags that all commands share, and the coordinator. And how a
// command joins the program: one function per noun adds its subcommands and says what they run.
// Not thread-safe.
#ifndef WATTLE_CLI_SESSION_H_
#define WATTLE_CLI_SESSION_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/client.h"
#include "cli/environment.h"
#include "cli/exit_code.h"
#include <CLI/App.hpp>
#include <google/protobuf/message.h>

namespace wattle::cli {

enum class OutputFormat { kTable, kJson, kCsv };

struct GlobalFlags {
  std::string version;  // Of this program.
  std::string coordinator;
  OutputFormat format = OutputFormat::kTable;
  double timeout_seconds = 20.0;
};

class Session {
 public:
  Session(const Environment& environment, const GlobalFlags& flags);

  [[nodiscard]] const Environment& environment() const { return environment_; }
  [[nodiscard]] const TextStyle& style() const { return environment_.style; }
  [[nodiscard]] bool json() const { return flags_.format == OutputFormat::kJson; }
  [[nodiscard]] bool csv() const { return flags_.format == OutputFormat::kCsv; }
  [[nodiscard]] const std::string& version() const { return flags_.version; }
  [[nodiscard]] absl::Time Now() const { return environment_.clock->Now(); }
  Client& client() { return client_; }

  // The answer of a command: the message as JSON, or what `render` makes of it.
  void Print(const google::protobuf::Message& message, const std::function<std::string()>& render);
  // What cannot be written ends the command: RunProgram says so, and streams are cancelled at once.
  void PrintText(absl::string_view text);
  // Remarks beside the answer go to the error stream: a pipe gets the answer alone.
  void PrintRemark(absl::string_view text) { *environment_.err << text << "\n" << std::flush; }

 private:
  const Environment& environment_;
  const GlobalFlags& flags_;
  Client client_;
};

using Command = std::function<absl::StatusOr<ExitCode>(Session&)>;

// Where commands are put while flags are parsed: the one that was named is run afterwards.
class CommandSlot {
 public:
  // When `leaf` is the subcommand on the command line, `command` runs.
  void Bind(CLI::App* leaf, Command command);
  [[nodiscard]] const Command& chosen() const { return chosen_; }

 private:
  Command chosen_;
};

// A subcommand with its help: one sentence, examples a person can copy, and the flags that every
// command takes.
CLI::App* AddLeaf(CLI::App* parent, const std::string& name, const std::string& sentence,
                  const std::string& examples);
// A noun with verbs of its own; the examples are of its verbs.
CLI::App* AddGroup(CLI::App* parent, const std::string& name, const std::string& sentence,
                   const std::string& examples);

// The nouns. Each adds its commands to `app`; main lists them.
void AddSubmitCommand(CLI::App* app, CommandSlot* slot);
void AddPlanCommand(CLI::App* app, CommandSlot* slot);
void AddProbeCommand(CLI::App* app, CommandSlot* slot);
void AddJobCommands(CLI::App* app, CommandSlot* slot);
void AddDeviceCommands(CLI::App* app, CommandSlot* slot);
void AddPolicyCommands(CLI::App* app, CommandSlot* slot);
void AddModelCommands(CLI::App* app, CommandSlot* slot);
void AddDataCommands(CLI::App* app, CommandSlot* slot);
void AddProfileCommands(CLI::App* app, CommandSlot* slot);
void AddKindCommands(CLI::App* app, CommandSlot* slot);
void AddStatusCommand(CLI::App* app, CommandSlot* slot);
void AddTopCommand(CLI::App* app, CommandSlot* slot);
void AddEventsCommand(CLI::App* app, CommandSlot* slot);
void AddEnergyCommand(CLI::App* app, CommandSlot* slot);
void AddDoctorCommand(CLI::App* app, CommandSlot* slot);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_SESSION_H_
