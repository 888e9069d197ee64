// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle project set|ls|rm|member: groups of jobs and artifacts, and their members.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/access_view.h"
#include "cli/session.h"
#include "cli/table.h"
#include <CLI/App.hpp>

#include "base/status_macros.h"

namespace wattle::cli {
namespace {

struct ProjectFlags {
  std::string name;
  std::vector<std::string> labels;
};
struct MemberFlags {
  std::string person;
  std::vector<std::string> projects;
};

absl::StatusOr<ExitCode> SetProject(Session& session, const ProjectFlags& flags) {
  v1::SetProjectRequest request;
  v1::Project& project = *request.mutable_project();
  project.set_name(flags.name);
  project.mutable_device_labels()->Add(flags.labels.begin(), flags.labels.end());
  WATTLE_ASSIGN_OR_RETURN(const v1::Project set,
                          session.client().Call(&AccessStub::SetProject, request));
  session.Print(set, [&] { return absl::StrCat("set the project ", Printable(set.name()), "\n"); });
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> ListProjects(Session& session) {
  WATTLE_ASSIGN_OR_RETURN(const v1::ListProjectsResponse projects,
                          session.client().Call(&AccessStub::ListProjects));
  session.Print(projects, [&] { return RenderProjects(projects, session.style()); });
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> RemoveProject(Session& session, const std::string& name) {
  WATTLE_RETURN_IF_ERROR(session.client().Call(&AccessStub::RemoveProject, name).status());
  session.Print(v1::RemoveProjectResponse(),
                [&] { return absl::StrCat("removed the project ", Printable(name), "\n"); });
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> SetMember(Session& session, const MemberFlags& flags) {
  v1::SetMemberRequest request;
  request.set_person(flags.person);
  request.mutable_projects()->Add(flags.projects.begin(), flags.projects.end());
  WATTLE_RETURN_IF_ERROR(session.client().Call(&AccessStub::SetMember, request).status());
  session.Print(v1::SetMemberResponse(), [&] {
    return absl::StrCat(Printable(flags.person), " is a member of ",
                        Printable(absl::StrJoin(flags.projects, ", ")), "\n");
  });
  return ExitCode::kOk;
}

}  // namespace

void AddProjectCommands(CLI::App* app, CommandSlot* slot) {
  CLI::App* project =
      AddGroup(app, "project",
               "Projects, whose members see their own jobs and artifacts: set, ls, rm, member.",
               "  wattle project set north --device-label site=north\n"
               "  wattle project member ann --project north,default\n");
  const auto flags = std::make_shared<ProjectFlags>();
  CLI::App* set = AddLeaf(project, "set", "Make a project or replace its labels, for admins.",
                          "  wattle project set north --device-label site=north\n");
  set->add_option("NAME", flags->name, "Letters, digits, '-', '_' and '.'")->required();
  set->add_option(
         "--device-label", flags->labels,
         "Its jobs run only on devices that got this label by their enrolment token; repeatable")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false)
      ->take_all();
  slot->Bind(set, [flags](Session& session) { return SetProject(session, *flags); });
  slot->Bind(AddLeaf(project, "ls",
                     "List the projects with their members; yours alone unless you are an operator "
                     "or admin.",
                     "  wattle project ls\n"),
             ListProjects);
  const auto name = std::make_shared<std::string>();
  CLI::App* remove = AddLeaf(
      project, "rm", "Remove a project without open jobs, artifacts and members, for admins.",
      "  wattle project rm north\n");
  remove->add_option("NAME", *name, "As in wattle project ls")->required();
  slot->Bind(remove, [name](Session& session) { return RemoveProject(session, *name); });
  const auto member = std::make_shared<MemberFlags>();
  CLI::App* set_member =
      AddLeaf(project, "member", "Say of which projects a person is a member, for admins.",
              "  wattle project member ann --project north,default\n");
  set_member->add_option("PERSON", member->person, "Who")->required();
  set_member->add_option("--project", member->projects, "All of them, from now on")
      ->delimiter(',')
      ->type_name("NAME,NAME")
      ->required();
  slot->Bind(set_member, [member](Session& session) { return SetMember(session, *member); });
}

}  // namespace wattle::cli
