// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/program.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "cli/completion.h"
#include "cli/exit_code.h"
#include "cli/session.h"
#include "cli/table.h"
#include <CLI/App.hpp>
#include <CLI/CLI.hpp>

#include "base/number_flag.h"
#include "base/spelling_suggestion.h"
#include "base/standard_output.h"

namespace wattle::cli {
namespace {

constexpr char kCompleteCommand[] = "__complete";
// The user waits after pressing Tab, so missing names are better than a longer wait.
constexpr double kCompletionSeconds = 0.7;

void AddGlobalFlags(CLI::App* app, GlobalFlags* flags) {
  app->add_option("--coordinator", flags->coordinator,
                  "Address of the coordinator; default $WATTLE_COORDINATOR, else the context's")
      ->type_name("HOST:PORT");
  app->add_option("--context", flags->context,
                  "The fleet to talk to, of wattle context list; default $WATTLE_CONTEXT, else the "
                  "one in use")
      ->type_name("NAME");
  app->add_flag("--plaintext-loopback", flags->plaintext_loopback,
                "For a debugger: a coordinator on this machine without TLS");
  app->add_option_function<std::string>(
         "-o,--output",
         [flags](const std::string& word) {
           flags->format = word == "json"  ? OutputFormat::kJson
                           : word == "csv" ? OutputFormat::kCsv
                                           : OutputFormat::kTable;
         },
         "table for people; json for scripts (protobuf JSON, proto field names); csv: wattle "
         "energy "
         "alone")
      ->check(CLI::IsMember({"table", "json", "csv"}).description(""))
      ->type_name("FORMAT");
  app->add_option("--timeout-seconds", flags->timeout_seconds,
                  "How long a call may take; default 20")
      ->check(NumberBetween(0.01, 86400.0))
      ->type_name("SECONDS");
}

void AddOwnCommands(CLI::App* app, const std::string& version, CommandSlot* slot) {
  CLI::App* completion = AddLeaf(app, "completion", "Print the completion script of a shell.",
                                 "  source <(wattle completion bash)\n"
                                 "  source <(wattle completion zsh)\n"
                                 "  wattle completion fish | source\n");
  const auto shell = std::make_shared<std::string>();
  completion->add_option("SHELL", *shell, "bash, zsh or fish")->required();
  slot->Bind(completion, [shell](Session& session) -> absl::StatusOr<ExitCode> {
    const auto script = CompletionScript(*shell);
    if (!script.ok()) {
      return script.status();
    }
    session.PrintText(*script);
    return ExitCode::kOk;
  });
  CLI::App* shown = AddLeaf(app, "version", "Print the version.", "  wattle version\n");
  slot->Bind(shown, [version](Session& session) -> absl::StatusOr<ExitCode> {
    session.PrintText(session.json() ? absl::StrCat("{\n \"version\": \"", version, "\"\n}\n")
                                     : absl::StrCat("wattle ", version, "\n"));
    return ExitCode::kOk;
  });
}

std::unique_ptr<CLI::App> MakeApp(const std::string& version, GlobalFlags* flags,
                                  CommandSlot* slot) {
  auto app = std::make_unique<CLI::App>(
      "Fine-tuning and quantized inference on a fleet of small devices, placed by measured energy.",
      "wattle");
  app->set_version_flag("--version", absl::StrCat("wattle ", version));
  app->require_subcommand(1);
  app->fallthrough();  // global flags may also follow the command
  app->footer(
      "\nExamples:\n"
      "  wattle status\n"
      "  wattle plan deploy/examples/squad-gpt2.yaml\n"
      "  wattle submit deploy/examples/finetune.yaml --watch\n"
      "\nExit codes: 0 ok, 1 the job failed, 2 bad input, 3 not found, 4 coordinator unreachable,\n"
      "5 refused or infeasible, 6 other error, 130 interrupted.\n");
  AddGlobalFlags(app.get(), flags);
  AddStatusCommand(app.get(), slot);
  AddTopCommand(app.get(), slot);
  AddDoctorCommand(app.get(), slot);
  AddSubmitCommand(app.get(), slot);
  AddKindCommands(app.get(), slot);
  AddPlanCommand(app.get(), slot);
  AddProbeCommand(app.get(), slot);
  AddSimCommand(app.get(), slot);
  AddJobCommands(app.get(), slot);
  AddDeviceCommands(app.get(), slot);
  AddPolicyCommands(app.get(), slot);
  AddForecastCommands(app.get(), slot);
  AddModelCommands(app.get(), slot);
  AddDataCommands(app.get(), slot);
  AddProfileCommands(app.get(), slot);
  AddReleaseCommands(app.get(), slot);
  AddUpgradeCommands(app.get(), slot);
  AddEnergyCommand(app.get(), slot);
  AddEventsCommand(app.get(), slot);
  AddLoginCommands(app.get(), slot);
  AddServiceCommands(app.get(), slot);
  AddAccessCommands(app.get(), slot);
  AddQuotaCommands(app.get(), slot);
  AddProjectCommands(app.get(), slot);
  AddOwnCommands(app.get(), version, slot);
  return app;
}

std::string OneLine(absl::string_view text) {
  const std::vector<std::string> words = absl::StrSplit(Printable(text), ' ', absl::SkipEmpty());
  return absl::StrJoin(words, " ");
}

// Writes the error as one line, broken between words on a narrower terminal.
int Fail(const Environment& environment, ExitCode code, absl::string_view message) {
  const std::string line = absl::StrCat("wattle: ", OneLine(message));
  const int width = environment.error_style.width_columns;
  const std::vector<std::string> lines =
      width > 0 ? WrapText(line, static_cast<size_t>(width)) : std::vector<std::string>{line};
  *environment.err << absl::StrJoin(lines, "\n") << "\n" << std::flush;
  return static_cast<int>(code);
}

// A failed write of the output is an error, whatever the command's own result was.
int AfterOutput(const Environment& environment, int code) {
  environment.out->flush();
  if (environment.out->good()) {
    return code;
  }
  return Fail(environment, ExitCode::kServerError,
              "the answer could not be written to the standard output; is the disk full, or the "
              "output closed?");
}

// The deepest command on the line ("wattle job"), and the word after it that is no command.
struct CommandLine {
  std::string path = "wattle";
  std::string unknown;
  std::vector<std::string> words;  // the commands and flags that are valid there
};
CommandLine Named(CLI::App* app) {
  CommandLine line;
  const std::vector<std::string> rest = app->remaining(/*recurse=*/true);
  line.unknown = rest.empty() ? "" : rest.front();
  while (!app->get_subcommands().empty()) {
    app = app->get_subcommands().front();
    absl::StrAppend(&line.path, " ", app->get_name());
  }
  for (const CLI::App* command : app->get_subcommands([](const CLI::App*) { return true; })) {
    line.words.push_back(command->get_name());
  }
  for (const CLI::Option* option : app->get_options()) {
    for (const std::string& name : option->get_lnames()) {
      line.words.push_back(absl::StrCat("--", name));
    }
  }
  return line;
}

// Parses the arguments. Returns an exit code if the program ends here: help, version, usage error.
std::optional<int> Parse(CLI::App* app, const std::vector<std::string>& arguments,
                         const Environment& environment) {
  try {
    app->parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    return std::nullopt;
  } catch (const CLI::Success& help) {  // --help, --version
    std::ostringstream text;
    const int code = app->exit(help, text, *environment.err);
    *environment.out << WrapHelp(text.str(), environment.style.width_columns);
    return code;
  } catch (const CLI::ParseError& error) {
    const CommandLine line = Named(app);
    if (line.unknown.empty()) {
      return Fail(environment, ExitCode::kBadInput,
                  absl::StrCat(error.what(), "; see ", line.path, " --help"));
    }
    const std::string nearest = SpellingSuggestion(line.unknown, line.words);
    return Fail(environment, ExitCode::kBadInput,
                absl::StrCat(line.unknown, ": not known here; ",
                             nearest.empty() ? "" : absl::StrCat("did you mean ", nearest, "? "),
                             "see ", line.path, " --help"));
  }
}

// Why the empty value is wrong, "" if there is none. Without a value a flag selects all, the latest
// or the default, which is not the intent of a script with an unset variable. A required value and
// the stages of an upgrade are checked by their command, which knows the valid values.
std::string EmptyValue(CLI::App* app) {
  constexpr absl::string_view kMayBeEmpty[] = {"reason", "prompt", "stop", "text", "stage"};
  for (const CLI::Option* option : app->get_options()) {
    const std::string& name = option->get_single_name();
    const std::vector<std::string>& values = option->results();
    if (std::find(values.begin(), values.end(), "") != values.end() && !option->get_required() &&
        std::find(std::begin(kMayBeEmpty), std::end(kMayBeEmpty), name) == std::end(kMayBeEmpty)) {
      return absl::StrCat(option->get_positional() ? "" : "--", name, ": empty, wanted ",
                          option->get_type_name());
    }
  }
  return app->get_subcommands().empty() ? "" : EmptyValue(app->get_subcommands().front());
}

std::vector<std::string> AskFleet(Session& session, const std::string& sort) {
  std::set<std::string> names;
  if (sort == "JOB" || sort == "REFERENCE") {
    const auto found = session.client().Call(&JobStub::ListJobs);
    const v1::ListJobsResponse jobs = found.ok() ? *found : v1::ListJobsResponse();
    for (const v1::Job& job : jobs.jobs()) {
      if (sort == "JOB") {
        names.insert(job.job_id());
      } else if (!job.output_artifact_id().empty()) {
        names.insert(absl::StrCat("job:", job.job_id(), "/output"));
      }
    }
  }
  if (sort == "REFERENCE" || sort == "DATA") {
    const auto found = session.client().ListArtifacts(sort == "DATA" ? v1::ARTIFACT_KIND_DATASET
                                                                     : v1::ARTIFACT_KIND_MODEL);
    if (found.ok()) {
      for (const v1::ArtifactInfo& artifact : found->artifacts()) {
        names.insert(artifact.name());
      }
    }
  }
  if (sort == "RELEASE" || sort == "VERSION") {
    if (const auto found = session.client().ListArtifacts(v1::ARTIFACT_KIND_RELEASE); found.ok()) {
      for (const v1::ArtifactInfo& artifact : found->artifacts()) {
        names.insert(sort == "RELEASE" ? artifact.name() : artifact.release_version());
      }
    }
  }
  if (sort == "DEVICE" || sort == "CLASS") {
    if (const auto found = session.client().Call(&DeviceStub::ListDevices); found.ok()) {
      for (const v1::Device& device : found->devices()) {
        names.insert(sort == "DEVICE" ? device.info().name() : device.info().device_class());
      }
    }
  }
  if (sort == "POLICY") {
    if (const auto found = session.client().Call(&PolicyStub::ListPolicies); found.ok()) {
      for (const v1::Policy& policy : found->policies()) {
        names.insert(policy.name());
      }
    }
  }
  if (sort == "FORECAST") {
    if (const auto found = session.client().Call(&ForecastStub::ListForecasts); found.ok()) {
      for (const v1::HarvestForecast& forecast : found->forecasts()) {
        names.insert(forecast.name());
      }
    }
  }
  return {names.begin(), names.end()};
}

int RunCompletion(CLI::App* app, const std::vector<std::string>& words, GlobalFlags flags,
                  const Environment& environment) {
  for (size_t i = 0; i + 2 < words.size(); ++i) {
    if (words[i] == "--coordinator") {
      flags.coordinator = words[i + 1];
    } else if (words[i] == "--context") {
      flags.context = words[i + 1];
    }
  }
  flags.timeout_seconds = kCompletionSeconds;
  Session session(environment, flags);
  const auto candidates =
      Complete(app, words, [&](const std::string& sort) { return AskFleet(session, sort); });
  for (const std::string& candidate : candidates) {
    session.PrintText(absl::StrCat(Printable(candidate), "\n"));
  }
  return static_cast<int>(ExitCode::kOk);
}

}  // namespace

int RunProgram(const std::vector<std::string>& arguments, const std::string& version,
               const Environment& environment) {
  GlobalFlags flags;
  flags.version = version;
  flags.coordinator = environment.variable("WATTLE_COORDINATOR");
  flags.context = environment.variable("WATTLE_CONTEXT");
  flags.plaintext_loopback = !environment.variable("WATTLE_PLAINTEXT_LOOPBACK").empty();
  CommandSlot slot;
  const std::unique_ptr<CLI::App> app = MakeApp(version, &flags, &slot);
  if (!arguments.empty() && arguments.front() == kCompleteCommand) {
    return RunCompletion(app.get(), {arguments.begin() + 1, arguments.end()}, flags, environment);
  }
  if (const std::optional<int> ended = Parse(app.get(), arguments, environment)) {
    return AfterOutput(environment, *ended);
  }
  if (const std::string empty = EmptyValue(app.get()); !empty.empty()) {
    return Fail(environment, ExitCode::kBadInput, empty);
  }
  if (flags.format == OutputFormat::kCsv && !app->got_subcommand("energy")) {
    return Fail(environment, ExitCode::kBadInput,
                "-o csv: only wattle energy writes CSV; use -o json here");
  }
  flags.command = Named(app.get()).path.substr(sizeof("wattle"));
  Session session(environment, flags);
  const absl::StatusOr<ExitCode> code = slot.chosen()(session);
  if (!environment.out->good()) {
    return AfterOutput(environment, 0);
  }
  if (!code.ok()) {
    return Fail(environment, ExitCodeOf(code.status()), std::string(code.status().message()));
  }
  return AfterOutput(environment, static_cast<int>(*code));
}

}  // namespace wattle::cli
