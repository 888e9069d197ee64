// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A small fleet and its jobs as messages, for the tests of this folder: two emulated Jetsons, a
// Raspberry Pi with a smart plug, a finished and a running job. Times are fixed.
#ifndef WATTLE_CLI_TESTING_SAMPLE_MESSAGES_H_
#define WATTLE_CLI_TESTING_SAMPLE_MESSAGES_H_

#include <vector>

#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/coordinator.pb.h"
#include "wattle/v1/service.pb.h"
#include "wattle/v1/upgrade.pb.h"

namespace wattle::cli {

inline constexpr double kSampleNowUnixSeconds = 1'763'628'000.0;  // 2025-11-20 08:40:00 UTC

v1::ListDevicesResponse SampleDevices();
v1::PlanResponse SamplePlan();              // published priors of GPT-2 Small; the Pi refused
v1::PlanResponse SampleAlternativesPlan();  // a job with a quality floor
v1::PlanResponse SamplePowerModePlan();     // one board, which would be set to a smaller mode
v1::PlanResponse SampleInfeasiblePlan();    // every device refused
v1::Timetable SampleTimetable();            // a board under sun, a busy one, a job without a place
v1::JobSpec SampleSpec();
v1::Job SampleFinishedJob();    // "j1", with a receipt of an emulated device
v1::Job SampleMeasuredJob();    // "j4", with a receipt of a real device and incomplete coverage
v1::Job SampleFailedJob();      // "j3"
v1::JobUpdate SampleRunning();  // "j2", training
v1::ListJobsResponse SampleJobs();
v1::ListForecastsResponse SampleForecasts();
v1::ListArtifactsResponse SampleReleases();
v1::Upgrade SampleUpgrade();  // paused because two devices went back
v1::ListPoliciesResponse SamplePolicies();
v1::ListProfilesResponse SampleProfiles();
v1::ListArtifactsResponse SampleModels();
v1::ListArtifactsResponse SampleDataSets();
v1::CoordinatorStatus SampleCoordinator();
v1::EnergyReport SampleEnergy();             // by device
std::vector<v1::FleetEvent> SampleEvents();  // two
v1::Job SampleRetriedJob();  // "j5": failed on a sensorless Pi, then cancelled on the Nano

}  // namespace wattle::cli

#endif  // WATTLE_CLI_TESTING_SAMPLE_MESSAGES_H_
