// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/projects.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "base/status_macros.h"
#include "coordinator/core/apply_internal.h"
#include "coordinator/core/core.h"
#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/enrolment.h"
#include "proto/state_names.h"
#include "scheduler/place/rules/given_label.h"

namespace wattle::core {
namespace {

constexpr int kLabelsMax = 50;
constexpr int kProjectsMax = 1000;

std::string CountWords(size_t count, absl::string_view one, absl::string_view more) {
  return absl::StrCat(count, " ", count == 1 ? one : more);
}

absl::Status ValidateProject(const v1::Project& project) {
  WATTLE_RETURN_IF_ERROR(CheckId("project", project.name()));
  if (project.name() == kDefaultProject) {
    return absl::InvalidArgumentError(
        "project: \"default\" always is there and has no labels; name another");
  }
  if (project.members_size() > 0) {
    return absl::InvalidArgumentError(
        "members: set by 'wattle project member PERSON --project NAME'; leave the field out");
  }
  if (project.device_labels_size() > kLabelsMax) {
    return absl::InvalidArgumentError(absl::StrCat("device_labels: ", project.device_labels_size(),
                                                   " entries, at most ", kLabelsMax));
  }
  for (const std::string& label : project.device_labels()) {
    WATTLE_RETURN_IF_ERROR(ValidateText("device_labels", label));
    if (label.empty() || label[0] == '=') {
      return absl::InvalidArgumentError(
          absl::StrCat("device_labels: \"", label, "\": want key=value or key"));
    }
  }
  return absl::OkStatus();
}

// What prevents the project's removal, in words; empty if nothing does.
std::string ContentsOf(const State& state, const std::string& project) {
  size_t jobs = 0;
  for (const int64_t number : state.open_jobs) {
    jobs += ProjectOf(state.jobs.at(number).job().spec()) == project ? 1 : 0;
  }
  size_t artifacts = 0;
  for (const auto& [id, info] : state.artifacts) {
    artifacts += ProjectsOf(info).contains(project) ? 1 : 0;
  }
  const v1::Project described = DescribeProject(state, project);
  std::vector<std::string> parts;
  if (jobs > 0) {
    parts.push_back(CountWords(jobs, "open job", "open jobs"));
  }
  if (artifacts > 0) {
    parts.push_back(CountWords(artifacts, "artifact", "artifacts"));
  }
  if (described.members_size() > 0) {
    parts.push_back(absl::StrCat("the members ", absl::StrJoin(described.members(), ", ")));
  }
  return absl::StrJoin(parts, ", ");
}

}  // namespace

bool Scope::Covers(const v1::JobSpec& spec) const {
  return Covers(ProjectOf(spec));
}

bool Scope::Covers(const v1::ArtifactInfo& info) const {
  const std::set<std::string> projects = ProjectsOf(info);
  return std::any_of(projects.begin(), projects.end(),
                     [this](const std::string& project) { return Covers(project); });
}

bool Scope::CoversAllOf(const v1::ArtifactInfo& info) const {
  const std::set<std::string> projects = ProjectsOf(info);
  return std::all_of(projects.begin(), projects.end(),
                     [this](const std::string& project) { return Covers(project); });
}

std::string ProjectOf(const v1::JobSpec& spec) {
  return ProjectName(spec.project());
}

std::set<std::string> ProjectsOf(const v1::ArtifactInfo& info) {
  return info.projects().empty()
             ? std::set<std::string>{kDefaultProject}
             : std::set<std::string>(info.projects().begin(), info.projects().end());
}

std::set<std::string> ProjectsOf(const v1::IdentityRecord* record) {
  return record == nullptr || record->projects().empty()
             ? std::set<std::string>{kDefaultProject}
             : std::set<std::string>(record->projects().begin(), record->projects().end());
}

void SetProjects(const std::set<std::string>& projects, v1::ArtifactInfo& info) {
  info.clear_projects();
  if (projects == std::set<std::string>{kDefaultProject}) {
    return;  // Stored as before projects existed.
  }
  for (const std::string& project : projects) {
    info.add_projects(project);
  }
}

bool ProjectExists(const State& state, const std::string& project) {
  return project == kDefaultProject || state.projects.contains(project);
}

absl::Status CheckProjectExists(const State& state, absl::string_view field,
                                const std::string& project) {
  return ProjectExists(state, project)
             ? absl::OkStatus()
             : absl::NotFoundError(absl::StrCat(field, ": no project \"", project.substr(0, 80),
                                                "\"; 'wattle project ls' lists them"));
}

absl::Status CheckProject(const State& state, const Scope& scope, const std::string& person,
                          const std::string& project) {
  if (scope.Covers(project)) {
    return CheckProjectExists(state, "project", project);
  }
  return absl::PermissionDeniedError(absl::StrCat(
      "project: \"", project.substr(0, 80), "\", and ", person, " is a member of ",
      absl::StrJoin(scope.projects(), ", "),
      "; name one of these with --project, or an admin "
      "gives more: wattle project member ",
      person, " --project ", absl::StrJoin(scope.projects(), ","), ",", project.substr(0, 80)));
}

// Uses label names that a worker cannot set itself (given_labels.h).
v1::JobSpec WithLabelsOfProject(const State& state, const std::string& project, v1::JobSpec spec) {
  if (const v1::Project* const found = state.projects.Find(project); found != nullptr) {
    for (const std::string& wanted : found->device_labels()) {
      const std::string label = absl::StrCat(scheduler::kGivenLabel, wanted);
      const auto& known = spec.required_labels();
      if (std::find(known.begin(), known.end(), label) == known.end()) {
        spec.add_required_labels(label);
      }
    }
  }
  return spec;
}

v1::Project DescribeProject(const State& state, const std::string& project) {
  v1::Project described;
  if (const v1::Project* const found = state.projects.Find(project); found != nullptr) {
    described = *found;
  }
  described.set_name(project);
  for (const auto& [key, identity] : state.identities) {
    if (identity.kind() == kPersonKind && !identity.revoked() &&
        ProjectsOf(&identity).contains(project)) {
      described.add_members(identity.id());
    }
  }
  return described;
}

void Decide(DecisionBuilder& builder, const SetProject& command) {
  if (const absl::Status valid = ValidateProject(command.project); !valid.ok()) {
    builder.Refuse(valid);
    return;
  }
  const v1::Project* const known = builder.state().projects.Find(command.project.name());
  if (known == nullptr && builder.state().projects.size() >= kProjectsMax) {
    builder.Refuse(absl::ResourceExhaustedError(absl::StrCat(
        "project: ", kProjectsMax, " are there, the most; remove one with 'wattle project rm'")));
    return;
  }
  builder.decision().id = command.project.name();
  if (known != nullptr && known->SerializeAsString() == command.project.SerializeAsString()) {
    return;
  }
  v1::ProjectSet& set = *builder.Add().mutable_project_set();
  *set.mutable_project() = command.project;
  set.set_by(command.by);
}

void Decide(DecisionBuilder& builder, const RemoveProject& command) {
  if (command.name == kDefaultProject) {
    builder.Refuse(
        absl::FailedPreconditionError("project: \"default\" always is there; name another"));
    return;
  }
  if (const absl::Status known = CheckProjectExists(builder.state(), "project", command.name);
      !known.ok()) {
    builder.Refuse(known);
    return;
  }
  if (const std::string contents = ContentsOf(builder.state(), command.name); !contents.empty()) {
    builder.Refuse(absl::FailedPreconditionError(absl::StrCat(
        "project ", command.name, ": holds ", contents,
        "; cancel the jobs, remove the artifacts and move the members to other projects first")));
    return;
  }
  builder.decision().id = command.name;
  v1::ProjectRemoved& removed = *builder.Add().mutable_project_removed();
  removed.set_name(command.name);
  removed.set_by(command.by);
}

void Decide(DecisionBuilder& builder, const SetMember& command) {
  const v1::IdentityRecord* const known =
      FindIdentity(builder.state(), kPersonKind, command.person);
  if (known == nullptr || known->revoked()) {
    builder.Refuse(absl::NotFoundError(
        absl::StrCat("person: no person \"", command.person.substr(0, 80),
                     "\" has logged in; 'wattle access ls --kind person' lists them")));
    return;
  }
  const std::set<std::string> projects(command.projects.begin(), command.projects.end());
  for (const std::string& project : projects) {
    if (const absl::Status there = CheckProjectExists(builder.state(), "projects", project);
        !there.ok()) {
      builder.Refuse(there);
      return;
    }
  }
  builder.decision().id = command.person;
  const std::set<std::string> wanted =
      projects.empty() ? std::set<std::string>{kDefaultProject} : projects;
  if (ProjectsOf(known) == wanted) {
    return;
  }
  v1::MemberSet& set = *builder.Add().mutable_member_set();
  set.set_person(command.person);
  set.set_by(command.by);
  for (const std::string& project : wanted) {
    set.add_projects(project);
  }
}

void Applier::On(const v1::ProjectSet& event) {
  state_.projects.Mutable(event.project().name()) = event.project();
  effects_.emplace_back(QueueChanged{});
}

void Applier::On(const v1::ProjectRemoved& event) {
  state_.projects.erase(event.name());
  state_.quotas.erase(QuotaKey("", event.name()));
}

void Applier::On(const v1::MemberSet& event) {
  v1::IdentityRecord& identity =
      state_.identities.Mutable(absl::StrCat(kPersonKind, "/", event.person()));
  *identity.mutable_projects() = event.projects();
}

}  // namespace wattle::core
