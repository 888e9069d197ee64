// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/artifact_service.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "artifacts/manifest.h"
#include "artifacts/transfer/grpc_status.h"
#include "base/status_macros.h"
#include "coordinator/core/device_artifacts.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/needed_artifacts.h"
#include "coordinator/core/projects.h"
#include "coordinator/core/quota.h"
#include "coordinator/core/state.h"
#include "coordinator/rpc/peer.h"
#include "coordinator/runtime/unknown_fields.h"
#include "proto/field_bounds.h"

namespace wattle::rpc {
namespace {

using artifacts::ChunkId;

// Eviction spares artifacts that were used more recently than this.
constexpr absl::Duration kYoungAge = absl::Minutes(10);
constexpr absl::Duration kCommitTimeout = absl::Seconds(20);
constexpr char kService[] = "/wattle.v1.ArtifactService/";
constexpr size_t kInfoBytesMax = 64 << 10;  // A recipe names the tensors that are exceptions.
constexpr size_t kNameBytesMax = 200;
constexpr double kTemplateTokensMax = 1e6;

int64_t MissingBytes(const v1::Manifest& manifest, const std::vector<ChunkId>& missing) {
  std::map<ChunkId, int64_t> size_bytes;
  for (const v1::ManifestFile& file : manifest.files()) {
    for (int i = 0; i < file.chunk_sha256_size(); ++i) {
      size_bytes[ChunkId(file.chunk_sha256(i))] = artifacts::ChunkSizeBytes(file, i);
    }
  }
  int64_t total_bytes = 0;
  for (const ChunkId& id : missing) {
    total_bytes += size_bytes[id];
  }
  return total_bytes;
}

// Checks the fields that a client may set. This service sets the others.
absl::Status ValidateInfo(const v1::ArtifactInfo& info) {
  if (info.kind() == v1::ARTIFACT_KIND_UNSPECIFIED || !v1::ArtifactKind_IsValid(info.kind())) {
    return absl::InvalidArgumentError("info.kind: wanted MODEL, DATASET, RESULT or RELEASE");
  }
  if (info.ByteSizeLong() > kInfoBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("info: ", info.ByteSizeLong(), " bytes, at most ", kInfoBytesMax));
  }
  if (info.name().size() > kNameBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("info.name: ", info.name().size(), " bytes, at most ", kNameBytesMax));
  }
  if (info.name().find_first_of("/: \t\n") != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        "info.name: \"", info.name(), "\" may not contain '/', ':' or spaces; name it otherwise"));
  }
  if (artifacts::IsArtifactId(info.name())) {
    return absl::InvalidArgumentError("info.name: looks like an artifact's id; name it otherwise");
  }
  static constexpr FieldBound kBounds[] = {
      {"chat_template.per_conversation", -kTemplateTokensMax, kTemplateTokensMax},
      {"chat_template.per_message", -kTemplateTokensMax, kTemplateTokensMax},
      {"chat_template.before_answer", -kTemplateTokensMax, kTemplateTokensMax},
  };
  return CheckBounds(info, "info.", kBounds);
}

std::vector<ChunkId> ChunksOf(const v1::Manifest& manifest) {
  std::set<ChunkId> chunks;
  for (const v1::ManifestFile& file : manifest.files()) {
    for (const std::string& chunk : file.chunk_sha256()) {
      chunks.insert(ChunkId(chunk));
    }
  }
  return {chunks.begin(), chunks.end()};
}

// One text for what is another's and for what nobody has. hash: hexadecimal or raw.
std::string NotHere(absl::string_view what, const std::string& hash, bool for_device) {
  return absl::StrCat(
      what, " ", artifacts::IsArtifactId(hash) ? hash : absl::BytesToHexString(hash),
      for_device ? ": no attempt that this board shall run uses it"
                 : ": none of your projects has it; 'wattle model ls' and 'wattle data ls' list "
                   "what they have");
}

// Only operators add what every board of the fleet may have to run.
absl::Status CheckMayRelease(const v1::ArtifactInfo& info, bool is_device,
                             const core::Scope& scope) {
  return info.kind() != v1::ARTIFACT_KIND_RELEASE || (!is_device && scope.all())
             ? absl::OkStatus()
             : absl::PermissionDeniedError(
                   "info.kind: RELEASE: only an operator or an admin pushes releases; ask one");
}

// The projects of a command: none for every project.
std::vector<std::string> OwnProjects(const core::Scope& scope) {
  return {scope.projects().begin(), scope.projects().end()};
}

template <typename Response>
grpc::Status Answer(absl::StatusOr<Response> result, Response* response) {
  const absl::Status status = result.status();
  if (status.ok()) {
    *response = *std::move(result);
  }
  return ToGrpc(status);
}

}  // namespace

std::vector<ArtifactId> ArtifactService::Removable() const {
  const std::shared_ptr<const core::State> state = api_.runtime().Version();
  std::vector<std::pair<absl::Time, ArtifactId>> oldest_first;
  const absl::Time young = api_.runtime().Now().wall - kYoungAge;
  for (const artifacts::StoredArtifact& artifact : store_.ListArtifacts()) {
    if (!artifact.pinned && artifact.last_used < young &&
        core::CheckNotNeeded(*state, artifact.id).ok()) {
      oldest_first.emplace_back(artifact.last_used, artifact.id);
    }
  }
  std::sort(oldest_first.begin(), oldest_first.end());
  std::vector<ArtifactId> removable;
  removable.reserve(oldest_first.size());
  for (const auto& [last_used, id] : oldest_first) {
    removable.push_back(id);
  }
  return removable;
}

absl::Status ArtifactService::CheckCouldFit(int64_t upload_bytes) const {
  const absl::Status fits = store_.Fits(upload_bytes);
  if (!absl::IsResourceExhausted(fits)) {
    return fits;
  }
  const std::vector<ArtifactId> removable = Removable();
  return store_.CouldFit(upload_bytes, {removable.begin(), removable.end()});
}

// The core decides each eviction against the state, and the event is durable before the files go.
// No caller therefore resolves an artifact whose files are missing. Nothing goes for an upload that
// would not fit all the same.
absl::Status ArtifactService::MakeRoom(int64_t upload_bytes, const v1::EventCaller& caller) {
  absl::Status room = store_.Fits(upload_bytes);
  if (!absl::IsResourceExhausted(room)) {
    return room;
  }
  const std::vector<ArtifactId> removable = Removable();
  WATTLE_RETURN_IF_ERROR(store_.CouldFit(upload_bytes, {removable.begin(), removable.end()}));
  std::set<ArtifactId> all;
  for (const artifacts::StoredArtifact& artifact : store_.ListArtifacts()) {
    all.insert(artifact.id);
  }
  room = store_.CheckRoom(upload_bytes, all);
  for (const ArtifactId& id : removable) {
    if (!absl::IsResourceExhausted(room)) {
      break;
    }
    const runtime::Answer answer = api_.runtime().PostAndWait(
        core::EvictArtifact{id, "evicted: the store wanted room"}, kCommitTimeout, caller);
    if (answer.status.ok()) {
      WATTLE_RETURN_IF_ERROR(store_.RemoveForRoom(id));
      room = store_.CheckRoom(upload_bytes, all);
    }
  }
  return absl::IsResourceExhausted(room) ? store_.CheckRoomOfUploads(upload_bytes) : room;
}

// upload_bytes: that the caller sends beside what they have sent and not committed. The bytes of a
// board are bounded by its work, and whose they are is known once they are committed.
absl::Status ArtifactService::CheckMaySend(const Asker& asker, int64_t upload_bytes) const {
  const std::shared_ptr<const core::State> state = api_.runtime().Version();
  if (asker.is_device) {
    return core::CheckMayUpload(*state, DeviceId(asker.id));
  }
  WATTLE_RETURN_IF_ERROR(core::CheckArtifactQuota(*state, asker.person, upload_bytes));
  absl::Status of_projects;  // The upload is for one of them; its commit says which.
  for (const std::string& project : asker.scope.projects()) {
    of_projects = core::CheckProjectsArtifactQuota(*state, project, upload_bytes);
    if (of_projects.ok()) {
      break;
    }
  }
  return of_projects;
}

absl::StatusOr<ArtifactService::Asker> ArtifactService::AskerOf(const grpc::ServerContext& context,
                                                                absl::string_view method) const {
  WATTLE_ASSIGN_OR_RETURN(const Caller caller, gate_.CallerOf(context));
  const std::string full_method = absl::StrCat(kService, method);
  return Asker{.id = caller.identity.id,
               .person = caller.kind == core::kPersonKind ? caller.identity.id : "",
               .is_device = caller.kind == core::kDeviceKind,
               .counted = caller.counted(),
               .own_device = callers::OwnDeviceOf(caller, full_method),
               .scope = callers::ScopeOf(caller, full_method)};
}

// What a board uploads for a job that it worked on belongs to the job's project, and what a person
// pushes to the one that is named. Errors: core::CheckMayCommit's, core::CheckProject's.
absl::StatusOr<std::string> ArtifactService::ProjectFor(
    const Asker& asker, const v1::CommitArtifactRequest& request) const {
  if (!asker.is_device) {
    const std::string project = ProjectName(request.project());
    WATTLE_RETURN_IF_ERROR(
        core::CheckProject(*api_.runtime().Version(), asker.scope, asker.id, project));
    return project;
  }
  const std::shared_ptr<const core::State> state = api_.runtime().Version();
  WATTLE_RETURN_IF_ERROR(core::CheckMayCommit(*state, DeviceId(asker.id), request.info()));
  return core::ProjectOf(core::FindJob(*state, JobId(request.info().job_id()))->job().spec());
}

grpc::Status ArtifactService::MissingChunks(grpc::ServerContext* context,
                                            const v1::MissingChunksRequest* request,
                                            v1::MissingChunksResponse* response) {
  const auto answer = [&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    WATTLE_RETURN_IF_ERROR(artifacts::ValidateManifest(request->manifest()));
    WATTLE_ASSIGN_OR_RETURN(const Asker asker, AskerOf(*context, "MissingChunks"));
    const ArtifactId artifact = artifacts::IdOf(request->manifest());
    const std::vector<ChunkId> missing = store_.MissingChunks(request->manifest());
    const int64_t upload_bytes = MissingBytes(request->manifest(), missing);
    if (!api_.runtime().Version()->artifacts.contains(artifact)) {
      // What the caller has sent of this very artifact counts once.
      const int64_t size_bytes = artifacts::SizeBytes(request->manifest());
      const int64_t sent_bytes = uncommitted_.Of(asker.reader().who, Now());
      WATTLE_RETURN_IF_ERROR(CheckMaySend(
          asker, size_bytes + std::max<int64_t>(0, sent_bytes - (size_bytes - upload_bytes))));
    }
    if (upload_bytes > 0) {
      WATTLE_RETURN_IF_ERROR(CheckCouldFit(upload_bytes));
    }
    response->set_artifact_id(artifact.value());
    // A chunk that the store has only for others is reported as missing: the caller must send its
    // bytes to prove that he has it.
    const std::vector<ChunkId> others = rights_.WithoutRight(
        *api_.runtime().Version(), asker.reader(), ChunksOf(request->manifest()));
    std::set<ChunkId> rest(others.begin(), others.end());
    for (const ChunkId& id : missing) {
      response->add_chunk_sha256(id.value());
      rest.erase(id);
    }
    for (const ChunkId& id : rest) {
      response->add_chunk_sha256(id.value());
    }
    return absl::OkStatus();
  };
  return ToGrpc(answer());
}

absl::Status ArtifactService::AwaitTurn(const grpc::ServerContext& context,
                                        const std::string& counted, int64_t bytes) const {
  if (counted.empty()) {
    return absl::OkStatus();
  }
  const Monotonic now = Now();
  const Monotonic turn = now + gate_.limits().TakeBytes(counted, bytes, now);
  for (Monotonic at = now; at < turn; at = Now()) {
    if (context.IsCancelled()) {
      return absl::CancelledError("the client went away");
    }
    absl::SleepFor(std::min(turn - at, kLookForCancel));
  }
  return absl::OkStatus();
}

// Checks for each chunk, because others write to this disk too, and the free-space reserve belongs
// to the journal.
absl::Status ArtifactService::StoreChunk(const Asker& asker, const v1::PutChunkRequest& request,
                                         const v1::EventCaller& caller) {
  const auto size_bytes = static_cast<int64_t>(request.data().size());
  const std::string who = asker.reader().who;
  const ChunkId id(request.sha256());
  const bool is_new = !store_.HasChunk(id);
  if (is_new) {
    WATTLE_RETURN_IF_ERROR(CheckMaySend(asker, uncommitted_.Of(who, Now()) + size_bytes));
    WATTLE_RETURN_IF_ERROR(MakeRoom(size_bytes, caller));
  }
  WATTLE_RETURN_IF_ERROR(store_.PutChunk(id, request.data()));
  if (is_new) {
    uncommitted_.NoteSent(who, size_bytes, Now());
  }
  return absl::OkStatus();
}

// An upload holds a thread until its end.
grpc::Status ArtifactService::PutChunks(grpc::ServerContext* context,
                                        grpc::ServerReader<v1::PutChunkRequest>* reader,
                                        v1::PutChunksResponse* response) {
  const auto stream = gate_.OpenStream(*context);
  if (!stream.ok()) {
    return ToGrpc(stream.status());
  }
  const absl::StatusOr<Asker> asker = AskerOf(*context, "PutChunks");
  if (!asker.ok()) {
    return ToGrpc(asker.status());
  }
  const bool restricts = ChunkRights::Restricts(*api_.runtime().Version(), asker->reader());
  v1::PutChunkRequest request;
  int64_t received_bytes = 0;
  const v1::EventCaller caller = gate_.EventCallerOf(*context);
  while (reader->Read(&request)) {
    if (const absl::Status goes = stream->Goes(); !goes.ok()) {
      return ToGrpc(goes);
    }
    const auto size_bytes = static_cast<int64_t>(request.data().size());
    if (const absl::Status stored = StoreChunk(*asker, request, caller); !stored.ok()) {
      return ToGrpc(stored);
    }
    if (restricts) {
      rights_.NoteSent(asker->reader().who, ChunkId(request.sha256()), Now());
    }
    received_bytes += size_bytes;
    if (const absl::Status turn = AwaitTurn(*context, asker->counted, size_bytes); !turn.ok()) {
      return ToGrpc(turn);
    }
  }
  response->set_received_bytes(received_bytes);
  return grpc::Status::OK;
}

grpc::Status ArtifactService::CommitArtifact(grpc::ServerContext* context,
                                             const v1::CommitArtifactRequest* request,
                                             v1::ArtifactInfo* response) {
  const absl::StatusOr<Asker> asker = AskerOf(*context, "CommitArtifact");
  const auto complete = [&]() -> absl::StatusOr<v1::ArtifactInfo> {
    WATTLE_RETURN_IF_ERROR(asker.status());
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    WATTLE_RETURN_IF_ERROR(ValidateInfo(request->info()));
    WATTLE_RETURN_IF_ERROR(CheckMayRelease(request->info(), asker->is_device, asker->scope));
    WATTLE_ASSIGN_OR_RETURN(const std::string project, ProjectFor(*asker, *request));
    if (const auto others = rights_.WithoutRight(*api_.runtime().Version(), asker->reader(),
                                                 ChunksOf(request->manifest()));
        !others.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("manifest: ", others.size(),
                       " chunks are missing; ask which with MissingChunks, and send them"));
    }
    // The blobs must be durable before an event names them.
    WATTLE_ASSIGN_OR_RETURN(const ArtifactId id, store_.CommitManifest(request->manifest()));
    v1::ArtifactInfo info = request->info();
    info.set_artifact_id(id.value());
    info.set_size_bytes(artifacts::SizeBytes(request->manifest()));
    info.set_created_unix_seconds(core::ToUnix(api_.runtime().Now().wall));
    // Nobody's word counts for who pushed and who signed, and none but a board's for whose output
    // it is.
    info.set_pushed_by(asker->person);
    info.clear_signatures();
    if (!asker->is_device) {
      info.clear_job_id();
    }
    core::SetProjects({project}, info);
    return info;
  };
  absl::StatusOr<v1::ArtifactInfo> info = complete();
  if (!info.ok()) {
    return ToGrpc(info.status());
  }
  const bool known = api_.runtime().Version()->artifacts.contains(ArtifactId(info->artifact_id()));
  const runtime::Answer answer = api_.runtime().PostAndWait(
      core::CommitArtifact{.info = *info,
                           .move_name = request->move_name(),
                           .own_projects = OwnProjects(asker->scope),
                           .device = DeviceId(asker->is_device ? asker->id : "")},
      kCommitTimeout, gate_.EventCallerOf(*context));
  if (!answer.status.ok()) {
    return ToGrpc(answer.status);
  }
  if (!known) {
    uncommitted_.NoteCommitted(asker->reader().who, info->size_bytes());
  }
  if (asker->is_device) {
    *response = *info;  // A name or a job that the same bytes have elsewhere is not its business.
    return grpc::Status::OK;
  }
  v1::ResolveArtifactRequest resolve;
  resolve.set_reference(answer.id.empty() ? info->artifact_id() : answer.id);
  return Answer(api_.ResolveArtifact(resolve, asker->scope), response);
}

grpc::Status ArtifactService::SignArtifact(grpc::ServerContext* context,
                                           const v1::SignArtifactRequest* request,
                                           v1::ArtifactInfo* response) {
  const auto sign = [&]() -> absl::StatusOr<v1::ArtifactInfo> {
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    WATTLE_ASSIGN_OR_RETURN(const Asker asker, AskerOf(*context, "SignArtifact"));
    v1::ResolveArtifactRequest resolve;
    resolve.set_reference(request->reference());
    WATTLE_ASSIGN_OR_RETURN(const v1::ArtifactInfo info,
                            api_.ResolveArtifact(resolve, asker.scope));
    const auto& check = api_.runtime().options().check_signature;
    if (check) {
      WATTLE_RETURN_IF_ERROR(check(info.artifact_id(), request->signature()));
    }
    const runtime::Answer answer = api_.runtime().PostAndWait(
        core::SignArtifact{ArtifactId(info.artifact_id()), request->signature(), asker.person},
        kCommitTimeout, gate_.EventCallerOf(*context));
    WATTLE_RETURN_IF_ERROR(answer.status);
    resolve.set_reference(info.artifact_id());
    return api_.ResolveArtifact(resolve, asker.scope);
  };
  return Answer(sign(), response);
}

grpc::Status ArtifactService::RemoveArtifact(grpc::ServerContext* context,
                                             const v1::RemoveArtifactRequest* request,
                                             v1::RemoveArtifactResponse* response) {
  const auto remove = [&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    WATTLE_ASSIGN_OR_RETURN(const Asker asker, AskerOf(*context, "RemoveArtifact"));
    v1::ResolveArtifactRequest resolve;
    resolve.set_reference(request->reference());
    const absl::StatusOr<v1::ArtifactInfo> before = api_.ResolveArtifact(resolve, asker.scope);
    if (absl::IsNotFound(before.status())) {  // In the words of its kind, where it has some.
      WATTLE_RETURN_IF_ERROR(core::ResolveArtifact(*api_.runtime().Version(), request->reference(),
                                                   asker.scope, request->kind())
                                 .status());
    }
    WATTLE_RETURN_IF_ERROR(before.status());
    const runtime::Answer answer = api_.runtime().PostAndWait(
        core::RemoveArtifact{request->reference(), request->kind(), OwnProjects(asker.scope)},
        kCommitTimeout, gate_.EventCallerOf(*context));
    WATTLE_RETURN_IF_ERROR(answer.status);
    // The removed names are those of before that are missing now.
    resolve.set_reference(answer.id);
    const absl::StatusOr<v1::ArtifactInfo> after =
        api_.ResolveArtifact(resolve, core::Scope::All());
    response->set_artifact_id(answer.id);
    response->set_size_bytes(before->size_bytes());
    response->set_artifact_removed(!after.ok());
    for (const std::string& name : before->names()) {
      if (!after.ok() ||
          std::find(after->names().begin(), after->names().end(), name) == after->names().end()) {
        response->add_names(name);
      }
    }
    if (!after.ok()) {
      // The state no longer has the artifact. If a crash here leaves its files behind, nothing
      // refers to them, and the next eviction removes them.
      WATTLE_RETURN_IF_ERROR(store_.Remove(ArtifactId(answer.id)));
    }
    return absl::OkStatus();
  };
  return ToGrpc(remove());
}

grpc::Status ArtifactService::GetManifest(grpc::ServerContext* context,
                                          const v1::GetManifestRequest* request,
                                          v1::Manifest* response) {
  const ArtifactId id(request->artifact_id());
  const auto read = [&]() -> absl::StatusOr<v1::Manifest> {
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    WATTLE_ASSIGN_OR_RETURN(const Asker asker, AskerOf(*context, "GetManifest"));
    if (!ChunkRights::MayRead(*api_.runtime().Version(), asker.reader(), id)) {
      return absl::NotFoundError(NotHere("artifact", id.value(), asker.is_device));
    }
    store_.Touch(id);
    return store_.ReadManifest(id);
  };
  return Answer(read(), response);
}

grpc::Status ArtifactService::GetChunks(grpc::ServerContext* context,
                                        const v1::GetChunksRequest* request,
                                        grpc::ServerWriter<v1::Chunk>* writer) {
  const auto stream = gate_.OpenStream(*context);
  if (!stream.ok()) {
    return ToGrpc(stream.status());
  }
  std::string board;
  std::string counted;
  const auto check = [&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    WATTLE_ASSIGN_OR_RETURN(const Asker asker, AskerOf(*context, "GetChunks"));
    board = asker.reader().device;
    counted = asker.counted;
    std::vector<ChunkId> wanted;
    for (const std::string& digest : request->sha256()) {
      wanted.emplace_back(digest);
    }
    const std::vector<ChunkId> others =
        rights_.WithoutRight(*api_.runtime().Version(), asker.reader(), wanted);
    return others.empty()
               ? absl::OkStatus()
               : absl::NotFoundError(NotHere("chunk", others[0].value(), asker.is_device));
  };
  if (const absl::Status may = check(); !may.ok()) {
    return ToGrpc(may);
  }
  PeerDirectory::Read read(peers_, std::move(board));
  for (const std::string& digest : request->sha256()) {
    if (const absl::Status goes = stream->Goes(); !goes.ok()) {
      return ToGrpc(goes);
    }
    absl::StatusOr<std::string> bytes = store_.ReadChunk(ChunkId(digest));
    if (!bytes.ok()) {
      return ToGrpc(bytes.status());
    }
    v1::Chunk chunk;
    chunk.set_sha256(digest);
    chunk.set_data(*std::move(bytes));
    if (!writer->Write(chunk)) {
      return {grpc::StatusCode::CANCELLED, "the client went away"};
    }
    const auto size_bytes = static_cast<int64_t>(chunk.data().size());
    read.Sent(size_bytes);
    if (const absl::Status turn = AwaitTurn(*context, counted, size_bytes); !turn.ok()) {
      return ToGrpc(turn);
    }
  }
  return grpc::Status::OK;
}

grpc::Status ArtifactService::ListArtifacts(grpc::ServerContext* context,
                                            const v1::ListArtifactsRequest* request,
                                            v1::ListArtifactsResponse* response) {
  const absl::StatusOr<Asker> asker = AskerOf(*context, "ListArtifacts");
  return asker.ok() ? Answer(api_.ListArtifacts(*request, asker->scope), response)
                    : ToGrpc(asker.status());
}

grpc::Status ArtifactService::ResolveArtifact(grpc::ServerContext* context,
                                              const v1::ResolveArtifactRequest* request,
                                              v1::ArtifactInfo* response) {
  const absl::StatusOr<Asker> asker = AskerOf(*context, "ResolveArtifact");
  return asker.ok() ? Answer(api_.ResolveArtifact(*request, asker->scope), response)
                    : ToGrpc(asker.status());
}

}  // namespace wattle::rpc
