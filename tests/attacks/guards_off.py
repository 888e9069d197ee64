# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""For each attack of this folder, and of tests/integration/attacks_test.py, the smallest change of the product that turns its guard off: the
attack then succeeds, and its test fails. tests/planted_bugs.py runs them, and checks that each test is here once or has its reason in NO_GUARD.
"""

import pathlib
import re

from bug import Bug

HERE = pathlib.Path(__file__).resolve().parent
PROGRAMS_TEST = HERE.parent / "integration/attacks_test.py"

CONNECTION = (
    Bug("an address with any number of connections", "base/tls_terminator/tls_terminator.cc", "of_share >= limits_.connections_per_address) {",
        "of_share < 0) {", "wattle_connection_attacks_test", "ConnectionAttacks.AnAddressHasItsShareAndNoMore"),
    Bug("the share of an address is not handed on", "coordinator/rpc/server.cc", ".connections_per_address = options.connections_per_address,",
        ".connections_per_address = 0,", "wattle_connection_attacks_test", "ConnectionAttacks.TenThousandConnectionsOfGarbageDoNotDisturbAJob"),
    Bug("a handshake of any length", "coordinator/rpc/server.cc", ".handshake_patience = options.handshake_patience,",
        ".handshake_patience = 200 * options.handshake_patience,", "wattle_connection_attacks_test", "ConnectionAttacks.AHandshakeThatStopsIsGivenUp"),
    Bug("gRPC without a certificate", "base/tls/server_session.cc", "SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT", "SSL_VERIFY_PEER",
        "wattle_frame_attacks_test", "FrameAttacks.AStrangersBytesReachNobody"),
    Bug("a flood of header blocks goes on", "base/http2/frame_checker.cc", "if (block_.size() + fragment.size() > kHeaderBlockBytesMax) {",
        "if (fragment.size() > kHeaderBlockBytesMax) {", "wattle_frame_attacks_test", "FrameAttacks.AFloodOfAnEnrolledBoardEndsItsConnectionAndNamesIt"),
)

HTTP = (
    Bug("any Host", "coordinator/http/http_server.cc", 'if (request.has_header("Host")) {', "if (false) {",
        "wattle_attacks_test", "HttpAttacks.APageWhoseNameIsReboundToThisMachineDoesNothing"),
    Bug("a body is the next request", "base/http/threaded_server.cc", "whole = !HasBody(request) && !refused;", "whole = (!HasBody(request) || true) && !refused;",
        "wattle_attacks_test", "HttpAttacks.ABodyIsNoSecondRequest"),
    Bug("two Hosts", "coordinator/http/http_server.cc", "hosts > 1 ||", "hosts > 1000 ||", "wattle_attacks_test", "HttpAttacks.ADoubledHostIsRefused"),
    Bug("the oldest connection makes no room", "base/http/threaded_server.cc", "if (!GiveUpOldest(&address)) {", "if (true) {",
        "wattle_attacks_test", "HttpAttacks.ThousandDrippingConnectionsDoNotSilenceHealth"),
    Bug("a flood takes another address's place", "base/http/threaded_server.cc", "if (address != nullptr && connection.address != *address) {",
        "if (address != nullptr && connection.address.empty()) {", "wattle_attacks_test", "HttpAttacks.AFloodOfOneAddressTakesNoOthersPlace"),
    Bug("a request of any duration", "base/http/socket_stream.cc", "waited_ += Clock::Real().Boottime() - begun;", "(void)begun;",
        "wattle_attacks_test", "HttpAttacks.ADrippingRequestIsGivenUp"),
    Bug("a head of any length", "base/http/socket_stream.cc", "return head_bytes_ > kHeadBytesMax;", "return head_bytes_ > (kHeadBytesMax << 20);",
        "wattle_attacks_test", "HttpAttacks.AnEndlessRequestIsCutOff"),
    Bug("a small stack", "base/http/threaded_server.cc", "kStackBytes = size_t{8} << 20", "kStackBytes = size_t{256} << 10",
        "wattle_attacks_test", "HttpAttacks.TheLongestPathAndRangeDoNotOverflowAThreadsStack"),
    Bug("the library's backlog", "base/http/threaded_server.cc", "(void)::listen(svr_sock_, SOMAXCONN);", "(void)svr_sock_;",
        "wattle_attacks_test", "HttpAttacks.ABurstOfConnectionsFindsAnOpenDoor"),
)

IDENTITY = (
    Bug("a hello of any board", "coordinator/rpc/worker_stream.cc", "if (caller_->kind == kAnybody ||\n", "if (caller_->kind == kAnybody || !device.device_id().empty() ||\n",
        "wattle_attacks_test", "IdentityAttacks.AHelloWithAnotherIdThanTheCertificatesIsRefused"),
    Bug("a person connects as a board", "coordinator/access/access_table.cc", '{"/wattle.v1.FleetService/Connect", kDevice},',
        '{"/wattle.v1.FleetService/Connect", kEverybody},', "wattle_attacks_test", "IdentityAttacks.APersonIsNoDevice"),
    Bug("a token is used again and again", "coordinator/core/enrolment.cc", "if (token->used() >= token->uses()) {", "if (token->used() >= token->uses() + 1000) {",
        "wattle_attacks_test", "IdentityAttacks.ASpentExpiredRevokedOrWrongTokenIsRefusedWithItsReason"),
    Bug("a lost answer is lost", "coordinator/core/enrolment.cc", "known->signing_request_sha256() == shown.signing_request_sha256;",
        "known->signing_request_sha256() != shown.signing_request_sha256;", "wattle_attacks_test", "IdentityAttacks.ALostAnswerIsGivenAgainAndNothingElse"),
    Bug("a token takes a board over", "coordinator/core/enrolment.cc", "if (!known->revoked() && !same_key && identity.kind() == kDeviceKind) {",
        "if (!known->revoked() && !same_key && identity.kind().empty()) {", "wattle_attacks_test", "IdentityAttacks.ATokenDoesNotTakeABoardOver"),
    Bug("callers of any authority", "base/tls/server_session.cc", "SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);",
        "SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, [](int, X509_STORE_CTX*) { return 1; });", "wattle_attacks_test",
        "IdentityAttacks.ACertificateOfAForeignAuthorityEndsTheHandshake",
        (("coordinator/callers/callers.cc", "record->public_key_sha256() != facts.public_key_sha256) {", "facts.uris.empty()) {"),)),
    Bug("a server's certificate calls", "base/tls/server_session.cc", "SSL_CTX_set_read_ahead(context, 1);", "SSL_CTX_set_purpose(context, X509_PURPOSE_ANY);",
        "wattle_attacks_test", "IdentityAttacks.ACertificateForServersIsNoCallers"),
    Bug("any pin", "base/tls/certificate.cc", "ToHex(KeySha256(X509_get0_pubkey(one))) == pin &&", "ToHex(KeySha256(X509_get0_pubkey(one))) != pin.substr(1) &&",
        "wattle_attacks_test", "IdentityAttacks.AManInTheMiddleOfAnEnrolmentHearsNoSecret"),
    Bug("a board enrols others", "base/tls/credentials.cc", "return IsCoordinator(facts) ?", "return IsCoordinator(facts) || !chain_pem.empty() ?",
        "wattle_attacks_test", "IdentityAttacks.AStolenBoardIsNoCoordinatorOfAnEnrolment"),
    Bug("a handshake of TLS 1.2", "base/tls/server_session.cc", "SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION)", "SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION)",
        "wattle_attacks_test", "IdentityAttacks.PlainTextAndTls12AreRefused"),
    Bug("a stream outlives its revocation", "coordinator/rpc/access_service.cc", '    streams_.CloseDevice(device, "this device was revoked");\n', "",
        "wattle_attacks_test", "IdentityAttacks.ARevokedDeviceLosesItsStreamAndComesNotBack"),
    Bug("policies for a board that nobody approved", "coordinator/core/decide.cc", "if (!MayWork(state, device)) {", "if (IsRevoked(state, device)) {",
        "wattle_attacks_test", "IdentityAttacks.ABoardThatNobodyApprovedGetsNothingOfTheFleet"),
    Bug("samples of a board that nobody approved", "coordinator/rpc/worker_stream.cc", "return core::WaitsForApproval(state, device_); })) {",
        'return core::WaitsForApproval(state, DeviceId("")); })) {', "wattle_attacks_test", "IdentityAttacks.ABoardThatNobodyApprovedSendsPrometheusNothing"),
    Bug("a revoked person goes on", "coordinator/callers/callers.cc", "if (record.has_value() && record->revoked()) {",
        "if (record.has_value() && record->revoked() && parts[0] == core::kDeviceKind) {", "wattle_attacks_test", "IdentityAttacks.ARevokedPersonIsRefusedAtTheNextCall"),
    Bug("a certificate of the future calls", "coordinator/callers/callers.cc", "if (age != core::CertificateAge::kValid && !renews) {",
        "if (age != core::CertificateAge::kValid && age != core::CertificateAge::kNotYet && !renews) {", "wattle_attacks_test",
        "IdentityAttacks.ACertificateOfTheFutureMayRenewAndNothingElse"),
    Bug("an expired certificate calls", "coordinator/callers/callers.cc", "if (age != core::CertificateAge::kValid && !renews) {",
        "if (age == core::CertificateAge::kNotYet && !renews) {", "wattle_attacks_test", "IdentityAttacks.AnExpiredCertificateMayRenewAndNothingElse"),
    Bug("calls without an end", "coordinator/callers/call_limits.cc", "if (left < 1) {", "if (left < -1e9) {",
        "wattle_attacks_test", "IdentityAttacks.AFloodOfOneCallerIsRefusedAndNobodyElses"),
    Bug("any number of streams", "coordinator/callers/call_limits.cc", "if (static_cast<int>(all.size()) >= most_.streams) {",
        "if (static_cast<int>(all.size()) >= 1000 * most_.streams) {",
        "wattle_attacks_test", "IdentityAttacks.ACallerHoldsNoMoreStreamsThanItsLimit"),
    Bug("a list with secrets", "coordinator/rpc/access_service.cc", "      listed.clear_secret_sha256();\n", "",
        "wattle_attacks_test", "IdentityAttacks.AListOfIdentitiesHasNoSecretsAndNoSpentTokens"),
    Bug("everybody's quotas", "coordinator/rpc/access_projects.cc", ": quota.owner() != own && !scope.all();", ": quota.owner().empty() && !scope.all();",
        "wattle_attacks_test", "IdentityAttacks.APersonSeesTheirOwnQuotaAlone"),
)

STREAM = (
    Bug("Prometheus is sent anywhere", "coordinator/rpc/peer.cc", "const HostPort address = {peer_host, parsed->port};", "const HostPort address = *parsed;",
        "wattle_attacks_test", "StreamAttacks.AWorkerSendsPrometheusNowhereElse"),
    Bug("a live board yields to anybody", "coordinator/rpc/fleet_service.cc", "stream->YieldsTo(newcomer, now)) {", "stream->YieldsTo(newcomer, now) || true) {",
        "wattle_attacks_test", "StreamAttacks.AnImpostorDoesNotTakeOverALiveBoard"),
    Bug("a copied card works", "coordinator/rpc/fleet_service.cc", ".doubled = stream->IsDoubledBy(newcomer, now)};", ".doubled = false};",
        "wattle_attacks_test", "StreamAttacks.ACopiedCardHasNoWork"),
    Bug("a board is its own rival", "coordinator/rpc/worker_stream.cc", "process_id_ == newcomer.process_id_ ||", 'process_id_ == absl::StrCat(newcomer.process_id_, "x") ||',
        "wattle_attacks_test", "StreamAttacks.TheBoardItselfComesBackAtOnce"),
    Bug("silence is life", "coordinator/rpc/worker_stream.cc", "kSilentHeartbeats = 3;", "kSilentHeartbeats = 3'000'000;",
        "wattle_attacks_test", "StreamAttacks.ARestartedBoardComesBackOnceTheOldStreamIsSilent"),
    Bug("reports without a bound", "coordinator/rpc/worker_stream.cc", "constexpr int kUnansweredMax = 256;", "constexpr int kUnansweredMax = 1'000'000;",
        "wattle_attacks_test", "ReportFlood.TakesNoPlaceOfAnyoneElse"),
    Bug("acknowledgements without a bound", "coordinator/rpc/worker_stream.cc", "constexpr size_t kMetricsUnreadMax = 1000;", "constexpr size_t kMetricsUnreadMax = 1'000'000;",
        "wattle_attacks_test", "SampleFlood.AcknowledgementsThatNobodyReadsDoNotPileUp"),
    Bug("a message of any size", "coordinator/rpc/server.cc", "  PermitKeepalive(builder);\n", "  PermitKeepalive(builder);\n  builder.SetMaxReceiveMessageSize(-1);\n",
        "wattle_attacks_test", "StreamAttacks.AMessageBeyondTheLimitEndsItsStreamAlone"),
)

REVOCATION = (
    Bug("a revoked person's streams go on", "coordinator/rpc/access_service.cc", "    EndStreams(core::kPersonKind, request->person());\n", "",
        "wattle_attacks_test", "RevocationAttacks.NoStreamOfARevokedPersonGoesOn"),
    Bug("streams that gRPC answers count for nobody", "coordinator/rpc/message_counter.cc", 'if (!absl::StartsWith(method, "/wattle.v1.") && call->type() != Type::UNARY) {',
        "if (method.empty()) {", "wattle_attacks_test", "OwnStreamAttacks.TheyCountAsStreamsOfTheirCaller"),
    Bug("streams that gRPC answers outlive a revocation", "coordinator/rpc/message_counter.cc", "[call](const absl::Status& why) { End(*call, why); }",
        "[](const absl::Status&) {}", "wattle_attacks_test", "OwnStreamAttacks.ARevocationEndsThem"),
    Bug("a revoked board's transfers go on", "coordinator/rpc/access_service.cc", "    EndStreams(core::kDeviceKind, device.value());\n", "",
        "wattle_attacks_test", "RevocationAttacks.NoTransferOfARevokedBoardGoesOn"),
    Bug("refused calls without an end", "coordinator/callers/callers.cc", "  WATTLE_RETURN_IF_ERROR(limits_->TakeCall(who, runtime_.Now().monotonic));\n  return why;",
        "  return who.empty() ? absl::OkStatus() : why;", "wattle_attacks_test", "RefusalAttacks.WhoeverIsRefusedHasNoMoreCallsThanOthers"),
    Bug("each made-up method is told", "coordinator/callers/callers.cc", "access::RequireRow(method).ok() ? method :", "!method.empty() ? method :",
        "wattle_attacks_test", "RefusalAttacks.AViewersFloodDisplacesNothingInTheAudit"),
)

SIGNING = (
    Bug("models that nobody signed", "coordinator/core/submit.cc", "if (model != nullptr && observations.check_model) {",
        "if (model != nullptr && observations.check_model && false) {", "wattle_attacks_test", "SigningAttacks.AModelWithoutASoundSignatureIsNotRun"),
    Bug("any signature", "artifacts/signers/signers.cc", "SignedText(artifact_id), signature.signature()).ok()) {",
        "SignedText(artifact_id), signature.signature()).ok() && false) {", "wattle_attacks_test", "SigningAttacks.ASignatureOfAnotherArtifactOrAnUnknownSignerIsRefused"),
    Bug("a pusher's word for who signed", "coordinator/rpc/artifact_service.cc", "    info.clear_signatures();\n", "",
        "wattle_attacks_test", "SigningAttacks.NobodysWordCountsForWhoPushedAndWhoSigned"),
    Bug("artifacts beyond the quota", "coordinator/core/quota.cc", "if (quota == nullptr || quota->artifact_bytes_max() == 0) {",
        "if (quota == nullptr || quota->artifact_bytes_max() >= 0) {", "wattle_attacks_test", "SigningAttacks.APushBeyondTheQuotaIsRefusedBeforeAByteIsSent"),
)

PEER = (
    Bug("a liar is asked again", "worker/agent/link/peer_sources.cc", "if (absl::IsDataLoss(status)) {", "if (absl::IsDataLoss(status) && chunks_came > 1000) {",
        "wattle_peer_attacks_test", "PeerAttacks.ABoardThatLiesIsLeftAndTheFetchEndsRight"),
    Bug("a board at another's address is asked", "base/tls/credentials.cc", "if (facts.uris.size() != 1 || facts.uris[0] != rules.uri) {", "if (facts.uris.size() != 1) {",
        "wattle_peer_attacks_test", "PeerAttacks.ABoardAtTheAddressOfAnotherOneIsNotAsked",
        (("coordinator/rpc/peer_directory.cc", "if (!turns_.WasSent(", "if (false && !turns_.WasSent("),)),
    Bug("a board that was not sent is served", "coordinator/rpc/peer_directory.cc", "if (!turns_.WasSent(", "if (false && !turns_.WasSent(",
        "wattle_peer_attacks_test", "PeerAttacks.KnowingAHashGivesNothing"),
    Bug("whoever has a certificate is a board", "worker/agent/link/peer_server.cc", "if (!absl::ConsumePrefix(&id, boards) || id.empty()) {",
        "if ((!absl::ConsumePrefix(&id, boards) && boards.empty()) || id.empty()) {", "wattle_peer_attacks_test", "PeerAttacks.PeopleAndStrangersGetNothing",
        (("coordinator/rpc/peer_directory.cc", "if (!turns_.WasSent(", "if (false && !turns_.WasSent("),
         ("coordinator/rpc/peer_directory.cc", "if (is_out || !MayRead(*state, request.device_id(), ArtifactId(request.artifact_id()))) {",
          "if (is_out && request.device_id().empty()) {"))),
    Bug("a revoked board is served", "coordinator/rpc/peer_directory.cc",
        "if (is_out || !MayRead(*state, request.device_id(), ArtifactId(request.artifact_id()))) {", "if (is_out && request.device_id().empty()) {",
        "wattle_peer_attacks_test", "PeerAttacks.ARevokedBoardGetsNothing"),
    Bug("who serves goes on serving", "worker/agent/link/peer_server.h", "void Serve(bool serves) { serves_ = serves; }",
        "void Serve(bool serves) { serves_ = serves || serves_; }", "wattle_peer_attacks_test", "PeerAttacks.ABoardThatKeepsItsEnergyServesNobody"),
)

PROJECT = (
    Bug("a chunk for its hash", "coordinator/rpc/chunk_rights.cc", "return readable.contains(id) && state.artifacts.contains(id);", "return state.artifacts.contains(id);",
        "wattle_project_attacks_test", "ProjectAttacks.AChunkIsNotGivenForItsHash"),
    Bug("a manifest of others' chunks", "coordinator/rpc/artifact_service.cc", "ChunksOf(request->manifest()));\n        !others.empty()) {",
        "ChunksOf(request->manifest()));\n        others.size() > 1000) {", "wattle_project_attacks_test", "ProjectAttacks.AManifestOfUnownedChunksIsNoArtifact"),
    Bug("another project's name is taken", "coordinator/core/remove.cc", "if (!ScopeOf(command.own_projects).Covers(", "if (false && !ScopeOf(command.own_projects).Covers(",
        "wattle_project_attacks_test", "ProjectAttacks.NamesAndIdsOfAnotherProjectAreNotThere"),
    Bug("another project's jobs", "coordinator/rpc/services.cc", "    if (!job.ok()) {\n      return absl::OkStatus();  // The call",
        "    if (true) {\n      return absl::OkStatus();  // The call", "wattle_project_attacks_test", "ProjectAttacks.JobsOfAnotherProjectAreNeitherSeenNorMade"),
    Bug("another project's events", "coordinator/runtime/overview.cc", "if (state->projects.empty()) {", "if (true) {",
        "wattle_project_attacks_test", "ProjectAttacks.EventsOfAnotherProjectAreNotTold"),
    Bug("a member by their own word", "coordinator/access/access_table.cc", '{"/wattle.v1.AccessService/SetMember", kAdminister},',
        '{"/wattle.v1.AccessService/SetMember", kWrite},', "wattle_project_attacks_test", "ProjectAttacks.MembershipCountsFromTheNextCallOn"),
    Bug("a board reads every manifest", "coordinator/rpc/chunk_rights.cc", ": OfDevice(state, reader.device).contains(id));", ": !id.value().empty());",
        "wattle_project_attacks_test", "LeaseAttacks.ABoardReadsWhatItsLeasesNameAlone"),
    Bug("no turn for bytes", "coordinator/rpc/artifact_service.cc", "  if (counted.empty()) {\n    return absl::OkStatus();", "  if (bytes >= 0) {\n    return absl::OkStatus();",
        "wattle_project_attacks_test", "LeaseAttacks.BytesOfACallerWaitForTheirTurnBothWays"),
    Bug("large messages are free", "coordinator/rpc/server.cc", "interceptors.push_back(std::make_unique<MessageCounter>(gate_));", "",
        "wattle_project_attacks_test", "LeaseAttacks.ALargeMessageCostsItsCallerFurtherCallsBothWays"),
    Bug("streams are free", "coordinator/rpc/message_counter.cc", "call->type() == Type::SERVER_STREAMING &&", "call->type() == Type::BIDI_STREAMING &&",
        "wattle_project_attacks_test", "LeaseAttacks.WhatAStreamBringsCostsItsCallerCallsToo"),
    Bug("a report for another's attempt", "coordinator/core/accept_report.cc", "if (subject.attempt->device_id() != device_.value()) {",
        "if (subject.attempt->device_id().empty()) {", "wattle_project_attacks_test", "LeaseAttacks.AReportForAnotherBoardsAttemptChangesNothing"),
    Bug("reasons without an end", "coordinator/core/decide.cc", 'ValidateText("reason", one.reason)', 'ValidateText("reason", one.reason.substr(0, 1))',
        "wattle_project_attacks_test", "LeaseAttacks.WordsWithoutAnEndAreRefusedOrCut"),
    Bug("a board has every chunk", "coordinator/rpc/chunk_rights.cc", "if (!Restricts(state, reader)) {\n    return without;",
        "if (!Restricts(state, reader) || !reader.device.empty()) {\n    return without;", "wattle_project_attacks_test", "LeaseAttacks.ABoardsManifestOfUnownedChunksIsNoArtifact"),
    Bug("anybody's job is watched", "coordinator/rpc/services.cc", 'OpenStream(*context, "/wattle.v1.JobService/WatchJob", request->job_id())',
        "gate_.OpenStream(*context->auth_context())", "wattle_resource_access_test", "ResourceAccess.EveryRoleGetsItsOwnAndWhatIsWrittenAndNothingElse"),
)

UPLOAD = (
    Bug("a board pushes models", "coordinator/core/device_artifacts.cc", "if (info.kind() != v1::ARTIFACT_KIND_RESULT && info.kind() != v1::ARTIFACT_KIND_CHECKPOINT) {",
        "if (info.kind() == v1::ARTIFACT_KIND_UNSPECIFIED) {", "wattle_upload_attacks_test", "UploadAttacks.ABoardPushesNoModelAndTakesNoName"),
    Bug("a board uploads for any job", "coordinator/core/device_artifacts.cc", "attempt.device_id() == device.value();", "attempt.device_id() == device.value() || true;",
        "wattle_upload_attacks_test", "UploadAttacks.ABoardUploadsNothingForAJobThatWasNeverOnIt"),
    Bug("anything is a job's checkpoint", "coordinator/core/accept_report.cc", "!Has(*subject.job, artifact) ||", "!builder_.state().artifacts.contains(ArtifactId(artifact)) ||",
        "wattle_upload_attacks_test", "UploadAttacks.ABoardReadsNoArtifactByCallingItItsCheckpoint"),
    Bug("anything is a job's result", "coordinator/core/accept_report.cc", "if (!output.empty() && !Has(job, output)) {",
        "if (!output.empty() && !builder_.state().artifacts.contains(ArtifactId(output))) {", "wattle_upload_attacks_test", "UploadAttacks.AnothersArtifactIsNoResult"),
    Bug("a board without work sends bytes", "coordinator/core/device_artifacts.cc", "const bool works = own != nullptr && !own->empty();",
        "const bool works = own == nullptr || !own->empty();", "wattle_upload_attacks_test", "UploadAttacks.ABoardWithoutWorkFillsNoDisk"),
    Bug("eviction before it is known to help", "artifacts/blob_eviction.cc", "return FitsAfter(upload_bytes, freed_bytes);", "return FitsAfter(upload_bytes / 1000, freed_bytes);",
        "wattle_upload_attacks_test", "UploadAttacks.AnUploadThatDoesNotFitPushesNothingOut"),
    Bug("what nobody commits is free", "coordinator/rpc/artifact_service.cc", "    uncommitted_.NoteSent(who, size_bytes, Now());\n", "",
        "wattle_upload_attacks_test", "UploadAttacks.BytesThatNobodyCommitsCountAgainstTheQuota"),
)

TPM = (
    Bug("a key of the TPM in a file", "identity/identity.cc", "key = place == KeyPlace::kTpm ? tls::NewTpmKey() : tls::NewKey();", "key = tls::NewKey();",
        "wattle_tpm_attacks_test", "TpmAttacks.ACopyOfTheCardHasNoKey",
        (("identity/identity.cc", "if (place == KeyPlace::kTpm && !tls::IsTpmKey(*key)) {", "if (place == KeyPlace::kTpm && key->empty()) {"),)),
    Bug("a key in a TPM serves nobody", "base/tls/server_session.cc", "if (!pem.ok() || !IsTpmKey(*pem)) {", "if (!pem.ok() || !pem->empty()) {", "wattle_tpm_attacks_test", "TpmAttacks.ItServesBoardsOfItsSiteByTheKeyOfTheTpm"),
    Bug("a key in a file taken for the TPM's", "identity/identity.cc", "if (place == KeyPlace::kTpm && !tls::IsTpmKey(*key)) {",
        "if (place == KeyPlace::kTpm && key->empty()) {", "wattle_tpm_attacks_test", "TpmAttacks.AKeyInAFileIsNotTakenForOneOfATpm"),
)

TWO_FLEETS = (
    Bug("a refusal at each try", "worker/agent/link/credentials.cc", "if (why == told_) {", "if (why.empty()) {",
        "wattle_two_fleets_test", "EachWay/TwoFleets.AWorkerAtTheOtherCoordinatorIsToldOnce/*"),
    Bug("a chain that leads nowhere", "base/tls/certificate_chain.cc", "X509_verify_cert(context.get()) == 1;", "X509_verify_cert(context.get()) >= 0;",
        "wattle_two_fleets_test", "EachWay/TwoFleets.ACoordinatorTakesNoCertificateOfTheOtherFleet/*"),
    Bug("a coordinator of any fleet", "base/tls/credentials.cc", "Use::kServer); !led.ok()) {", "Use::kServer); led.ok() && !led.ok()) {",
        "wattle_two_fleets_test", "EachWay/TwoFleets.AContextOfOneFleetDoesNothingAtTheOther/*"),
    Bug("a secret before the pin", "base/tls/credentials.cc", "  WATTLE_ASSIGN_OR_RETURN(const std::string root, PinnedRoot(chain_pem, pin));\n"
        "  WATTLE_RETURN_IF_ERROR(VerifyChain(chain_pem, root, Use::kServer));\n", "", "wattle_two_fleets_test",
        "EachWay/TwoFleets.ATokenOfOneFleetDoesNotEnrolAtTheOther/*"),
)

PROGRAMS = (
    Bug("a coordinator that leaves core files", "coordinator/main.cc", "  wattle::LeaveNoCoreFile();\n", "",
        "", "attacks_test.Attacks.test_secrets_are_in_no_log_metric_receipt_or_list_of_processes"),
    Bug("a login with its token in the list of processes", "cli/main.cc", "  wattle::HideArguments(argc, argv, wattle::tls::kTokenPrefix);\n", "",
        "", "attacks_test.Attacks.test_a_token_of_an_enrolment_is_hidden_from_the_list_of_processes"),
    Bug("any number of lines", "base/line_limit.h", "kLinesAMinute = 20;", "kLinesAMinute = 20'000'000;",
        "", "attacks_test.Attacks.test_a_runner_that_floods_disturbs_nobody"),
    Bug("lines of any length", "worker/agent/core/attempt_report.cc", "constexpr size_t kLogLineMax = 2000;", "constexpr size_t kLogLineMax = size_t{1} << 30;",
        "", "attacks_test.Attacks.test_a_runner_that_floods_frames_disturbs_nobody"),
)

GUARDS_OFF = (*CONNECTION, *HTTP, *IDENTITY, *STREAM, *REVOCATION, *SIGNING, *PEER, *PROJECT, *UPLOAD, *TPM, *TWO_FLEETS, *PROGRAMS)

# Tests that no change here makes fail, and why.
NO_GUARD = {
    "FrameAttacks.NoMetadataEndTheCoordinator": "gRPC 1.51.1 survives what CVE-2023-1428 describes, so there is no guard of ours to turn off",
    "ResourceAccess.EveryMutantOfARowIsFoundByACall": "it makes its mutants itself: each row of the table, and each check of a resource",
    "IdentityAttacks.ABoardIn1970Connects": "no attack: the begin of a certificate is judged nowhere on a board, so that there is nothing to turn off",
    "PeerAttacks.WhatABoardOfTheSiteHasCrossesTheLinkOnce": "no attack: boards of a site fetch from one another",
    "OlderCoordinatorTest.AnOlderCoordinatorMeansAPlainFetch": "no attack; without what it checks the fetch, and with it the test, asks without an end",
}


def attack_tests():
    """The names of the tests, without what INSTANTIATE_TEST_SUITE_P puts around them."""
    for path in HERE.glob("*.cc"):
        yield from map(".".join, re.findall(r"^TEST(?:_[FP])?\((\w+), (\w+)\)", path.read_text(), re.MULTILINE))
    yield from (f"attacks_test.Attacks.{name}" for name in re.findall(r"^    def (test_\w+)", PROGRAMS_TEST.read_text(), re.MULTILINE))


def tests_without_a_guard_off():
    """One line for each test that is not in the list exactly once, or that the list names and nobody wrote."""
    covered = [next(part for part in bug.tests.split("/") if "." in part) for bug in GUARDS_OFF] + list(NO_GUARD)
    tests = set(attack_tests())
    for test in sorted(tests | set(covered)):
        if test not in tests:
            yield f"tests/attacks/guards_off.py: {test} is no test of an attack"
        elif covered.count(test) != 1:
            yield f"tests/attacks/guards_off.py: {test} is there {covered.count(test)} times; put in the change that turns its guard off, or the reason why there is none"
