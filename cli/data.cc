// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle data push|ls|pull|rm. push reads and checks the whole file before it sends a byte. The
// push also sends the file's statistics, from which a plan takes the lengths of the examples.
#include <memory>

#include "absl/strings/str_cat.h"
#include "cli/artifact_commands.h"
#include "cli/artifact_view.h"
#include "cli/session.h"
#include <CLI/App.hpp>

#include "base/status_macros.h"
#include "formats/data_set.h"

namespace wattle::cli {
namespace {

struct DataFlags {
  std::string name;
  std::string file;
  bool move_name = false;
  std::string project;
};

absl::StatusOr<ExitCode> Push(Session& session, const DataFlags& flags) {
  WATTLE_RETURN_IF_ERROR(CheckArtifactName(flags.name));
  const auto found = formats::DescribeDataSet(flags.file);
  WATTLE_RETURN_IF_ERROR(AsBadInput(found.status()));
  v1::ArtifactInfo info;
  info.set_kind(v1::ARTIFACT_KIND_DATASET);
  info.set_name(flags.name);
  *info.mutable_dataset() = *found;
  WATTLE_ASSIGN_OR_RETURN(
      const v1::ArtifactInfo pushed,
      session.client().PushArtifact(flags.file, info, flags.move_name, flags.project));
  session.Print(pushed, [&] { return RenderPushed(pushed); });
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> ListData(Session& session) {
  WATTLE_ASSIGN_OR_RETURN(const v1::ListArtifactsResponse data,
                          session.client().ListArtifacts(v1::ARTIFACT_KIND_DATASET));
  session.Print(data, [&] { return RenderDataSets(data, session.Now(), session.style()); });
  return ExitCode::kOk;
}

}  // namespace

void AddDataCommands(CLI::App* app, CommandSlot* slot) {
  CLI::App* noun = AddGroup(app, "data", "Data sets: push, ls, pull, rm.",
                            "  wattle data push squad train-v2.0.json\n"
                            "  wattle data ls\n");
  const auto flags = std::make_shared<DataFlags>();
  CLI::App* push =
      AddLeaf(noun, "push",
              "Check a data file and store it under a name: SQuAD 1.1 or 2.0 (.json), prompts "
              "(.jsonl, one {\"prompt\": …} a line, or {\"messages\": …} that the assistant has "
              "not answered), conversations to learn from (.jsonl, one {\"messages\": …} a line), "
              "text (.txt).",
              "  wattle data push squad train-v2.0.json\n"
              "  wattle data push questions prompts.jsonl\n");
  push->add_option("NAME", flags->name, "Name that job files use")->required();
  push->add_option("FILE", flags->file, "Data file")->required();
  push->add_flag("--move", flags->move_name,
                 "Take the name from the artifact that has it; that one keeps its other names");
  push->add_option("--project", flags->project, "Whose members may read it; default: default")
      ->type_name("NAME");
  slot->Bind(push, [flags](Session& session) { return Push(session, *flags); });
  slot->Bind(AddLeaf(noun, "ls", "List data sets, newest first.", "  wattle data ls\n"), ListData);
  const auto pulled = std::make_shared<DataFlags>();
  CLI::App* pull =
      AddLeaf(noun, "pull", "Fetch a data set into a new directory, whole or not at all.",
              "  wattle data pull squad ./squad-copy\n");
  pull->add_option("DATA", pulled->name, "Name or id")->required();
  pull->add_option("DIRECTORY", pulled->file, "Must not be there yet")->required();
  slot->Bind(pull, [pulled](Session& session) {
    return PullArtifact(session, pulled->name, pulled->file);
  });
  const auto removed = std::make_shared<std::string>();
  CLI::App* remove = AddLeaf(
      noun, "rm",
      "Remove a name, and with its last name the data set. Refused while an open job needs it.",
      "  wattle data rm squad-old\n");
  remove->add_option("DATA", *removed, "Name or id")->required();
  slot->Bind(remove, [removed](Session& session) {
    return RemoveArtifact(session, *removed, v1::ARTIFACT_KIND_DATASET);
  });
}

}  // namespace wattle::cli
