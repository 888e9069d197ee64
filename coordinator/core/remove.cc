// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Names and removes artifacts, and removes devices that left the fleet, but nothing that an open
// job needs. Pure.
#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/device_artifacts.h"
#include "coordinator/core/inputs_internal.h"
#include "coordinator/core/lease.h"
#include "coordinator/core/model_family_internal.h"
#include "coordinator/core/moving.h"
#include "coordinator/core/needed_artifacts.h"
#include "coordinator/core/projects.h"
#include "coordinator/core/queueing.h"
#include "coordinator/core/quota.h"
#include "coordinator/core/state.h"
#include "coordinator/core/upgrades.h"
#include "proto/job_kind.h"
#include "units/format.h"

namespace wattle::core {
namespace {

// The artifact's name for people, and the command for its kind.
struct KindWords {
  const char* name;
  const char* command;
};
KindWords WordsOf(const v1::ArtifactInfo& info) {
  return info.kind() == v1::ARTIFACT_KIND_DATASET   ? KindWords{"data set", "wattle data rm"}
         : info.kind() == v1::ARTIFACT_KIND_RELEASE ? KindWords{"release", "wattle release rm"}
                                                    : KindWords{"model", "wattle model rm"};
}

Scope ScopeOf(const std::vector<std::string>& own_projects) {
  return own_projects.empty() ? Scope::All()
                              : Scope::Of({own_projects.begin(), own_projects.end()});
}

// Refuses to take the name from another artifact, unless the caller says move_name.
absl::Status CheckName(const State& state, const CommitArtifact& command) {
  const std::string& name = command.info.name();
  const auto named = state.artifact_names.find(name);
  if (name.empty() || named == state.artifact_names.end() ||
      named->second.value() == command.info.artifact_id()) {
    return absl::OkStatus();
  }
  // A fleet has one space of names. The error discloses that the name is taken, but not by what.
  if (!ScopeOf(command.own_projects).Covers(state.artifacts.at(named->second))) {
    return absl::AlreadyExistsError(
        absl::StrCat("\"", name, "\" is a name in another project; choose another name"));
  }
  if (command.move_name) {
    return absl::OkStatus();
  }
  return absl::AlreadyExistsError(absl::StrCat("\"", name, "\" is the name of another ",
                                               WordsOf(state.artifacts.at(named->second)).name,
                                               " (", named->second.value().substr(0, 12),
                                               "); choose another name, or add --move to take it"));
}

// Checks that a release was pushed as one, and that its version stays the same.
absl::Status CheckCommittedRelease(const State& state, const v1::ArtifactInfo& info) {
  const v1::ArtifactInfo* const known = state.artifacts.Find(ArtifactId(info.artifact_id()));
  if (known != nullptr &&
      (known->kind() != info.kind() || known->release_version() != info.release_version() ||
       known->release_architecture() != info.release_architecture())) {
    return absl::InvalidArgumentError(
        absl::StrCat("these files are stored already as ",
                     known->kind() == v1::ARTIFACT_KIND_RELEASE
                         ? absl::StrCat("release ", known->release_version(), " for ",
                                        known->release_architecture())
                         : "something else than a release",
                     "; push the programs of ", info.release_version()));
  }
  return CheckRelease(state, info);
}

absl::Status CheckCommit(const State& state, const CommitArtifact& command) {
  const v1::ArtifactInfo& info = command.info;
  if (info.artifact_id().empty()) {
    return absl::InvalidArgumentError("artifact_id: missing");
  }
  if (!command.device.value().empty()) {
    WATTLE_RETURN_IF_ERROR(CheckMayCommit(state, command.device, info));
  }
  WATTLE_RETURN_IF_ERROR(CheckName(state, command));
  return info.kind() == v1::ARTIFACT_KIND_RELEASE ? CheckCommittedRelease(state, info)
                                                  : absl::OkStatus();
}

// Corrects a worker's declaration: the output of a job that makes no model is no model. The
// coordinator knows the parent of a quantized model and the owner of the job.
void CorrectOutput(const State& state, v1::ArtifactInfo& info) {
  const v1::JobRecord* record = FindJob(state, JobId(info.job_id()));
  if (info.kind() == v1::ARTIFACT_KIND_RESULT && record != nullptr &&
      !KindOf(record->job().spec()).makes_model) {
    info.clear_model_shape();
    info.clear_parameter_count();
    info.clear_quantization();
    info.clear_recipe();
  }
  if (info.pushed_by().empty() && record != nullptr) {
    info.set_pushed_by(record->job().spec().owner());
  }
  SetParent(state, info);
}

// Whether the state still lacks the fact that the job made these bytes too.
bool IsOtherUpload(const State& state, const v1::ArtifactInfo& known, const std::string& job_id) {
  const int64_t number = JobNumber(job_id).value_or(0);
  const std::set<ArtifactId>* const noted = state.other_uploads.Find(number);
  return known.job_id() != job_id && state.open_jobs.contains(number) &&
         (noted == nullptr || !noted->contains(ArtifactId(known.artifact_id())));
}

// Refuses to remove an artifact of another kind than the caller expects: "data rm" never removes a
// model.
absl::Status CheckKind(const RemoveArtifact& command, const v1::ArtifactInfo& info) {
  v1::ArtifactInfo wanted;
  wanted.set_kind(command.kind);
  const KindWords found = WordsOf(info);
  const KindWords expected = WordsOf(wanted);
  const bool told = command.kind == v1::ARTIFACT_KIND_DATASET ||
                    command.kind == v1::ARTIFACT_KIND_RELEASE ||
                    command.kind == v1::ARTIFACT_KIND_MODEL;
  if (told && found.name != expected.name) {
    return absl::InvalidArgumentError(absl::StrCat("\"", command.reference, "\" is no ",
                                                   expected.name, ", it is a ", found.name,
                                                   "; remove it with '", found.command, "'"));
  }
  return absl::OkStatus();
}

}  // namespace

void Decide(DecisionBuilder& builder, const CommitArtifact& told) {
  CommitArtifact command = told;
  v1::ArtifactInfo& info = command.info;
  if (absl::Status may = CheckCommit(builder.state(), command); !may.ok()) {
    builder.Refuse(may);
    return;
  }
  if (!command.device.value().empty()) {
    SetProjects({ProjectOf(FindJob(builder.state(), JobId(info.job_id()))->job().spec())}, info);
  }
  builder.decision().id = info.artifact_id();
  const auto known = builder.state().artifacts.find(ArtifactId(info.artifact_id()));
  const auto named = builder.state().artifact_names.find(info.name());
  const bool name_moves = !info.name().empty() && (named == builder.state().artifact_names.end() ||
                                                   named->second.value() != info.artifact_id());
  // The service has checked that the projects exist. Artifacts of a project that a restored backup
  // lacks come back: operators see them, and members once the project is made again.
  std::set<std::string> projects = ProjectsOf(info);
  const std::set<std::string> before = known != builder.state().artifacts.end()
                                           ? ProjectsOf(known->second)
                                           : std::set<std::string>();
  projects.insert(before.begin(), before.end());
  const bool other_upload = known != builder.state().artifacts.end() &&
                            !command.device.value().empty() &&
                            IsOtherUpload(builder.state(), known->second, info.job_id());
  if (known != builder.state().artifacts.end() && !name_moves && !other_upload &&
      projects == before) {
    return;  // Repeated.
  }
  if (projects != before) {
    for (const std::string& project : ProjectsOf(info)) {
      if (absl::Status may =
              CheckProjectsArtifactQuota(builder.state(), project, info.size_bytes());
          !before.contains(project) && !info.pushed_by().empty() && !may.ok()) {
        builder.Refuse(may);
        return;
      }
    }
  }
  if (known != builder.state().artifacts.end()) {
    // The same bytes get another name and keep their known facts.
    v1::ArtifactInfo& committed = *builder.Add().mutable_artifact_committed()->mutable_info();
    committed = known->second;
    if (!info.name().empty()) {
      committed.set_name(info.name());
    }
    if (other_upload) {
      committed.set_job_id(info.job_id());
    }
    SetProjects(projects, committed);
    return;
  }
  if (absl::Status may = CheckArtifactQuota(builder.state(), info.pushed_by(), info.size_bytes());
      !may.ok()) {
    builder.Refuse(may);
    return;
  }
  v1::ArtifactInfo& committed = *builder.Add().mutable_artifact_committed()->mutable_info();
  committed = info;
  SetProjects(projects, committed);
  CorrectOutput(builder.state(), committed);
}

void Decide(DecisionBuilder& builder, const RemoveDevice& command) {
  const State& state = builder.state();
  const v1::DeviceRecord* record = FindDevice(state, command.device);
  if (record == nullptr) {
    builder.Refuse(absl::NotFoundError(
        absl::StrCat("no device \"", command.device.value(), "\"; 'wattle devices' lists them")));
    return;
  }
  builder.decision().id = command.device.value();
  if (record->removed()) {
    return;  // Repeated.
  }
  const std::string& name = record->info().name();
  const auto seen = builder.observations().devices.find(command.device);
  if (seen != builder.observations().devices.end() && seen->second.connected) {
    builder.Refuse(absl::FailedPreconditionError(
        absl::StrCat(name, " is connected; stop its worker first, else it registers again")));
    return;
  }
  for (const v1::Attempt* const attempt : AttemptsOn(state, command.device)) {
    const v1::JobRecord& job = *FindJob(state, JobId(attempt->job_id()));
    const std::optional<Move> move = MoveOf(state, builder.observations(), job, builder.now());
    if (!move.has_value() || !move->device_is_silent) {
      builder.Refuse(absl::FailedPreconditionError(absl::StrCat(
          name, " holds attempt ", attempt->attempt_id(),
          "; cancel its job, or wait until nothing was heard of the device for its lease of ",
          FormatElapsed(absl::Seconds(std::round(LeaseSecondsOf(*attempt)))))));
      return;
    }
    const std::string reason = absl::StrCat(move->reason, ", which was removed");
    builder.SetAttempt(*attempt, v1::ATTEMPT_STATE_SUPERSEDED, reason, nullptr);
    builder.Requeue(job.job().job_id(), reason);
  }
  builder.Add().mutable_device_removed()->set_device_id(command.device.value());
}

void Decide(DecisionBuilder& builder, const RemoveArtifact& command) {
  const State& state = builder.state();
  const Scope scope = ScopeOf(command.own_projects);
  const absl::StatusOr<ArtifactId> id =
      ResolveArtifact(state, command.reference, scope, command.kind);
  if (!id.ok() || !state.artifacts.contains(*id)) {
    builder.Refuse(id.ok() ? absl::NotFoundError(
                                 absl::StrCat("\"", command.reference, "\" is removed already"))
                           : id.status());
    return;
  }
  builder.decision().id = id->value();
  if (absl::Status fits = CheckKind(command, state.artifacts.at(*id)); !fits.ok()) {
    builder.Refuse(fits);
    return;
  }
  if (state.artifacts.at(*id).kind() == v1::ARTIFACT_KIND_RELEASE && !scope.all()) {
    builder.Refuse(absl::PermissionDeniedError(
        absl::StrCat("\"", command.reference, "\" is a release; an operator removes it")));
    return;
  }
  if (!scope.CoversAllOf(state.artifacts.at(*id))) {
    builder.Refuse(absl::FailedPreconditionError(
        absl::StrCat("\"", command.reference,
                     "\" is also another project's; an operator removes what several have")));
    return;
  }
  std::vector<std::string> names = NamesOf(state, *id);
  // Removes only the name while the artifact has other names.
  const bool names_only = names.size() > 1 && state.artifact_names.contains(command.reference);
  if (names_only) {
    names = {command.reference};
  } else if (const std::vector<std::string> jobs = OpenJobsWith(state, *id); !jobs.empty()) {
    builder.Refuse(absl::FailedPreconditionError(absl::StrCat(
        "\"", command.reference, "\" is needed by ", absl::StrJoin(jobs, ", "),
        "; wait until it has ended, or cancel it with 'wattle job cancel ", jobs.front(), "'")));
    return;
  } else if (const v1::Upgrade* const upgrade = UpgradeWith(state, *id); upgrade != nullptr) {
    builder.Refuse(absl::FailedPreconditionError(
        absl::StrCat("\"", command.reference, "\" is needed by upgrade ", upgrade->upgrade_id(),
                     "; wait for its end, or run 'wattle upgrade abort'")));
    return;
  }
  v1::ArtifactRemoved& removed = *builder.Add().mutable_artifact_removed();
  removed.set_artifact_id(id->value());
  removed.set_names_only(names_only);
  for (const std::string& name : names) {
    removed.add_names(name);
  }
}

void Decide(DecisionBuilder& builder, const EvictArtifact& command) {
  if (const absl::Status may = CheckNotNeeded(builder.state(), command.artifact); !may.ok()) {
    builder.Refuse(may);
    return;
  }
  builder.decision().id = command.artifact.value();
  if (builder.state().artifacts.contains(command.artifact)) {
    v1::ArtifactRemoved& removed = *builder.Add().mutable_artifact_removed();
    removed.set_artifact_id(command.artifact.value());
    removed.set_reason(command.reason);
  }
}

}  // namespace wattle::core
