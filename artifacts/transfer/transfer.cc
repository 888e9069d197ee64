// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "artifacts/transfer/transfer.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "grpcpp/client_context.h"

#include "artifacts/manifest.h"
#include "artifacts/transfer/grpc_status.h"
#include "base/clock.h"
#include "base/status_macros.h"

namespace wattle::artifacts {
namespace {

// Most chunks in one streaming call, so that a broken call costs little, and its deadline follows
// from its size.
constexpr size_t kChunksPerCall = 16;
// A link slower than this counts as stalled: half the speed of the slowest supported link. The
// channel's pings detect a dead link.
constexpr double kBytesPerSecondMin = 512;
// Assumed size of an incoming manifest, that of an artifact of 1 GB.
constexpr int64_t kManifestBytes = 64 << 10;

// The place of a chunk's bytes on disk.
struct ChunkSource {
  std::string path;
  int64_t offset_bytes = 0;
  int64_t size_bytes = 0;
};

// Converts an internal error of the other side to kUnknown, because kInternal means an error of
// this side's disk.
absl::Status Remote(const grpc::Status& status) {
  const absl::Status remote = FromGrpc(status);
  return absl::IsInternal(remote) ? absl::UnknownError(remote.message()) : remote;
}

// bytes: moved by the call in the direction with more bytes.
void SetDeadline(grpc::ClientContext& context, int64_t bytes, const TransferOptions& options) {
  const double slowest = options.bytes_per_second_max > 0
                             ? std::min(options.bytes_per_second_max, kBytesPerSecondMin)
                             : kBytesPerSecondMin;
  context.set_deadline(absl::ToChronoTime(absl::Now() + options.call_timeout +
                                          absl::Seconds(static_cast<double>(bytes) / slowest)));
}

void SetDeadlineOfChunks(grpc::ClientContext& context, size_t chunks,
                         const TransferOptions& options) {
  SetDeadline(context, static_cast<int64_t>(chunks) * kChunkSizeBytes, options);
}

std::map<ChunkId, ChunkSource> SourcesOf(const std::string& path, const v1::Manifest& manifest) {
  std::map<ChunkId, ChunkSource> sources;
  for (const v1::ManifestFile& file : manifest.files()) {
    const std::string source = SourcePath(path, file);
    for (int i = 0; i < file.chunk_sha256_size(); ++i) {
      sources.try_emplace(ChunkId(file.chunk_sha256(i)),
                          ChunkSource{source, i * kChunkSizeBytes, ChunkSizeBytes(file, i)});
    }
  }
  return sources;
}

absl::StatusOr<std::string> ReadSource(const ChunkId& id, const ChunkSource& source) {
  std::ifstream in(source.path, std::ios::binary);
  std::string bytes(static_cast<size_t>(source.size_bytes), '\0');
  in.seekg(source.offset_bytes);
  in.read(bytes.data(), source.size_bytes);
  // The file may have changed since its manifest was built.
  if (in.gcount() != source.size_bytes || Sha256(bytes) != id) {
    return absl::DataLossError(
        absl::StrCat(source.path, ": changed while it was sent; push it again"));
  }
  return bytes;
}

// Counts the moved bytes, limits the rate, and checks for cancellation.
class Pace {
 public:
  Pace(int64_t total_bytes, const TransferOptions& options)
      : options_(options), started_(Clock::Real().Boottime()) {
    progress_.total_bytes = total_bytes;
  }

  // Between GoElsewhere and ComeBack the fetch uses or waits for a source other than the
  // coordinator.
  void GoElsewhere() { went_elsewhere_ = Clock::Real().Boottime(); }
  void ComeBack() {
    before_ += Clock::Real().Boottime() - *went_elsewhere_;
    progress_.elsewhere = before_;
    went_elsewhere_.reset();
  }

  absl::Status Moved(size_t bytes) {
    progress_.moved_bytes += static_cast<int64_t>(bytes);
    if (went_elsewhere_) {
      progress_.elsewhere_bytes += static_cast<int64_t>(bytes);
      progress_.elsewhere = before_ + (Clock::Real().Boottime() - *went_elsewhere_);
    }
    if (options_.progress) {
      options_.progress(progress_);
    }
    while (true) {
      if (options_.cancelled && options_.cancelled()) {
        return absl::CancelledError("transfer cancelled; call again to resume");
      }
      const absl::Duration ahead = Ahead();
      if (ahead <= absl::ZeroDuration()) {
        return absl::OkStatus();
      }
      // Short sleeps, so that a cancellation takes effect soon.
      absl::SleepFor(std::min(ahead, absl::Milliseconds(100)));
    }
  }

 private:
  [[nodiscard]] absl::Duration Ahead() const {
    if (options_.bytes_per_second_max <= 0) {
      return absl::ZeroDuration();
    }
    const absl::Duration wanted =
        absl::Seconds(static_cast<double>(progress_.moved_bytes) / options_.bytes_per_second_max);
    return wanted - (Clock::Real().Boottime() - started_);
  }

  const TransferOptions& options_;
  const Monotonic started_;
  TransferProgress progress_;
  std::optional<Monotonic> went_elsewhere_;
  absl::Duration before_{};  // Time spent elsewhere, up to the last ComeBack.
};

absl::Status PutChunks(v1::ArtifactService::StubInterface& stub,
                       const std::vector<std::pair<ChunkId, ChunkSource>>& chunks, Pace& pace,
                       const TransferOptions& options) {
  grpc::ClientContext context;
  SetDeadlineOfChunks(context, chunks.size(), options);
  v1::PutChunksResponse response;
  const auto writer = stub.PutChunks(&context, &response);
  absl::Status local;
  for (const auto& [id, source] : chunks) {
    absl::StatusOr<std::string> bytes = ReadSource(id, source);
    if (!bytes.ok()) {
      local = std::move(bytes).status();
      break;
    }
    v1::PutChunkRequest request;
    request.set_sha256(id.value());
    const size_t size = bytes->size();
    request.set_data(*std::move(bytes));
    if (!writer->Write(request)) {
      break;  // Finish returns the reason.
    }
    local = pace.Moved(size);
    if (!local.ok()) {
      break;
    }
  }
  if (!local.ok()) {
    context.TryCancel();
  } else {
    writer->WritesDone();
  }
  const absl::Status remote = Remote(writer->Finish());
  return local.ok() ? remote : local;
}

// How a stream of chunks ended.
struct Received {
  absl::Status sender;  // kDataLoss: the received bytes are not the requested chunk
  absl::Status own;     // the cache's error, or cancelled
};

// Removes received chunks from `wanted`.
Received Receive(grpc::ClientReaderInterface<v1::Chunk>& reader, grpc::ClientContext& context,
                 std::set<ChunkId>& wanted, FileCache& cache, Pace& pace) {
  Received received;
  v1::Chunk chunk;
  while (received.sender.ok() && received.own.ok() && reader.Read(&chunk)) {
    const ChunkId id(chunk.sha256());
    // An unrequested or repeated chunk shows a faulty sender; accepting it would spend the link's
    // bytes.
    if (!wanted.contains(id)) {
      received.sender = absl::DataLossError("a chunk came that was not asked for");
      break;
    }
    absl::Status put = cache.PutChunk(id, chunk.data());
    if (put.ok()) {
      wanted.erase(id);
      put = pace.Moved(chunk.data().size());
    }
    (absl::IsDataLoss(put) ? received.sender : received.own) = std::move(put);
  }
  if (!received.sender.ok() || !received.own.ok()) {
    context.TryCancel();
  }
  const absl::Status remote = Remote(reader.Finish());
  if (received.sender.ok() && received.own.ok()) {
    received.sender = remote;
  }
  return received;
}

absl::Status GetChunks(v1::ArtifactService::StubInterface& stub, const std::vector<ChunkId>& chunks,
                       FileCache& cache, Pace& pace, const TransferOptions& options) {
  grpc::ClientContext context;
  SetDeadlineOfChunks(context, chunks.size(), options);
  v1::GetChunksRequest request;
  for (const ChunkId& id : chunks) {
    request.add_sha256(id.value());
  }
  std::set<ChunkId> wanted(chunks.begin(), chunks.end());
  const auto reader = stub.GetChunks(&context, request);
  const Received received = Receive(*reader, context, wanted, cache, pace);
  return received.own.ok() ? received.sender : received.own;
}

// Removes chunks received from other sources from `chunks`.
absl::Status GetElsewhere(const ArtifactId& id, std::vector<ChunkId>& chunks, FileCache& cache,
                          Pace& pace, const TransferOptions& options) {
  while (options.sources != nullptr && !chunks.empty()) {
    grpc::ClientContext context;
    pace.GoElsewhere();
    const ChunkSources::Stream stream = options.sources->Open(id, chunks, context);
    if (stream == nullptr) {
      pace.ComeBack();
      break;
    }
    std::set<ChunkId> wanted(chunks.begin(), chunks.end());
    // Chunks that another source did not deliver remain in `wanted` for the next source, or for the
    // coordinator.
    const Received received = Receive(*stream, context, wanted, cache, pace);
    pace.ComeBack();
    options.sources->Ended(received.sender, chunks.size() - wanted.size());
    WATTLE_RETURN_IF_ERROR(received.own);
    std::erase_if(chunks, [&](const ChunkId& chunk) { return !wanted.contains(chunk); });
  }
  return options.cancelled && options.cancelled()
             ? absl::CancelledError("transfer cancelled; call again to resume")
             : absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::ArtifactInfo> Push(v1::ArtifactService::StubInterface& stub,
                                      const std::string& path, const v1::ArtifactInfo& info,
                                      const TransferOptions& options) {
  WATTLE_ASSIGN_OR_RETURN(const v1::Manifest manifest, BuildManifest(path, options.cancelled));
  return PushManifest(stub, path, manifest, info, options);
}

absl::StatusOr<v1::ArtifactInfo> PushManifest(v1::ArtifactService::StubInterface& stub,
                                              const std::string& path, const v1::Manifest& manifest,
                                              const v1::ArtifactInfo& info,
                                              const TransferOptions& options) {
  v1::MissingChunksRequest ask;
  *ask.mutable_manifest() = manifest;
  v1::MissingChunksResponse missing;
  const auto manifest_bytes = static_cast<int64_t>(manifest.ByteSizeLong());
  {
    grpc::ClientContext context;
    SetDeadline(context, manifest_bytes, options);
    WATTLE_RETURN_IF_ERROR(Remote(stub.MissingChunks(&context, ask, &missing)));
  }
  const std::map<ChunkId, ChunkSource> sources = SourcesOf(path, ask.manifest());
  std::vector<std::pair<ChunkId, ChunkSource>> wanted;
  int64_t total_bytes = 0;
  for (const std::string& digest : missing.chunk_sha256()) {
    const auto it = sources.find(ChunkId(digest));
    if (it == sources.end()) {
      return absl::UnknownError("the coordinator misses a chunk that is not in the manifest");
    }
    wanted.emplace_back(*it);
    total_bytes += it->second.size_bytes;
  }
  Pace pace(total_bytes, options);
  for (size_t at = 0; at < wanted.size(); at += kChunksPerCall) {
    const size_t end = std::min(at + kChunksPerCall, wanted.size());
    WATTLE_RETURN_IF_ERROR(PutChunks(
        stub,
        {wanted.begin() + static_cast<int64_t>(at), wanted.begin() + static_cast<int64_t>(end)},
        pace, options));
  }
  v1::CommitArtifactRequest commit;
  *commit.mutable_manifest() = ask.manifest();
  *commit.mutable_info() = info;
  commit.set_move_name(options.move_name);
  commit.set_project(options.project);
  v1::ArtifactInfo committed;
  grpc::ClientContext context;
  SetDeadline(context, manifest_bytes, options);
  WATTLE_RETURN_IF_ERROR(Remote(stub.CommitArtifact(&context, commit, &committed)));
  return committed;
}

absl::Status Fetch(v1::ArtifactService::StubInterface& stub, const ArtifactId& id, FileCache& cache,
                   const TransferOptions& options) {
  if (cache.HasArtifact(id)) {
    cache.Touch(id);
    return absl::OkStatus();
  }
  v1::GetManifestRequest request;
  request.set_artifact_id(id.value());
  v1::Manifest manifest;
  {
    grpc::ClientContext context;
    SetDeadline(context, kManifestBytes, options);
    WATTLE_RETURN_IF_ERROR(Remote(stub.GetManifest(&context, request, &manifest)));
  }
  WATTLE_RETURN_IF_ERROR(ValidateManifest(manifest));
  // The id is the manifest's hash, so a wrong manifest cannot pass.
  if (IdOf(manifest) != id) {
    return absl::DataLossError(absl::StrCat("artifact ", id.value(), ": the manifest that came is ",
                                            IdOf(manifest).value()));
  }
  WATTLE_ASSIGN_OR_RETURN(const std::vector<ChunkId> missing, cache.BeginFetch(manifest));
  const std::map<ChunkId, ChunkSource> sizes = SourcesOf("", manifest);
  int64_t total_bytes = 0;
  for (const ChunkId& chunk : missing) {
    total_bytes += sizes.at(chunk).size_bytes;
  }
  Pace pace(total_bytes, options);
  for (size_t at = 0; at < missing.size(); at += kChunksPerCall) {
    const size_t end = std::min(at + kChunksPerCall, missing.size());
    std::vector<ChunkId> chunks(missing.begin() + static_cast<int64_t>(at),
                                missing.begin() + static_cast<int64_t>(end));
    WATTLE_RETURN_IF_ERROR(GetElsewhere(id, chunks, cache, pace, options));
    if (!chunks.empty()) {
      WATTLE_RETURN_IF_ERROR(GetChunks(stub, chunks, cache, pace, options));
    }
  }
  const absl::Status committed = cache.CommitManifest(manifest).status();
  // A stream that ended early left chunks out: kFailedPrecondition would blame the caller.
  if (absl::IsFailedPrecondition(committed)) {
    return absl::UnavailableError(
        absl::StrCat("artifact ", id.value(), ": the transfer ended early; call again to resume"));
  }
  return committed;
}

}  // namespace wattle::artifacts
