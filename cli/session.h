// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A Session gives a command the environment, the flags that all commands share, and the
// coordinator. The rest of the file connects commands to the program: one function for each noun
// adds the subcommands and binds their code. Not thread-safe.
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

namespace CLI {
class App;
}
namespace google::protobuf {
class Message;
}

namespace wattle::cli {

enum class OutputFormat { kTable, kJson, kCsv };

struct GlobalFlags {
  std::string version;      // of this program
  std::string command;      // such as "job show"
  std::string coordinator;  // Empty: the context's.
  std::string context;      // empty: the current one
  bool plaintext_loopback = false;
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
  // Made at the first call: a command that makes no calls needs no login.
  Client& client();
  // The named context; empty: the current one.
  [[nodiscard]] const std::string& context() const { return flags_.context; }
  // For a debugger: no TLS, so the coordinator cannot identify the caller.
  [[nodiscard]] bool plaintext() const { return flags_.plaintext_loopback; }

  // Prints a command's answer: with -o json the message, else the text that `render` returns.
  void Print(const google::protobuf::Message& message, const std::function<std::string()>& render);
  // Prints text. If the text cannot be written, the command ends: streams are cancelled at once,
  // and RunProgram returns an error.
  void PrintText(absl::string_view text);
  // Prints a remark on the error stream, so that a pipe receives only the answer.
  void PrintRemark(absl::string_view text) { *environment_.err << text << "\n" << std::flush; }

 private:
  const Environment& environment_;
  const GlobalFlags& flags_;
  std::unique_ptr<Client> client_;
};

using Command = std::function<absl::StatusOr<ExitCode>(Session&)>;

// Holds the command that the command line names, from the parsing of flags until the command runs.
class CommandSlot {
 public:
  // `command` runs if `leaf` is the subcommand on the command line.
  void Bind(CLI::App* leaf, Command command);
  [[nodiscard]] const Command& chosen() const { return chosen_; }

 private:
  Command chosen_;
};

// Adds a subcommand. Its help has one sentence, examples that a person can copy, and the flags that
// every command takes.
CLI::App* AddLeaf(CLI::App* parent, const std::string& name, const std::string& sentence,
                  const std::string& examples);
// Adds a noun with verbs. Its examples are those of the verbs.
CLI::App* AddGroup(CLI::App* parent, const std::string& name, const std::string& sentence,
                   const std::string& examples);

// Each function adds the commands of one noun to `app`.
void AddSubmitCommand(CLI::App* app, CommandSlot* slot);
void AddPlanCommand(CLI::App* app, CommandSlot* slot);
void AddProbeCommand(CLI::App* app, CommandSlot* slot);
void AddSimCommand(CLI::App* app, CommandSlot* slot);
void AddJobCommands(CLI::App* app, CommandSlot* slot);
void AddDeviceCommands(CLI::App* app, CommandSlot* slot);
void AddPolicyCommands(CLI::App* app, CommandSlot* slot);
void AddForecastCommands(CLI::App* app, CommandSlot* slot);
void AddModelCommands(CLI::App* app, CommandSlot* slot);
void AddDataCommands(CLI::App* app, CommandSlot* slot);
void AddProfileCommands(CLI::App* app, CommandSlot* slot);
void AddKindCommands(CLI::App* app, CommandSlot* slot);
void AddReleaseCommands(CLI::App* app, CommandSlot* slot);
void AddUpgradeCommands(CLI::App* app, CommandSlot* slot);
void AddStatusCommand(CLI::App* app, CommandSlot* slot);
void AddTopCommand(CLI::App* app, CommandSlot* slot);
void AddEventsCommand(CLI::App* app, CommandSlot* slot);
void AddEnergyCommand(CLI::App* app, CommandSlot* slot);
void AddDoctorCommand(CLI::App* app, CommandSlot* slot);
void AddLoginCommands(CLI::App* app, CommandSlot* slot);
void AddServiceCommands(CLI::App* app, CommandSlot* slot);
void AddAccessCommands(CLI::App* app, CommandSlot* slot);
void AddQuotaCommands(CLI::App* app, CommandSlot* slot);
void AddProjectCommands(CLI::App* app, CommandSlot* slot);
void AddDeviceAccessCommands(CLI::App* device, CommandSlot* slot);

// The time of a flag --ttl, such as 30m, 24h or 90d: at least 1m, at most days_max days. Errors:
// kInvalidArgument.
absl::StatusOr<absl::Duration> ParseTtl(const std::string& text, int days_max);
// Maximum lifetime of tokens for boards and people; service tokens have their own limit.
inline constexpr int kTokenDaysMax = 30;
// Prints new tokens, one on each line.
void PrintTokens(Session& session, const v1::CreateTokensResponse& made);
// The identities before a command changed them, so that a repeated command can report that it
// changed nothing. Empty if the coordinator does not answer, because the command itself does not
// need the list.
class IdentitiesBefore {
 public:
  explicit IdentitiesBefore(Session& session);
  // Null if there is none. kind: "device" or "person".
  [[nodiscard]] const v1::IdentityRecord* Find(absl::string_view kind, absl::string_view id) const;
  [[nodiscard]] bool WasRevoked(absl::string_view kind, absl::string_view id) const;

 private:
  v1::ListIdentitiesResponse list_;
};

// Ends a token of any kind. text: its id, or the whole token.
absl::StatusOr<ExitCode> EndToken(Session& session, const std::string& text);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_SESSION_H_
