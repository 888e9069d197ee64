// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle profiles, wattle profile ls|show|run|export|import|rm: the profile rows, from which
// predictions are made.
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/profile_file.h"
#include "cli/profile_run.h"
#include "cli/profile_view.h"
#include "cli/session.h"
#include "cli/since.h"
#include <CLI/App.hpp>

#include "base/status_macros.h"
#include "scheduler/profiles/exported_rows.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::cli {
namespace {

absl::StatusOr<ExitCode> ListProfiles(Session& session, const std::string& device_class) {
  if (session.json()) {
    WATTLE_ASSIGN_OR_RETURN(const v1::ListProfilesResponse profiles,
                            session.client().Call(&ProfileStub::ListProfiles, device_class));
    session.Print(profiles, [] { return std::string(); });
    return ExitCode::kOk;
  }
  ProfileFacts facts;
  facts.now = session.Now();
  WATTLE_ASSIGN_OR_RETURN(facts.profiles, session.client().Call(&ProfileStub::ListProfiles, ""));
  WATTLE_ASSIGN_OR_RETURN(facts.devices, session.client().Call(&DeviceStub::ListDevices));
  session.PrintText(RenderProfiles(facts, device_class, session.style()));
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> Show(Session& session, const std::string& device_class, bool front) {
  WATTLE_ASSIGN_OR_RETURN(const v1::ListProfilesResponse profiles,
                          session.client().Call(&ProfileStub::ListProfiles, device_class));
  if (profiles.rows().empty()) {
    return absl::NotFoundError(absl::StrCat("no profile rows of class ", device_class,
                                            "; see the classes with wattle profile ls"));
  }
  if (front && !session.json()) {
    const std::string fronts = RenderFronts(profiles, session.style());
    if (fronts.empty()) {
      return absl::NotFoundError(
          absl::StrCat("profile show ", device_class,
                       " --front: no measured row of this class has seconds and "
                       "joules; run a job on a board with a power sensor first"));
    }
    session.PrintText(fronts);
    return ExitCode::kOk;
  }
  session.Print(profiles, [&] {
    std::string text;
    for (const v1::ProfileRow& row : profiles.rows()) {
      absl::StrAppend(&text, text.empty() ? "" : "\n", RenderProfileRow(row));
    }
    return text;
  });
  return ExitCode::kOk;
}

std::string RowsWord(int rows, const std::string& kind = "") {
  return absl::StrCat(rows, kind.empty() ? "" : " ", kind, rows == 1 ? " row" : " rows");
}

struct RowsToExportFlags {
  std::string file;
  std::string device_class;
  std::string device;
};

absl::StatusOr<std::vector<v1::ProfileRow>> ChooseRows(Session& session,
                                                       const RowsToExportFlags& flags) {
  std::string device_id;
  if (!flags.device.empty()) {
    WATTLE_ASSIGN_OR_RETURN(const v1::Device device,
                            session.client().Call(&DeviceStub::GetDevice, flags.device));
    device_id = device.info().device_id();
  }
  WATTLE_ASSIGN_OR_RETURN(const v1::ListProfilesResponse all,
                          session.client().Call(&ProfileStub::ListProfiles, flags.device_class));
  scheduler::ProfileTable table;
  for (const v1::ProfileRow& row : all.rows()) {
    (void)table.Put(row);  // an invalid row serves no prediction, here or elsewhere
  }
  std::vector<v1::ProfileRow> rows = scheduler::RowsToExport(table, flags.device_class, device_id);
  if (rows.empty()) {
    return absl::NotFoundError(
        absl::StrCat("profile export: no measured rows",
                     !flags.device.empty()         ? absl::StrCat(" of ", flags.device)
                     : !flags.device_class.empty() ? absl::StrCat(" of class ", flags.device_class)
                                                   : "",
                     "; run a job there first, wattle profiles lists all rows"));
  }
  if (rows.size() > scheduler::kExportRowsMax) {
    return absl::FailedPreconditionError(
        absl::StrCat("profile export: ", rows.size(), " rows, and a file has at most ",
                     scheduler::kExportRowsMax, "; export one class at a time with --class"));
  }
  return rows;
}

absl::StatusOr<ExitCode> ExportRows(Session& session, const RowsToExportFlags& flags) {
  WATTLE_ASSIGN_OR_RETURN(const std::vector<v1::ProfileRow> rows, ChooseRows(session, flags));
  WATTLE_ASSIGN_OR_RETURN(const v1::CoordinatorStatus fleet,
                          session.client().Call(&CoordinatorStub::GetCoordinator));
  v1::ProfileExport file;
  file.set_format(std::string(scheduler::kExportFormat));
  file.set_version(scheduler::kExportVersion);
  file.set_fleet(fleet.lineage_id());
  file.set_exported_unix_seconds(UnixSeconds(session.Now()));
  file.mutable_rows()->Assign(rows.begin(), rows.end());
  WATTLE_RETURN_IF_ERROR(WriteProfileFile(file, flags.file));
  session.Print(file, [&] {
    std::set<std::string> classes;
    for (const v1::ProfileRow& row : rows) {
      classes.insert(row.device_class());
    }
    return absl::StrCat(flags.file, ": ", RowsWord(file.rows_size()), " of ", classes.size(),
                        classes.size() == 1 ? " class\n" : " classes\n");
  });
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> ImportRows(Session& session, const std::string& path) {
  v1::ImportProfilesRequest request;
  WATTLE_ASSIGN_OR_RETURN(*request.mutable_file(), ReadProfileFile(path));
  request.set_file_name(std::filesystem::path(path).filename().string());
  const auto imported = session.client().Call(&ProfileStub::ImportProfiles, request);
  WATTLE_RETURN_IF_ERROR(WithContext(path, imported.status()));
  session.Print(*imported, [&] {
    return absl::StrCat(path, ": ", RowsWord(imported->imported(), "imported"),
                        "; measured rows of the same workload go before them\n");
  });
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> RemoveImported(Session& session, const std::string& device_class) {
  WATTLE_ASSIGN_OR_RETURN(
      const v1::RemoveImportedProfilesResponse removed,
      session.client().Call(&ProfileStub::RemoveImportedProfiles, device_class));
  session.Print(removed, [&] {
    return absl::StrCat("removed ", RowsWord(removed.removed(), "imported"),
                        "; measured and published rows stay\n");
  });
  return ExitCode::kOk;
}

// The commands that move rows between fleets.
void AddMoves(CLI::App* noun, CommandSlot* slot) {
  const auto flags = std::make_shared<RowsToExportFlags>();
  CLI::App* exported = AddLeaf(
      noun, "export",
      "Write measured rows to a file for another fleet: those of all classes, of one class, or of "
      "one device. The file has no names of devices, jobs or people.",
      "  wattle profile export rows.json\n"
      "  wattle profile export rows.json --class jetson-orin-nano\n"
      "  wattle profile export rows.json --device nano-1\n");
  exported->add_option("FILE", flags->file, "The file to write")->required();
  CLI::Option* of_class =
      exported->add_option("--class", flags->device_class, "Only rows of this device class")
          ->type_name("CLASS");
  exported
      ->add_option("--device", flags->device,
                   "The rows of this device, as rows of its class: for a board that stands for its "
                   "class better than others")
      ->type_name("NAME")
      ->excludes(of_class);
  slot->Bind(exported, [flags](Session& session) { return ExportRows(session, *flags); });
  const auto file = std::make_shared<std::string>();
  CLI::App* imported = AddLeaf(
      noun, "import",
      "Take all rows of a file of wattle profile export, or none. They serve their class until a "
      "board of it has measured the same workload, and never count as measured.",
      "  wattle profile import rows.json\n");
  imported->add_option("FILE", *file, "File of wattle profile export")->required();
  slot->Bind(imported, [file](Session& session) { return ImportRows(session, *file); });
  const auto device_class = std::make_shared<std::string>();
  CLI::App* remove = AddLeaf(noun, "rm", "Remove imported rows. Measured and published rows stay.",
                             "  wattle profile rm\n"
                             "  wattle profile rm --class jetson-orin-nano\n");
  remove->add_option("--class", *device_class, "Only rows of this device class")
      ->type_name("CLASS");
  slot->Bind(remove,
             [device_class](Session& session) { return RemoveImported(session, *device_class); });
}

}  // namespace

void AddProfileCommands(CLI::App* app, CommandSlot* slot) {
  const auto add_list = [slot](CLI::App* parent, const std::string& name,
                               const std::string& command) {
    const auto device_class = std::make_shared<std::string>();
    CLI::App* list = AddLeaf(
        parent, name,
        "List profile rows, measured ones first: the mean, the interval that nine runs in ten keep "
        "to, runs, age, source and drift; then what to measure next.",
        absl::StrCat("  ", command, "\n  ", command, " --class jetson-orin-nano\n"));
    list->add_option("--class", *device_class, "Only rows of this device class")
        ->type_name("CLASS");
    slot->Bind(list,
               [device_class](Session& session) { return ListProfiles(session, *device_class); });
  };
  add_list(app, "profiles", "wattle profiles");
  CLI::App* noun =
      AddGroup(app, "profile",
               "Profile rows, the measured and published numbers behind predictions: ls, show, "
               "run, export, import, rm.",
               "  wattle profile ls\n"
               "  wattle profile show jetson-orin-nano\n"
               "  wattle profile run finetune.yaml --device orin-1 --modes --budget 2\n"
               "  wattle profile export rows.json\n");
  add_list(noun, "ls", "wattle profile ls");
  const auto shown = std::make_shared<std::string>();
  const auto front = std::make_shared<bool>(false);
  CLI::App* show = AddLeaf(noun, "show", "Show every number of a device class's rows.",
                           "  wattle profile show jetson-orin-nano\n"
                           "  wattle profile show jetson-orin-nano --front\n");
  show->add_option("CLASS", *shown, "Device class")->required();
  show->add_flag("--front", *front,
                 "Draw seconds against joules over the power modes of each workload instead");
  slot->Bind(show, [shown, front](Session& session) { return Show(session, *shown, *front); });
  AddProfileRun(noun, slot);
  AddMoves(noun, slot);
}

}  // namespace wattle::cli
