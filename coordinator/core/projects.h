// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Flat projects: the project of each job and artifact, its members, and what they may see. The
// project "default" always exists, and owns what was stored before projects existed. Pure.
#ifndef WATTLE_COORDINATOR_CORE_PROJECTS_H_
#define WATTLE_COORDINATOR_CORE_PROJECTS_H_

#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

#include "coordinator/core/state.h"
#include "proto/project_name.h"
#include "wattle/v1/access.pb.h"
#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::core {

// The projects whose jobs and artifacts a caller may see.
class Scope {
 public:
  static Scope All() { return Scope(true, {}); }
  static Scope Of(std::set<std::string> projects) { return Scope(false, std::move(projects)); }

  [[nodiscard]] bool all() const { return all_; }
  [[nodiscard]] const std::set<std::string>& projects() const { return projects_; }
  [[nodiscard]] bool Covers(const std::string& project) const {
    return all_ || projects_.contains(project);
  }
  [[nodiscard]] bool Covers(const v1::JobSpec& spec) const;
  // Whether the scope has at least one of the artifact's projects.
  [[nodiscard]] bool Covers(const v1::ArtifactInfo& info) const;
  // Whether the scope has all of the artifact's projects.
  [[nodiscard]] bool CoversAllOf(const v1::ArtifactInfo& info) const;

 private:
  Scope(bool all, std::set<std::string> projects) : all_(all), projects_(std::move(projects)) {}

  bool all_;
  std::set<std::string> projects_;
};

std::string ProjectOf(const v1::JobSpec& spec);
// Never empty.
std::set<std::string> ProjectsOf(const v1::ArtifactInfo& info);
// Projects of a person; without a record: "default".
std::set<std::string> ProjectsOf(const v1::IdentityRecord* record);
// Stores the projects as the state keeps them: sorted, and none for only "default".
void SetProjects(const std::set<std::string>& projects, v1::ArtifactInfo& info);

bool ProjectExists(const State& state, const std::string& project);
// Errors: kNotFound names the field and the remedy.
absl::Status CheckProjectExists(const State& state, absl::string_view field,
                                const std::string& project);
// Checks that the project exists and is in the scope. A missing project is refused like one out of
// scope, so that the error discloses no names. person: for the message. Errors: kPermissionDenied
// names who can add members; CheckProjectExists's.
absl::Status CheckProject(const State& state, const Scope& scope, const std::string& person,
                          const std::string& project);

// The spec with the labels of the project's devices, which the placement uses.
v1::JobSpec WithLabelsOfProject(const State& state, const std::string& project, v1::JobSpec spec);

// The project with its members.
v1::Project DescribeProject(const State& state, const std::string& project);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_PROJECTS_H_
