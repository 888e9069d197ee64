// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Flat projects: which one a job or an artifact is of, who is a member, and what a member may see.
// "default" always is there. What was stored before there were projects is of it. Pure.
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

// The projects of which somebody may see jobs and artifacts.
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
  // One of the artifact's projects is enough.
  [[nodiscard]] bool Covers(const v1::ArtifactInfo& info) const;
  // None of the artifact's projects is another's.
  [[nodiscard]] bool CoversAllOf(const v1::ArtifactInfo& info) const;

 private:
  Scope(bool all, std::set<std::string> projects) : all_(all), projects_(std::move(projects)) {}

  bool all_;
  std::set<std::string> projects_;
};

std::string ProjectOf(const v1::JobSpec& spec);
// Never empty.
std::set<std::string> ProjectsOf(const v1::ArtifactInfo& info);
// Of a person; those of nobody's record: "default".
std::set<std::string> ProjectsOf(const v1::IdentityRecord* record);
// As the state keeps them: sorted; none for "default" alone.
void SetProjects(const std::set<std::string>& projects, v1::ArtifactInfo& info);

bool ProjectExists(const State& state, const std::string& project);
// Errors: kNotFound names the field and the remedy.
absl::Status CheckProjectExists(const State& state, absl::string_view field,
                                const std::string& project);
// Whether the project is there and in the scope. A project that is not there is refused like
// another's, so that no name is told. person: for the message. Errors: kPermissionDenied says who
// makes somebody a member; CheckProjectExists's.
absl::Status CheckProject(const State& state, const Scope& scope, const std::string& person,
                          const std::string& project);

// The spec as it is placed: with the labels of the project's devices.
v1::JobSpec WithLabelsOfProject(const State& state, const std::string& project, v1::JobSpec spec);

// The project with its members.
v1::Project DescribeProject(const State& state, const std::string& project);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_PROJECTS_H_
