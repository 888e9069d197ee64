// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How each method and route is asked for a resource that is the caller's own, or somebody else's.
#ifndef WATTLE_TESTS_ATTACKS_RESOURCE_PROBES_FOR_TEST_H_
#define WATTLE_TESTS_ATTACKS_RESOURCE_PROBES_FOR_TEST_H_

#include <map>
#include <string>

namespace wattle::attacks {

struct Probe {
  // JSON of the request; of a GET the query. $JOB, $ARTIFACT, $CHUNK, $PROJECT and $OWNER stand
  // for those of the resource, $HELLO for that of its board, $BOARD_JOB for what the board works
  // on.
  std::string request = {};
  // What an answer that gives the resource says, or with a "!" before it does not say. Empty: the
  // status says it, and no resource is left changed by the call.
  std::string told = {};
  // As access::Expected()'s, where the request names another thing than the row is about. Also
  // s: what has the caller as its owner.
  std::string letters = {};
  // The call names nobody's resource: it is about the caller, or what the caller brings.
  bool names_nothing = false;
};

constexpr char kManifestOfChunk[] =
    R"("manifest": {"files": [{"path": "model.safetensors", "size_bytes": 8, "chunk_sha256": ["$CHUNK"]}]})";

// By method or route. Each whose row in access::Expected() has a p, an o or a d is here.
inline const std::multimap<std::string, Probe>& Probes() {
  static const std::string manifest = kManifestOfChunk;
  static const auto& probes = *new std::multimap<std::string, Probe>{
      {"/wattle.v1.JobService/SubmitJob", {R"({"spec": {"project": "$PROJECT"}})"}},
      {"/wattle.v1.JobService/SubmitJob",
       {.request = R"({"spec": {"project": "$PROJECT", "owner": "$OWNER"}})",
        .letters = "-oss----"}},
      {"/wattle.v1.JobService/GetJob", {R"({"job_id": "$JOB"})"}},
      {"/wattle.v1.JobService/ListJobs", {R"({"limit": 100})", R"("$JOB")"}},
      {"/wattle.v1.JobService/CancelJob", {R"({"job_id": "$JOB"})"}},
      {"/wattle.v1.JobService/WatchJob", {R"({"job_id": "$JOB"})"}},
      {"/wattle.v1.JobService/GetJobLogs", {R"({"job_id": "$JOB"})"}},
      {"/wattle.v1.JobService/PlanJob", {R"({"job_id": "$JOB"})"}},
      {"/wattle.v1.JobService/PlanJob", {R"({"spec": {"project": "$PROJECT"}})"}},
      {"/wattle.v1.ArtifactService/MissingChunks", {"{" + manifest + "}", R"(!"$CHUNK")"}},
      // Here and of commits: a handler refuses a board without work, so the gate tells the row.
      {"/wattle.v1.ArtifactService/MissingChunks",
       {.request = "{" + manifest + "}", .names_nothing = true}},
      {"/wattle.v1.ArtifactService/PutChunks", {.names_nothing = true}},
      {"/wattle.v1.ArtifactService/CommitArtifact",
       {"{" + manifest +
        R"(, "info": {"kind": "ARTIFACT_KIND_RESULT", "job_id": "$BOARD_JOB"}, "project": "$PROJECT"})"}},
      {"/wattle.v1.ArtifactService/CommitArtifact", {.names_nothing = true}},
      // What only people push.
      {"/wattle.v1.ArtifactService/CommitArtifact",
       {.request =
            "{" + manifest +
            R"(, "info": {"kind": "ARTIFACT_KIND_MODEL", "job_id": "$BOARD_JOB"}, "project": "$PROJECT"})",
        .letters = "-paa----"}},
      // A job that no attempt of the board was on.
      {"/wattle.v1.ArtifactService/CommitArtifact",
       {.request =
            "{" + manifest +
            R"(, "info": {"kind": "ARTIFACT_KIND_RESULT", "job_id": "j999"}, "project": "$PROJECT"})",
        .letters = "-paa----"}},
      {"/wattle.v1.ArtifactService/GetManifest", {R"({"artifact_id": "$ARTIFACT"})"}},
      {"/wattle.v1.ArtifactService/GetChunks", {R"({"sha256": ["$CHUNK"]})"}},
      {"/wattle.v1.ArtifactService/ListArtifacts", {"{}", R"("$ARTIFACT")"}},
      {"/wattle.v1.ArtifactService/ResolveArtifact", {R"({"reference": "$ARTIFACT"})"}},
      // Names another kind than the artifact's, so that the artifact stays.
      {"/wattle.v1.ArtifactService/RemoveArtifact",
       {R"({"reference": "$ARTIFACT", "kind": "ARTIFACT_KIND_DATASET"})"}},
      // Without a signature.
      {"/wattle.v1.ArtifactService/SignArtifact", {R"({"reference": "$ARTIFACT"})"}},
      {"/wattle.v1.CoordinatorService/WatchEvents", {R"({"limit": 1000})", R"("$JOB")"}},
      {"/wattle.v1.CoordinatorService/ReportEnergy", {"{}", R"("$JOB")"}},
      {"/wattle.v1.CoordinatorService/ReportEnergy",
       {.request = R"({"by": "ENERGY_GROUPING_OWNER"})",
        .told = R"("of-$PROJECT-alone")",
        .letters = "ppaa----"}},
      {"/wattle.v1.AccessService/ListQuotas",
       {.request = "{}", .told = R"("owner":"$OWNER")", .letters = "ssaa----"}},
      {"/wattle.v1.AccessService/ListQuotas",
       {.request = "{}", .told = R"("project":"$PROJECT")", .letters = "ppaa----"}},
      {"/wattle.v1.AccessService/ListProjects",
       {.request = "{}", .told = R"("name":"$PROJECT")", .letters = "ppaa----"}},
      {"/wattle.v1.FleetService/Connect", {R"({"hello": $HELLO})"}},
      {"/wattle.v1.PeerDirectory/Find", {R"({"artifact_id": "$ARTIFACT"})"}},
      {"/wattle.v1.PeerDirectory/Announce", {.names_nothing = true}},
      // Only for a board that the coordinator sent here: see PeerDirectoryTest.
      {"/wattle.v1.PeerDirectory/Check", {.names_nothing = true}},
      {"/wattle.v1.PeerDirectory/EndFetch", {.names_nothing = true}},
      {"GET /api/v1/jobs", {"?limit=100", R"("$JOB")"}},
      {"GET /api/v1/jobs/{job}", {}},
      {"GET /api/v1/artifacts", {"", R"("$ARTIFACT")"}},
      {"POST /api/v1/plan", {R"({"job_id": "$JOB"})"}},
      {"POST /api/v1/plan", {R"({"spec": {"project": "$PROJECT"}})"}},
      {"POST /api/v1/jobs", {R"({"spec": {"project": "$PROJECT"}})"}},
      {"POST /api/v1/jobs",
       {.request = R"({"spec": {"project": "$PROJECT", "owner": "$OWNER"}})",
        .letters = "-oss----"}},
      {"POST /api/v1/jobs/{job}/cancel", {"{}"}},
  };
  return probes;
}

}  // namespace wattle::attacks

#endif  // WATTLE_TESTS_ATTACKS_RESOURCE_PROBES_FOR_TEST_H_
