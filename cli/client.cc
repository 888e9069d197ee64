// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/client.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "cli/progress.h"

#include "artifacts/file_cache.h"
#include "artifacts/sha256.h"
#include "artifacts/transfer/grpc_status.h"
#include "artifacts/transfer/transfer.h"
#include "base/durable_file.h"
#include "base/file.h"
#include "base/host_port.h"
#include "base/status_macros.h"
#include "units/format.h"
#include "units/id.h"

namespace wattle::cli {
namespace {

constexpr int kSubmitAttempts = 4;
constexpr absl::Duration kFirstPause = absl::Milliseconds(200);
constexpr absl::Duration kWatchPause = absl::Seconds(1);
constexpr int kEventsAgainMax = 1000;       // past events, after the coordinator was away
constexpr char kMethods[] = "/wattle.v1.";  // prefix of a refusal; the user knows the command
constexpr int kMessageBytesMax = 16 << 20;  // a list of many jobs with their receipts

std::shared_ptr<grpc::Channel> Connect(
    const std::string& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // a coordinator is in the user's own network
  // A stream has no deadline; keepalive finds a coordinator that vanished without closing it.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

void SetTimeout(absl::Duration timeout, grpc::ClientContext* context) {
  context->set_deadline(std::chrono::system_clock::now() + absl::ToChronoMicroseconds(timeout));
}

bool MayRepeat(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

std::string TransferLine(absl::string_view verb, const artifacts::TransferProgress& progress) {
  const double ratio = progress.total_bytes == 0 ? 1.0
                                                 : static_cast<double>(progress.moved_bytes) /
                                                       static_cast<double>(progress.total_bytes);
  return absl::StrCat(verb, " ", RenderBar(ratio, 26), " ", FormatBytes(progress.moved_bytes),
                      " of ", FormatBytes(progress.total_bytes));
}

// A directory beside the destination. The destructor removes it with its contents.
class ScratchDirectory {
 public:
  static absl::StatusOr<std::unique_ptr<ScratchDirectory>> Make(const std::string& beside) {
    std::string path = absl::StrCat(beside, ".partial-XXXXXX");
    if (mkdtemp(path.data()) == nullptr) {
      return absl::FailedPreconditionError(
          absl::StrCat(beside, ": cannot write beside it (",
                       std::error_code(errno, std::generic_category()).message(),
                       "); choose another directory"));
    }
    return std::make_unique<ScratchDirectory>(std::move(path));
  }
  explicit ScratchDirectory(std::string path) : path_(std::move(path)) {}
  ~ScratchDirectory() {
    std::error_code ignored;  // nothing more can be done; the directory's name shows its purpose
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

Client::Client(Options options, const Environment& environment)
    : options_(std::move(options)),
      environment_(environment),
      address_(options_.problem.ok() ? ParseHostPort("--coordinator", options_.address).status()
                                     : options_.problem),
      // Every call refuses an invalid address, so gRPC never receives one.
      channel_(address_.ok()
                   ? Connect(options_.address, options_.credentials)
                   : grpc::CreateChannel("127.0.0.1:0", grpc::InsecureChannelCredentials())) {}

Client::~Client() = default;

absl::Status Client::Explain(absl::StatusCode code, const std::string& message) const {
  if (environment_.interrupt->raised()) {
    return absl::CancelledError("interrupted");
  }
  if (PeerSpeaksNoGrpc(message)) {
    return absl::UnavailableError(absl::StrCat("what answers at ", options_.address,
                                               " is no coordinator's gRPC port; give the address "
                                               "that wattle-coordinator printed as grpc=…"));
  }
  if (code == absl::StatusCode::kUnavailable) {
    return absl::UnavailableError(absl::StrCat(
        "cannot reach the coordinator at ", options_.address, ": ", ConnectionTrouble(message),
        "; start it with wattle-coordinator or set --coordinator"));
  }
  if (code == absl::StatusCode::kDeadlineExceeded) {
    return absl::DeadlineExceededError(
        absl::StrCat("no answer from the coordinator at ", options_.address, " within ",
                     FormatElapsed(options_.timeout), "; try again or raise --timeout-seconds"));
  }
  if (code == absl::StatusCode::kCancelled) {  // by the coordinator, which stops
    return absl::UnavailableError(absl::StrCat("the coordinator at ", options_.address,
                                               " ended the call: ", message, "; try again"));
  }
  if (code == absl::StatusCode::kUnimplemented && message.empty()) {
    return absl::InternalError(absl::StrCat("the coordinator at ", options_.address,
                                            " does not know this call; it may be older than this "
                                            "wattle: compare wattle version"));
  }
  absl::string_view rest = message;
  if (code == absl::StatusCode::kPermissionDenied && absl::ConsumePrefix(&rest, kMethods)) {
    rest = rest.substr(std::min(rest.find(": "), rest.size()));
    return absl::PermissionDeniedError(absl::StrCat(options_.command, rest));
  }
  return absl::Status(code, message);
}

absl::Status Client::Run(const std::function<grpc::Status(grpc::ClientContext*)>& call,
                         absl::Duration timeout) {
  WATTLE_RETURN_IF_ERROR(address_);
  grpc::ClientContext context;
  SetTimeout(timeout, &context);
  const CancelOnInterrupt cancel(*environment_.interrupt, [&] { context.TryCancel(); });
  const grpc::Status status = call(&context);
  return status.ok()
             ? absl::OkStatus()
             : Explain(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

absl::StatusOr<v1::SubmitJobResponse> Client::SubmitJob(const v1::SubmitJobRequest& request) {
  absl::Duration pause = kFirstPause;
  for (int attempt = 1;; ++attempt) {
    auto response = Call(&JobStub::SubmitJob, request, options_.timeout / kSubmitAttempts);
    if (response.ok() || !MayRepeat(response.status()) || attempt == kSubmitAttempts) {
      return response;
    }
    environment_.sleep(pause);
    pause *= 2;
  }
}

template <typename Message, typename Open>
absl::Status Client::Follow(const Open& open, const std::function<void(const Message&)>& on_message,
                            const std::function<void(const absl::Status&)>& on_lost) {
  WATTLE_RETURN_IF_ERROR(address_);
  bool seen = false;
  Monotonic lost_at;
  bool lost = false;
  while (true) {
    grpc::ClientContext context;
    grpc::Status status;
    {
      const CancelOnInterrupt cancel(*environment_.interrupt, [&] { context.TryCancel(); });
      const auto stream = open(&context);
      Message message;
      while (stream->Read(&message)) {
        seen = true;
        lost = false;
        on_message(message);
      }
      status = stream->Finish();
    }
    if (status.ok()) {
      return absl::OkStatus();
    }
    const absl::Status why =
        Explain(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
    // A coordinator that answered before may be restarting; one that never answered is absent.
    if (!seen || !absl::IsUnavailable(why)) {
      return why;
    }
    const Monotonic now = environment_.clock->Boottime();
    if (!lost) {
      lost = true;
      lost_at = now;
      on_lost(why);
    } else if (now - lost_at >= options_.timeout) {
      return why;
    }
    environment_.sleep(kWatchPause);
  }
}

absl::Status Client::WatchJob(const std::string& job_id,
                              const std::function<void(const v1::JobUpdate&)>& on_update,
                              const std::function<void(const absl::Status&)>& on_lost) {
  v1::WatchJobRequest request;
  request.set_job_id(job_id);
  return Follow<v1::JobUpdate>(
      [&](grpc::ClientContext* context) { return JobStub(channel_).WatchJob(context, request); },
      on_update, on_lost);
}

absl::Status Client::WatchEvents(v1::WatchEventsRequest request,
                                 const std::function<void(const v1::FleetEvent&)>& on_event,
                                 const std::function<void(const absl::Status&)>& on_lost) {
  // A reopened stream continues after the last event.
  const auto take = [&](const v1::FleetEvent& event) {
    constexpr double kNextMoment = 1e-6;
    request.set_since_unix_seconds(event.at_unix_seconds() + kNextMoment);
    request.set_limit(kEventsAgainMax);
    on_event(event);
  };
  return Follow<v1::FleetEvent>(
      [&](grpc::ClientContext* context) {
        return CoordinatorStub(channel_).WatchEvents(context, request);
      },
      take, on_lost);
}

absl::Status Client::GetJobLogs(const v1::GetJobLogsRequest& request,
                                const std::function<void(const v1::LogLine&)>& on_line) {
  WATTLE_RETURN_IF_ERROR(address_);
  grpc::ClientContext context;
  if (!request.follow()) {
    SetTimeout(options_.timeout, &context);
  }
  const CancelOnInterrupt cancel(*environment_.interrupt, [&] { context.TryCancel(); });
  const auto stream = JobStub(channel_).GetJobLogs(&context, request);
  v1::LogLine line;
  while (stream->Read(&line)) {
    on_line(line);
  }
  const grpc::Status status = stream->Finish();
  return status.ok()
             ? absl::OkStatus()
             : Explain(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

absl::StatusOr<v1::ListArtifactsResponse> Client::ListArtifacts(v1::ArtifactKind kind) {
  v1::ListArtifactsRequest request;
  request.set_kind(kind);
  return Call(&ArtifactStub::ListArtifacts, request);
}

absl::StatusOr<std::string> Client::ReadArtifactFile(const v1::ManifestFile& file) {
  WATTLE_RETURN_IF_ERROR(address_);
  v1::GetChunksRequest request;
  *request.mutable_sha256() = file.chunk_sha256();
  grpc::ClientContext context;
  SetTimeout(options_.timeout, &context);
  const CancelOnInterrupt cancel(*environment_.interrupt, [&] { context.TryCancel(); });
  const auto stream = ArtifactStub(channel_).GetChunks(&context, request);
  std::string bytes;
  int chunks = 0;
  v1::Chunk chunk;
  while (stream->Read(&chunk)) {
    if (chunks == file.chunk_sha256_size() ||
        artifacts::Sha256(chunk.data()).value() != file.chunk_sha256(chunks)) {
      context.TryCancel();
      return absl::DataLossError(
          absl::StrCat(file.path(),
                       ": the coordinator sent other bytes than the file has; look "
                       "at the coordinator's disk"));
    }
    ++chunks;
    bytes += chunk.data();
  }
  const grpc::Status status = stream->Finish();
  if (!status.ok()) {
    return Explain(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  }
  if (chunks < file.chunk_sha256_size()) {
    return absl::DataLossError(absl::StrCat(file.path(), ": the coordinator sent only ",
                                            bytes.size(), " of ", file.size_bytes(),
                                            " bytes; try again"));
  }
  return bytes;
}

absl::StatusOr<v1::ArtifactInfo> Client::PushArtifact(const std::string& path,
                                                      const v1::ArtifactInfo& info, bool move_name,
                                                      const std::string& project) {
  WATTLE_RETURN_IF_ERROR(address_);
  LiveLine line(*environment_.err, environment_.error_style, *environment_.clock,
                LiveLine::FirstLine::kAfterInterval);
  artifacts::TransferOptions options;
  options.call_timeout = options_.timeout;
  options.move_name = move_name;
  options.project = project;
  options.cancelled = [this] { return environment_.interrupt->raised(); };
  options.progress = [&](const artifacts::TransferProgress& progress) {
    line.Update(TransferLine("sending", progress));
  };
  ArtifactStub stub(channel_);
  auto pushed = artifacts::Push(stub, path, info, options);
  if (!pushed.ok()) {
    return Explain(pushed.status().code(), std::string(pushed.status().message()));
  }
  return pushed;
}

absl::Status Client::PullArtifact(const std::string& artifact_id, const std::string& directory) {
  WATTLE_RETURN_IF_ERROR(address_);
  if (std::filesystem::exists(directory)) {
    return absl::AlreadyExistsError(
        absl::StrCat(directory, ": is there already; remove it or choose another directory"));
  }
  WATTLE_ASSIGN_OR_RETURN(const auto scratch, ScratchDirectory::Make(directory));
  // A worker's cache writes each byte once, to its place in its file.
  WATTLE_ASSIGN_OR_RETURN(
      const auto cache,
      artifacts::FileCache::Open({.directory = absl::StrCat(scratch->path(), "/cache")},
                                 *environment_.clock));
  LiveLine line(*environment_.err, environment_.error_style, *environment_.clock,
                LiveLine::FirstLine::kAfterInterval);
  artifacts::TransferOptions options;
  options.call_timeout = options_.timeout;
  options.cancelled = [this] { return environment_.interrupt->raised(); };
  options.progress = [&](const artifacts::TransferProgress& progress) {
    line.Update(TransferLine("fetching", progress));
  };
  const ArtifactId id(artifact_id);
  ArtifactStub stub(channel_);
  const absl::Status fetched = artifacts::Fetch(stub, id, *cache, options);
  if (!fetched.ok()) {
    return Explain(fetched.code(), std::string(fetched.message()));
  }
  WATTLE_RETURN_IF_ERROR(RenameFile(cache->FilesOf(id), directory));
  return SyncDirectory(std::filesystem::absolute(directory).parent_path().string());
}

}  // namespace wattle::cli
