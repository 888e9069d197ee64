// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

#include "coordinator/core/enrolment.h"
#include "coordinator/runtime/event_feed.h"
#include "proto/did_work.h"
#include "proto/kind_name.h"
#include "proto/state_names.h"
#include "proto/visit_event.h"
#include "units/format.h"
#include "units/quantity.h"

namespace wattle::runtime {
namespace {

std::string Because(const std::string& reason) {
  return reason.empty() ? "" : absl::StrCat(": ", reason);
}

// A root's hash for people, shortened to its first digits.
std::string RootName(const std::string& sha256) {
  return absl::BytesToHexString(sha256.substr(0, 8));
}

std::string JobOfAttempt(const std::string& attempt_id) {
  return attempt_id.substr(0, attempt_id.find('.'));
}

const char* WordsOf(v1::DeviceUpgradeState state) {
  switch (state) {
    case v1::DEVICE_UPGRADE_STATE_ORDERED:
      return "is to upgrade";
    case v1::DEVICE_UPGRADE_STATE_ACTIVE:
      return "runs the release";
    case v1::DEVICE_UPGRADE_STATE_ROLLED_BACK:
      return "went back";
    case v1::DEVICE_UPGRADE_STATE_REFUSED:
      return "did not begin";
    default:
      return "waits";
  }
}

std::string EvidenceWord(const v1::Receipt& receipt) {
  if (receipt.emulated() || receipt.total().source() == v1::ENERGY_SOURCE_EMULATED) {
    return "emulated";
  }
  return receipt.total().source() == v1::ENERGY_SOURCE_MODEL ||
                 receipt.total().source() == v1::ENERGY_SOURCE_UNSPECIFIED
             ? "modelled"
             : "measured";
}

class EventText {
 public:
  EventText(const EventContext& context, v1::FleetEvent* told) : context_(context), told_(*told) {}

  void On(const v1::JobSubmitted& event) {
    told_.set_job_id(event.job_id());
    const v1::JobSpec& spec = event.spec();
    Say(absl::StrCat(event.job_id(), " submitted",
                     spec.owner().empty() ? "" : absl::StrCat(" by ", spec.owner()), ": ",
                     KindName(spec), spec.name().empty() ? "" : absl::StrCat(" ", spec.name())));
  }
  void On(const v1::JobStateChanged& event) {
    told_.set_job_id(event.job_id());
    Say(absl::StrCat(event.job_id(), " ", LowerName(event.state()), Because(event.reason())));
  }
  void On(const v1::AttemptPlaced& event) {
    Attempt(event.attempt_id(), event.device_id());
    Say(absl::StrCat(event.attempt_id(), " placed", OnDevice(),
                     Because(event.placement().reason())));
  }
  void On(const v1::AttemptStateChanged& event) {
    Attempt(event.attempt_id());
    const std::string energy =
        DidWork(event.receipt())
            ? absl::StrCat(FormatEnergy(Joules(event.receipt().total().gross_energy_joules())), " ",
                           EvidenceWord(event.receipt()))
            : "";
    if (!energy.empty() && EndedBefore(event)) {
      return Say(absl::StrCat(
          "the receipt of ", event.attempt_id(), " came late",
          told_.device_name().empty() ? "" : absl::StrCat(" from ", told_.device_name()), ": ",
          energy));
    }
    const std::string state = LowerName(event.state());
    Say(absl::StrCat(event.attempt_id(), " ", state, OnDevice(),
                     event.reason() == state ? "" : Because(event.reason()),
                     energy.empty() ? "" : "; ", energy));
  }
  void On(const v1::AttemptAdopted& event) {
    Attempt(event.attempt_id());
    Say(absl::StrCat("the late result of ", event.attempt_id(), " was taken",
                     event.superseded_attempt_id().empty()
                         ? ""
                         : absl::StrCat(" instead of ", event.superseded_attempt_id())));
  }
  void On(const v1::AttemptRecovered& event) {
    Attempt(event.attempt_id(), event.device_id());
    Say(absl::StrCat(event.attempt_id(), " was found", OnDevice(),
                     " after the restore: ", event.current() ? "it goes on" : "it is stopped"));
  }
  void On(const v1::AttemptReleased& event) {
    Attempt(event.attempt_id());
    Say(absl::StrCat(event.attempt_id(), " is to leave ", told_.device_name(),
                     Because(event.reason())));
  }
  void On(const v1::JobCheckpointStored& event) {
    Attempt(event.attempt_id());
    Say(absl::StrCat("checkpoint of ", event.job_id(), " stored: step ", event.step()));
  }
  void On(const v1::DeviceRegistered& event) {
    told_.set_device_id(event.info().device_id());
    told_.set_device_name(event.info().name());
    Say(absl::StrCat(event.info().name(), " registered: ", event.info().device_class(),
                     event.info().emulated() ? " (emulated)" : "", ", worker ",
                     event.info().worker_version()));
  }
  void On(const v1::DeviceDrained& event) {
    Device(event.device_id(), absl::StrCat("drained", Because(event.reason())));
  }
  void On(const v1::DeviceResumed& event) { Device(event.device_id(), "takes work again"); }
  void On(const v1::DeviceRemoved& event) { Device(event.device_id(), "removed from the fleet"); }
  void On(const v1::DeviceProblemChanged& event) {
    Device(event.device_id(), event.problem().empty()
                                  ? "has no problem with its identity any more"
                                  : absl::StrCat("has a problem: ", event.problem()));
  }
  void On(const v1::ReportAccepted& event) {
    if (absl::EndsWith(event.note(), "; its energy is booked")) {
      const absl::string_view late = "late: ";
      Device(event.device_id(),
             absl::StrCat(
                 absl::StartsWith(event.note(), late) ? "sent a late report: " : "sent a report: ",
                 absl::StripPrefix(event.note(), late)));
    } else if (!event.note().empty()) {
      Device(event.device_id(), absl::StrCat("sent a report that changed nothing: ", event.note()));
    }
  }
  void On(const v1::ReportStored& event) {
    Device(
        event.device_id(),
        "sent a report of a newer version; the journal keeps the report for a newer coordinator");
  }
  void On(const v1::PolicyApplied& event) {
    Say(absl::StrCat("policy ", event.policy().name(), " applied"));
  }
  void On(const v1::PolicyDeleted& event) {
    Say(absl::StrCat("policy ", event.name(), " removed"));
  }
  void On(const v1::ForecastPushed& event) {
    Say(absl::StrCat("forecast ", event.forecast().name(), " pushed",
                     event.forecast().pushed_by().empty()
                         ? ""
                         : absl::StrCat(" by ", event.forecast().pushed_by())));
  }
  void On(const v1::ForecastRemoved& event) {
    Say(absl::StrCat("forecast ", event.name(), " removed"));
  }
  void On(const v1::ProfilesImported& event) {
    Say(absl::StrCat(
        event.rows_size(), event.rows_size() == 1 ? " profile row" : " profile rows",
        " imported from ", event.file_name(),
        event.fleet().empty() ? "" : absl::StrCat(", fleet ", event.fleet().substr(0, 8))));
  }
  void On(const v1::ImportedProfilesRemoved& event) {
    Say(absl::StrCat(event.rows(),
                     event.rows() == 1 ? " imported profile row" : " imported profile rows",
                     event.device_class().empty() ? "" : absl::StrCat(" of ", event.device_class()),
                     " removed"));
  }
  void On(const v1::ArtifactCommitted& event) {
    const v1::ArtifactInfo& info = event.info();
    told_.set_job_id(info.job_id());
    const absl::string_view made =
        info.kind() == v1::ARTIFACT_KIND_CHECKPOINT ? "a checkpoint of " : "the output of ";
    Say(absl::StrCat(info.name().empty() ? absl::StrCat(made, info.job_id())
                                         : absl::StrCat("artifact ", info.name()),
                     " stored: ", FormatBytes(info.size_bytes())));
  }
  void On(const v1::ArtifactRemoved& event) {
    const std::string names = absl::StrJoin(event.names(), ", ");
    Say(absl::StrCat(event.names_only() ? "name " : "artifact ",
                     names.empty() ? event.artifact_id().substr(0, 12) : names, " removed",
                     Because(event.reason())));
  }
  void On(const v1::TokenCreated& event) {
    const v1::EnrolmentToken& token = event.token();
    if (token.used() > 0) {
      return Say(absl::StrCat("the token ", token.token_id(), " was used ", token.used(), " of ",
                              token.uses(), " times before the restore"));
    }
    Say(absl::StrCat(token.created_by(), " made the token ", token.token_id(), " for ",
                     token.kind() == core::kServiceKind
                         ? absl::StrCat("the service ", token.person())
                     : token.person().empty()
                         ? absl::StrCat(token.uses(), token.uses() == 1 ? " device" : " devices")
                         : absl::StrCat(token.person(), ", ", token.role())));
  }
  void On(const v1::TokenRevoked& event) {
    Say(absl::StrCat(event.by(), " revoked the token ", event.token_id()));
  }
  void On(const v1::IdentityEnrolled& event) {
    Say(absl::StrCat(event.identity().kind(), " ", event.identity().id(), " enrolled by the token ",
                     event.identity().token_id(),
                     event.identity().waits_for_approval() ? " and waits for approval" : ""));
  }
  void On(const v1::ArtifactSigned& event) {
    Say(absl::StrCat(event.by(), " signed ", event.artifact_id().substr(0, 12), " as ",
                     event.signature().signer()));
  }
  void On(const v1::IdentityRenewed& event) {
    Say(absl::StrCat(event.kind(), " ", event.id(), " renewed its certificate"));
  }
  void On(const v1::AuthorityRotated& event) {
    Say(absl::StrCat(event.by(), " made a new root, ", RootName(event.root_sha256())));
  }
  void On(const v1::AuthorityRetired& event) {
    Say(absl::StrCat(event.by(), " retired the root ", RootName(event.root_sha256())));
  }
  void On(const v1::QuotaSet& event) {
    Say(absl::StrCat(event.by(), " set the quota of ",
                     event.quota().project().empty()
                         ? event.quota().owner()
                         : absl::StrCat("project ", event.quota().project())));
  }
  void On(const v1::ProjectSet& event) {
    const v1::Project& project = event.project();
    Say(absl::StrCat(
        event.by(), " set the project ", project.name(),
        project.device_labels().empty()
            ? ""
            : absl::StrCat(", on devices with ", absl::StrJoin(project.device_labels(), ", "))));
  }
  void On(const v1::ProjectRemoved& event) {
    Say(absl::StrCat(event.by(), " removed the project ", event.name()));
  }
  void On(const v1::MemberSet& event) {
    Say(absl::StrCat(event.by(), " made ", event.person(), " a member of ",
                     absl::StrJoin(event.projects(), ", ")));
  }
  void On(const v1::DeviceApproved& event) {
    Device(event.device_id(), absl::StrCat("was approved by ", event.by()));
  }
  void On(const v1::DeviceDoubled& event) {
    told_.set_device_id(event.device_id());
    told_.set_device_name(context_.device_name(event.device_id()));
    Say(event.reason());
  }
  void On(const v1::RefusalsCounted& event) {
    int64_t calls = event.other_calls();
    std::vector<std::string> parts;
    for (const v1::RefusedCalls& refused : event.callers()) {
      calls += refused.calls();
      parts.push_back(absl::StrCat(
          refused.who(), " ", refused.calls() == 1 ? "" : absl::StrCat(refused.calls(), " times "),
          refused.method(),
          refused.reason().empty() ? "" : absl::StrCat(" (", refused.reason(), ")")));
    }
    if (event.other_calls() > 0) {
      parts.push_back(absl::StrCat(event.other_calls(),
                                   event.other_calls() == 1 ? " other call" : " other calls"));
    }
    const double seconds = told_.at_unix_seconds() - event.begin_unix_seconds();
    Say(absl::StrCat(calls, calls == 1 ? " call was" : " calls were", " refused within ",
                     std::max<int64_t>(1, std::llround(seconds)),
                     " s: ", absl::StrJoin(parts, ", ")));
  }
  void On(const v1::IdentityRevoked& event) {
    Say(absl::StrCat(event.by(), " revoked ", event.kind(), " ", event.id(),
                     Because(event.reason())));
  }
  void On(const v1::JournalOpened& event) {
    if (event.epoch() > 0) {
      Say(absl::StrCat("the journal goes on under epoch ", event.epoch(), Because(event.reason())));
    }
  }
  void On(const v1::UpgradeStarted& event) {
    const v1::Upgrade& upgrade = event.upgrade();
    Say(absl::StrCat("upgrade ", upgrade.upgrade_id(), " to ", upgrade.version(),
                     " started: ", upgrade.devices_size(),
                     upgrade.devices_size() == 1 ? " device" : " devices", " in ",
                     upgrade.stages_size(), upgrade.stages_size() == 1 ? " stage" : " stages"));
  }
  void On(const v1::UpgradeStageBegan& event) {
    Say(absl::StrCat("upgrade ", event.upgrade_id(), ": stage ", event.stage() + 1, " began"));
  }
  void On(const v1::DeviceUpgradeChanged& event) {
    const v1::DeviceUpgrade& device = event.device();
    told_.set_device_id(device.device_id());
    told_.set_device_name(device.device_name());
    Say(absl::StrCat("upgrade ", event.upgrade_id(), ": ", device.device_name(), " ",
                     WordsOf(device.state()), Because(device.reason())));
  }
  void On(const v1::UpgradeStateChanged& event) {
    Say(absl::StrCat(
        "upgrade ", event.upgrade_id(), " ",
        event.state() == v1::UPGRADE_STATE_RUNNING ? "goes on" : LowerName(event.state()),
        Because(event.reason())));
  }
  void On(const v1::RestoreFinding& event) {
    Attempt(event.attempt_id(), event.device_id());
    Say(absl::StrCat("after the restore: ", event.text()));
  }
  // Other events show these, or people do not need them.
  void On(const v1::JobInputResolved& /*event*/) {}
  void On(const v1::JobArchived& /*event*/) {}
  void On(const v1::LedgerRecorded& /*event*/) {}
  void On(const v1::ProfileUpdated& /*event*/) {}
  void On(const v1::ModelMeasured& /*event*/) {}
  void On(std::monostate /*event*/) {}

 private:
  // A late receipt repeats the state that the attempt has had since its end. An adopted result also
  // comes after an end, but counts as one.
  [[nodiscard]] bool EndedBefore(const v1::AttemptStateChanged& event) const {
    if (context_.ended_unix_seconds == nullptr || (event.state() != v1::ATTEMPT_STATE_FAILED &&
                                                   event.state() != v1::ATTEMPT_STATE_SUPERSEDED)) {
      return false;
    }
    const double ended = context_.ended_unix_seconds(event.attempt_id());
    return ended > 0 && told_.at_unix_seconds() > ended;
  }
  void Say(const std::string& text) { told_.set_text(text); }
  void Attempt(const std::string& attempt_id, const std::string& device_id) {
    told_.set_attempt_id(attempt_id);
    told_.set_job_id(JobOfAttempt(attempt_id));
    told_.set_device_id(device_id);
    told_.set_device_name(device_id.empty() ? "" : context_.device_name(device_id));
  }
  // The device of an attempt is unknown here if its job has left the state.
  void Attempt(const std::string& attempt_id) {
    Attempt(attempt_id, context_.device_of_attempt(attempt_id));
  }
  [[nodiscard]] std::string OnDevice() const {
    return told_.device_name().empty() ? "" : absl::StrCat(" on ", told_.device_name());
  }
  void Device(const std::string& device_id, const std::string& what) {
    told_.set_device_id(device_id);
    told_.set_device_name(context_.device_name(device_id));
    Say(absl::StrCat(told_.device_name(), " ", what));
  }

  const EventContext& context_;
  v1::FleetEvent& told_;
};

}  // namespace

std::optional<v1::FleetEvent> EventTextOf(const v1::Event& event, const EventContext& context) {
  v1::FleetEvent told;
  told.set_sequence(event.sequence());
  told.set_at_unix_seconds(event.at_unix_seconds());
  told.set_kind(KindName(event));
  told.set_caller(event.caller().identity());
  told.set_caller_address(event.caller().address());
  EventText text(context, &told);
  VisitEvent(event, [&text](const auto& fact) { text.On(fact); });
  return told.text().empty() ? std::nullopt : std::optional<v1::FleetEvent>(std::move(told));
}

}  // namespace wattle::runtime
