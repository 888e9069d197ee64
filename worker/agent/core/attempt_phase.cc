// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/attempt_phase.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

#include "proto/job_kind.h"

namespace wattle::agent {

v1::AttemptPhase PhaseNamed(absl::string_view name) {
  v1::AttemptPhase phase = v1::ATTEMPT_PHASE_UNSPECIFIED;
  v1::AttemptPhase_Parse(absl::StrCat("ATTEMPT_PHASE_", absl::AsciiStrToUpper(name)), &phase);
  return phase;
}

v1::AttemptPhase MainPhase(const v1::JobSpec& spec) {
  return PhaseNamed(KindOf(spec).main_phase);
}

Activity ActivityOf(v1::AttemptPhase phase, v1::AttemptPhase main_phase) {
  if (phase == main_phase) {
    return Activity::kRun;
  }
  switch (phase) {
    case v1::ATTEMPT_PHASE_FETCH:
      return Activity::kFetch;
    case v1::ATTEMPT_PHASE_LOAD:
      return Activity::kStart;
    case v1::ATTEMPT_PHASE_EVALUATE:
      return Activity::kEvaluate;
    case v1::ATTEMPT_PHASE_CHECKPOINT:
    case v1::ATTEMPT_PHASE_SAVE:
      return Activity::kCheckpoint;
    case v1::ATTEMPT_PHASE_UPLOAD:
      return Activity::kUpload;
    default:  // work of another kind of job: counted, but not as this job's run
      return Activity::kEvaluate;
  }
}

v1::AttemptPhase PhaseOf(Activity activity, v1::AttemptPhase main_phase) {
  switch (activity) {
    case Activity::kFetch:
      return v1::ATTEMPT_PHASE_FETCH;
    case Activity::kStart:
      return v1::ATTEMPT_PHASE_LOAD;
    case Activity::kRun:
      return main_phase;
    case Activity::kEvaluate:
      return v1::ATTEMPT_PHASE_EVALUATE;
    case Activity::kCheckpoint:
      return v1::ATTEMPT_PHASE_CHECKPOINT;
    case Activity::kUpload:
      return v1::ATTEMPT_PHASE_UPLOAD;
    case Activity::kIdle:
    case Activity::kPaused:
      break;
  }
  return v1::ATTEMPT_PHASE_UNSPECIFIED;
}

}  // namespace wattle::agent
